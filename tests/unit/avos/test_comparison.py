"""What a GET shows beside what we want: equal, different or not shown."""

from __future__ import annotations

from typing import Any

import pytest

from app.avos.comparison import Match, compare, last_modified_of, overall, same
from app.outgoing.model import ABSENT

SOURCE = ("technicalMedia", "sourceMedia")


@pytest.mark.parametrize(
    ("document", "value"),
    [
        ({"lastModified": "2026-11-21T19:30:00.1234567"}, "2026-11-21T19:30:00.1234567"),
        ({"LASTMODIFIED": ' "é" '}, ' "é" '),
        ({"lastmodified": "a", "lastModified": "b"}, "b"),
        ({"lastModified": "x" * 1024}, "x" * 1024),
        ({}, None),
        ({"lastModified": None}, None),
        ({"lastModified": ""}, None),
        ({"lastModified": 5}, None),
        ({"lastModified": ["x"]}, None),
        ({"lastModified": "x" * 1025}, None),
        ({"lastModified": "é" * 600}, None),
        ({"lastModified": "a\nb"}, None),
        ({"lastModified": "\0"}, None),
        ({"lastModified": "\ud800"}, None),
    ],
)
def test_last_modified_is_opaque_and_echoed_or_unusable(document: dict[str, Any], value: str | None) -> None:
    assert last_modified_of(document) == value


@pytest.mark.parametrize(
    ("left", "right", "equal"),
    [
        ("2026-11-21T19:30:00Z", "2026-11-21T20:30:00+01:00", True),
        ("2026-11-21T19:30:00Z", "2026-11-21T19:30:00", True),
        ("2026-11-21T19:30:00Z", "2026-11-21T19:30:00.000Z", True),
        ("2026-11-21T19:30:00Z", "2026-11-21T19:30:01Z", False),
        ("2026-11-21T19:30:00Z", "0001-01-01T00:00:00Z", False),
        ("0001-01-01T00:00:00Z", "0001-01-01T00:00:00", False),
        ("a", "A", False),
        ("1", 1, False),
        (1, 1.0, True),
        (1, True, False),
        (None, None, True),
        (None, "x", False),
        ([{"A": 1, "b": None}], [{"a": 1}], True),
        ({"a": [1, 2]}, {"a": [2, 1]}, False),
        ({"a": 1}, {"a": 1, "c": 2}, False),
        ([1], [1, 2], False),
        ({"t": ["2026-01-01T00:00:00"]}, {"T": ["2026-01-01T01:00:00+01:00"]}, True),
    ],
)
def test_values_compare_as_what_they_mean(left: Any, right: Any, equal: bool) -> None:
    assert same(left, right) is equal
    assert same(right, left) is equal


def test_members_are_equal_different_or_not_shown() -> None:
    document = {"BOOKINGSTARTTIME": "2026-11-21T18:00:00", "eventEndTime": None, "x": 1}
    members = {
        "bookingStartTime": "2026-11-21T18:00:00Z",
        "eventEndTime": "2026-11-21T21:45:00Z",
        "bookingPreKOStartTime": "2026-11-21T19:30:00Z",
        "missing": ABSENT,
    }
    assert compare(document, members) == {
        "bookingStartTime": Match.EQUAL,
        "eventEndTime": Match.DIFFERENT,
        "bookingPreKOStartTime": Match.NOT_SHOWN,
    }


@pytest.mark.parametrize(
    ("document", "verdict"),
    [
        ({"technicalMedia": {"sourceMedia": {"txEventType": "New"}}}, Match.EQUAL),
        ({"TechnicalMedia": {"SOURCEMEDIA": {"TxEventType": "New"}}}, Match.EQUAL),
        ({"technicalMedia": {"sourceMedia": {"txEventType": "Old"}}}, Match.DIFFERENT),
        ({"technicalMedia": {"sourceMedia": None}}, Match.NOT_SHOWN),
        ({"technicalMedia": []}, Match.NOT_SHOWN),
        ({"txEventType": "New"}, Match.NOT_SHOWN),
        ({}, Match.NOT_SHOWN),
    ],
)
def test_source_fields_are_looked_for_in_their_section(document: dict[str, Any], verdict: Match) -> None:
    assert compare(document, {"txEventType": "New"}, SOURCE) == {"txEventType": verdict}


@pytest.mark.parametrize(
    ("verdicts", "word"),
    [
        (["equal", "equal"], "equal"),
        (["equal", "not_shown"], "not_shown"),
        (["not_shown", "different"], "different"),
        ([], "not_shown"),
    ],
)
def test_one_word_for_all_members(verdicts: list[str], word: str) -> None:
    assert overall({str(n): Match(v) for n, v in enumerate(verdicts)}) == word
