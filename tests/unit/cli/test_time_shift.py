"""Whole days, nothing else."""

from __future__ import annotations

from datetime import date, timedelta

import pytest

from app.cli.time_shift import SAMPLE_SATURDAY, days_to_this_weekend, shifted


def test_every_time_moves_and_keeps_its_spelling() -> None:
    message = {
        "id": "2026-11-21",
        "body": {
            "name": "Final 2026-11-21T10:00:00Z replay",
            "eventEnd": "2026-12-31T23:30:00.000-05:00",
            "sourceVersion": "2026-11-20T08:00:00Z",
            "livestreams": [{"preKoUtc": "2026-11-21T19:30:00Z"}, {"preKoUtc": "2026-11-21T19:30:00"}],
            "order": 7,
        },
    }
    assert shifted(message, 1) == {
        "id": "2026-11-21",
        "body": {
            "name": "Final 2026-11-21T10:00:00Z replay",
            "eventEnd": "2027-01-01T23:30:00.000-05:00",
            "sourceVersion": "2026-11-20T08:00:00Z",
            "livestreams": [{"preKoUtc": "2026-11-22T19:30:00Z"}, {"preKoUtc": "2026-11-22T19:30:00"}],
            "order": 7,
        },
    }
    assert shifted(message, 0) is message


def test_what_is_no_day_is_left_to_the_api() -> None:
    assert shifted("2026-02-30T10:00:00Z", 1) == "2026-02-30T10:00:00Z"


@pytest.mark.parametrize("ahead", range(-10, 10))
def test_the_samples_saturday_falls_on_this_weeks(ahead: int) -> None:
    today = date(2027, 3, 3) + timedelta(days=ahead)
    saturday = SAMPLE_SATURDAY + timedelta(days=days_to_this_weekend(today))
    assert saturday.weekday() == 5
    assert saturday.isocalendar()[:2] == today.isocalendar()[:2]
