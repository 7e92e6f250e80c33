"""What events may take of the store's memory, as a table."""

from __future__ import annotations

import pytest

from app.events.memory import (
    EVENTS_SHARE,
    GUID_BYTES,
    GUIDS_SHARE,
    MOST_GUIDS,
    SHORT_SHARE,
    MemoryUse,
    room,
    to_cut,
    to_drop,
)
from app.outgoing.ticks import FULL_SHARE

LIMIT = 1_000_000_000


def held(used: float = 0, logs: float = 0, guids: int = 0, limit: int = LIMIT) -> MemoryUse:
    counts = {"old": guids // 2, "new": guids - guids // 2}
    return MemoryUse(limit, int(used * LIMIT), {"a": int(logs * LIMIT), "b": 0}, counts)


@pytest.mark.parametrize(
    ("what", "megabytes"),
    [
        (held(), 0),
        (held(used=0.69, logs=0.49), 0),
        (held(used=0.72), 40),  # planning has grown: events make room
        (held(used=0.72, logs=0.3), 40),
        (held(used=0.6, logs=0.52), 40),
        (held(used=0.6, logs=0.45, guids=2_000_000), 70),  # guids count
        (held(used=0.9, logs=0.52), 220),
        (held(used=0.9, logs=0.52, limit=0), 0),
    ],
)
def test_what_is_cut(what: MemoryUse, megabytes: int) -> None:
    assert to_cut(what) == pytest.approx(megabytes * 1_000_000, abs=2)


@pytest.mark.parametrize(
    ("what", "dropped"),
    [
        (held(guids=100), None),
        (held(guids=3_000_000), None),
        (held(guids=3_000_002), "old"),
        (held(guids=7_000_000), "old"),  # the next goes at the next tick
        (held(guids=7_000_000, limit=0), None),
        (held(guids=MOST_GUIDS + 1, limit=0), "old"),
    ],
)
def test_which_guids_are_dropped(what: MemoryUse, dropped: str | None) -> None:
    assert to_drop(what) == dropped


def test_the_room_for_events_ends_before_that_of_planning() -> None:
    assert EVENTS_SHARE < SHORT_SHARE < FULL_SHARE
    assert GUIDS_SHARE * LIMIT / GUID_BYTES == 3_000_000
    assert room(LIMIT, LIMIT // 2) == 200_000_000
    assert room(LIMIT, LIMIT * 3 // 4) == 0
    assert room(0, 7) is None
