"""The whole retry policy, as a table."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from app.outgoing.decide import AttemptError, Decision, decide, expiry
from app.outgoing.model import State

NOW = datetime(2026, 11, 21, 19, 30, tzinfo=UTC)
DAY = timedelta(days=1)
S = timedelta(seconds=1)


def error(**options: object) -> AttemptError:
    return AttemptError("timeout", "The far side did not answer.", **options)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("given", "age_from", "deadline", "expected"),
    [
        # no error: delivered, however old
        (None, None, None, Decision(State.DELIVERED)),
        (None, NOW - 9 * DAY, NOW - DAY, Decision(State.DELIVERED)),
        # a first failure is due at the next tick: no growing distance
        (error(), None, None, Decision(State.FAILED, NOW)),
        (error(), NOW - 3600 * S, None, Decision(State.FAILED, NOW)),
        # only Retry-After defers it, and never past the moment of its expiry
        (error(retry_after_s=30.0), None, None, Decision(State.FAILED, NOW + 30 * S)),
        (error(retry_after_s=0.0), None, None, Decision(State.FAILED, NOW)),
        (error(retry_after_s=-5.0), None, None, Decision(State.FAILED, NOW)),
        (error(retry_after_s=1e12), None, None, Decision(State.FAILED, NOW + DAY)),
        (error(retry_after_s=3600.0), None, NOW + 60 * S, Decision(State.FAILED, NOW + 60 * S)),
        # age, from the first failure
        (error(), NOW - DAY + S, None, Decision(State.FAILED, NOW)),
        (error(), NOW - DAY, None, Decision(State.EXPIRED)),
        (error(), NOW - 2 * DAY, None, Decision(State.EXPIRED)),
        # the deadline, where it comes first
        (error(), None, NOW + S, Decision(State.FAILED, NOW)),
        (error(), None, NOW, Decision(State.EXPIRED)),
        (error(), NOW - 60 * S, NOW - S, Decision(State.EXPIRED)),
        # a person must look, whatever its age
        (error(retryable=False), None, None, Decision(State.REJECTED)),
        (error(retryable=False), NOW - 2 * DAY, NOW - DAY, Decision(State.REJECTED)),
    ],
)
def test_what_becomes_of_an_attempt(
    given: AttemptError | None, age_from: datetime | None, deadline: datetime | None, expected: Decision
) -> None:
    assert decide(given, now=NOW, age_from=age_from, deadline=deadline, max_age=DAY) == expected


def test_expiry_is_the_earlier_of_age_and_deadline() -> None:
    assert expiry(NOW, None, DAY) == NOW + DAY
    assert expiry(NOW, NOW + S, DAY) == NOW + S
    assert expiry(NOW, NOW + 2 * DAY, DAY) == NOW + DAY
