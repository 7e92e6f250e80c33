"""Updates on their way to the far side: throughput of a backlog, latency at a steady rate, cost in processor time."""

from __future__ import annotations

import itertools
import random
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from benchmarks.farside import FarSide
from benchmarks.load import Connection
from benchmarks.processes import Broken, cpu_s
from benchmarks.sides import Side

_SETTLE_S: Final = 0.3  # what follows the last PATCH: finishing, results, acknowledgements
_numbers: Final = itertools.count(1)


@dataclass(frozen=True)
class Drained:
    """A backlog of `updates`, gone in `seconds` (from its release to the last PATCH applied)."""

    updates: int
    seconds: float
    cpu_ms: Mapping[str, float]  # by group of processes, for one update
    repeated: int  # PATCHes beyond one an update

    @property
    def per_second(self) -> float:
        return self.updates / self.seconds


@dataclass(frozen=True)
class Steady:
    """Updates asked for at `rate` a second: how long (s) each took from the call to the PATCH applied."""

    rate: float
    took_s: Sequence[float]


def names(count: int) -> list[str]:
    """Content media that were never used before."""
    return [f"bench-{next(_numbers):08d}" for _ in range(count)]


def drain(side: Side, far: FarSide, *, latency_ms: int, count: int, timeout_s: float) -> Drained:
    """Fill a backlog, let it go, and wait until all of it has reached the far side."""
    far.behave(latency_ms)
    media = names(count)
    side.fill(media)
    groups = side.pids()
    before = {group: cpu_s(pids) for group, pids in groups.items()}
    released = time.time()
    side.release()
    far.wait_for(2 * count, timeout_s)
    time.sleep(latency_ms / 1000 + _SETTLE_S)
    after = {group: cpu_s(pids) for group, pids in groups.items()}
    side.check()
    updates = _all_of(media, far)
    last = max(updates.values())
    cpu_ms = {group: (after[group] - before[group]) * 1000 / count for group in groups}
    return Drained(count, last - released, cpu_ms, len(far.updates()) - count)


def steady(side: Side, far: FarSide, *, latency_ms: int, rate: float, seconds: float) -> Steady:
    """Ask over HTTP for one update after the other, at random moments `rate` times a second on average."""
    far.behave(latency_ms)
    moments = list(_moments(rate, seconds))
    media = names(len(moments))
    asked: dict[str, float] = {}
    connection = Connection(side.port)
    started = time.monotonic()
    try:
        for moment, name in zip(moments, media, strict=True):
            time.sleep(max(0.0, started + moment - time.monotonic()))
            asked[name] = time.time()
            status, body = connection.call(side.call(name))
            if status != 202:
                raise Broken(f"{side.name} answers {status}: {body[:200]!r}")
    finally:
        connection.close()
    far.wait_for(2 * len(media), 30)
    time.sleep(latency_ms / 1000 + _SETTLE_S)
    updates = _all_of(media, far)
    return Steady(rate, [updates[name] - asked[name] for name in media])


def _moments(rate: float, seconds: float) -> Iterator[float]:
    """A Poisson process, the same one in every round and for every side."""
    chance, moment = random.Random(7), 0.0
    while (moment := moment + chance.expovariate(rate)) < seconds:
        yield moment


def _all_of(media: Sequence[str], far: FarSide) -> dict[str, float]:
    """When each was updated. Raises Broken where one wasn't."""
    applied = {update.media: update.applied_at for update in reversed(far.updates())}
    missing = [name for name in media if name not in applied]
    if missing:
        raise Broken(f"{len(missing)} of {len(media)} updates never reached the far side, e.g. {missing[0]}.")
    return applied
