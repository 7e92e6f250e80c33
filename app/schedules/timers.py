"""The tick that fires timers: within each second it waits for what falls due, and fires it on time."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

from app.schedules.store import ScheduleStore

# Somewhat longer than the interval of the tick, so that one looks until the next has begun.
LOOK_AHEAD_S: Final = 1.3
POLL_S: Final = 0.1  # for workflows that were made meanwhile, and requests that have ended


class ScheduleTicks:
    """Any number of processes may tick: a timer is taken and its request written by one script."""

    def __init__(
        self,
        store: ScheduleStore,
        *,
        sleep: Callable[[float], None] = time.sleep,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = store
        self._sleep = sleep
        self._monotonic = monotonic

    def fire(self, seconds: float = LOOK_AHEAD_S) -> int:
        """Fire what is due until `seconds` from now, each at its time; how many tasks were fired or settled."""
        until, done = self._monotonic() + seconds, 0
        while True:
            fired, wait_s = self._store.fire()
            done += fired + self._store.settle()
            left = until - self._monotonic()
            if left <= 0:
                return done
            self._sleep(max(0.0, min(left, POLL_S, wait_s)))
