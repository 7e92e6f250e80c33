"""Ticks that several beats may send and only one does the work of; of each at most one waits in the queue."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from typing import TypeVar

from redis import Redis

from app.platform.keys import Keys
from app.platform.redis import store_errors, typed

T = TypeVar("T")

# Of the interval: two beats out of step by anything still make one tick an interval, and a single one whose ticks
# come a little early is never refused (whole slots of the clock would skip such a tick, and leave twice the interval).
_SHARE = 0.9


# Of the queue's newest messages, so many are looked at: one of each tick, twice that with two beats, and a canary.
_LOOKED_AT = 100


def is_waiting(client: Redis, queue_key: str, task: str) -> bool:
    """Whether an earlier message for this task still lies in the queue: a second one would make nothing sooner, and while
    nobody consumes the queue it would grow for ever. Raises `Unavailable` while the store is away."""
    name = json.dumps(task).encode()
    with store_errors():
        messages = typed(client).lrange(queue_key, 0, _LOOKED_AT - 1)
    return any(name in message for message in messages)


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
