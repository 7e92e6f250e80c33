"""Moves the times of a message by whole days: how the sample plan gets onto this weekend."""

from __future__ import annotations

import re
from datetime import date, timedelta
from typing import Any, Final

SAMPLE_SATURDAY: Final = date(2026, 11, 21)  # of deploy/sample/plan.ndjson
_TIME: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:\d\d)?\Z", re.ASCII)
_NO_TIME_OF_THE_PLAN: Final = "sourceVersion"


def shifted(value: Any, days: int) -> Any:
    """The same JSON value with every RFC 3339 time moved; the spelling, offset included, stays."""
    if not days:
        return value
    if isinstance(value, dict):
        return {
            name: one if name == _NO_TIME_OF_THE_PLAN else shifted(one, days) for name, one in value.items()
        }
    if isinstance(value, list):
        return [shifted(one, days) for one in value]
    if isinstance(value, str) and _TIME.match(value):
        return _moved(value, days)
    return value


def _moved(text: str, days: int) -> str:
    try:
        return (date.fromisoformat(text[:10]) + timedelta(days=days)).isoformat() + text[10:]
    except (ValueError, OverflowError):
        return text  # no such day: the API says so


def days_to_this_weekend(today: date) -> int:
    """By how many days to shift the sample plan so that its Saturday is that of `today`'s week."""
    saturday = today + timedelta(days=5 - today.weekday())
    return (saturday - SAMPLE_SATURDAY).days
