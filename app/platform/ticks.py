"""Ticks that several beats may send and only one does the work of."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import TypeVar

from redis import Redis

from app.platform.keys import Keys
from app.platform.redis import store_errors

T = TypeVar("T")

# Of the interval: two beats out of step by anything still make one tick an interval, and a single one whose ticks
# come a little early is never refused (whole slots of the clock would skip such a tick, and leave twice the interval).
_SHARE = 0.9


class TickLease:
    """Who comes first does the work of an interval; whoever else comes within nine tenths of it does nothing.

    The lease is timed by Redis, so the clocks of the machines don't matter.
    """

    def __init__(self, client: Redis, keys: Keys) -> None:
        self._client = client
        self._keys = keys

    def once(self, name: str, every_s: float, work: Callable[[], T]) -> T | None:
        """Do the work, or None if somebody has done it. Raises `Unavailable` while the store is away."""
        key, lease_ms = self._keys.tick(name), max(1, int(every_s * 1000 * _SHARE))
        with store_errors():
            taken = self._client.set(key, uuid.uuid4().hex, nx=True, px=lease_ms)
            # One that has longer to run than any was ever given: the clock of Redis was set back. Without this, an
            # hour back would be an hour without ticks.
            taken = taken or self._client.pexpire(key, lease_ms, lt=True)
        return work() if taken else None
