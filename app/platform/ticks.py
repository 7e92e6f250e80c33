"""Several beats may send a tick, but its work is done once an interval; of each tick at most one message waits."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from typing import TypeVar

from redis import Redis

from app.platform.container import Container
from app.platform.keys import Keys
from app.platform.packages import Tick
from app.platform.redis import store_errors, typed

T = TypeVar("T")

# How long a lease lasts, of the interval. Two beats, however far out of step, still make one tick an interval, and the tick of a
# single beat that comes a little early isn't refused. (Slots by the clock would skip it, and leave twice the interval.)
_SHARE = 0.9


# How many of the queue's newest messages are looked at. There is one of each tick, two with two beats, and a canary.
_LOOKED_AT = 100


def is_waiting(client: Redis, queue_key: str, task: str) -> bool:
    """Whether an earlier message for this task still lies in the queue: a second one would make nothing sooner, and while
    nobody consumes the queue it would grow for ever. Raises `Unavailable` while the store is away."""
    name = json.dumps(task).encode()
    with store_errors():
        messages = typed(client).lrange(queue_key, 0, _LOOKED_AT - 1)
    return any(name in message for message in messages)


class TickLease:
    """The first caller in an interval does its work; another that comes within nine tenths of the interval does nothing.

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
            # A lease that has longer to run than any lease gets shows that the clock of Redis was set back. Without
            # this line, an hour back would be an hour without ticks.
            taken = taken or self._client.pexpire(key, lease_ms, lt=True)
        return work() if taken else None


def run_tick(container: Container, tick: Tick) -> str | None:
    """Do the work of a tick, unless another process has done that of this interval; what was done, in a line, None: nothing."""
    every_s = tick.seconds(container.settings)
    return tick.line(container[TickLease].once(tick.name, every_s, container.method(tick.calls)))
