"""Waiting for a request's end, for callers who ask with `?wait=`."""

from __future__ import annotations

import time
from collections.abc import Callable

from app.outgoing.model import OPEN, State

_FIRST_PAUSE_S = 0.05
_LONGEST_PAUSE_S = 0.5


def wait_for_end(
    state: Callable[[], State],
    seconds: float,
    *,
    sleep: Callable[[float], None] = time.sleep,
    monotonic: Callable[[], float] = time.monotonic,
) -> State:
    """The state once it is final, or as it is after `seconds`.

    Each look borrows a connection and gives it back: waiting callers hold none.
    """
    until = monotonic() + seconds
    pause = _FIRST_PAUSE_S
    current = state()
    while current in OPEN and (left := until - monotonic()) > 0:
        sleep(min(pause, left))
        pause = min(pause * 1.5, _LONGEST_PAUSE_S)
        current = state()
    return current
