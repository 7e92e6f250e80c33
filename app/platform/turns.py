"""Long work in a process that serves many callers at once gives the others a turn between its steps."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from typing import Final, TypeVar

T = TypeVar("T")
TURN_S: Final = 0.02
# In the API gevent has replaced `time.sleep`. It looks for calls that have come in before it goes on after a wait; after
# one of 0 it would let fifty turns pass first.
PAUSE_S: Final = 0.0005


def in_turns(steps: Iterable[T]) -> Iterator[T]:
    """The same steps; between two of them all other callers have a turn, where this one has had `TURN_S`."""
    since = time.monotonic()
    for step in steps:
        yield step
        if time.monotonic() - since >= TURN_S:
            time.sleep(PAUSE_S)
            since = time.monotonic()
