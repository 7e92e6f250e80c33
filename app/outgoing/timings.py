"""How destinations are and how long deliveries take, for monitoring: one round trip."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from app.outgoing.status import Condition, condition
from app.outgoing.store import OutgoingStore
from app.platform.redis import store_errors

BOUNDS_MS: Final = (
    100,
    250,
    500,
    1000,
    2500,
    5000,
    10_000,
    30_000,
    60_000,
    300_000,
    1_800_000,
)  # as lua/_timing.lua has them


_STALE: Final = {"open": "stale", "undelivered": "stale:undelivered"}


@dataclass(frozen=True, slots=True)
class Histogram:
    """`buckets`: upper bound in seconds → how many took at most so long; `sum_s` of all of them."""

    buckets: tuple[tuple[str, int], ...]
    sum_s: float


@dataclass(frozen=True, slots=True)
class Timing:
    """`late`: open requests whose kick-off has passed. `staleness`: how long AVOS hadn't shown what was acknowledged, when
    it did. `stalest_s`: how long there is something that it still doesn't show, by whether that goes out by itself
    (`open`) or not (`undelivered`); nothing where it shows all."""

    delivery: Histogram
    lateness: Histogram
    late: int
    staleness: Histogram
    stalest_s: Mapping[str, float]
    destinations: tuple[Condition, ...]


def read_timing(store: OutgoingStore) -> Timing:
    """Raises Unavailable while the store is away."""
    keys, now_ms, names = store.keys, store.time_ms(), store.destination_names()
    pipe = store.client.pipeline(transaction=False)
    pipe.hgetall(f"{keys.prefix}timing:delivery")
    pipe.hgetall(f"{keys.prefix}timing:lateness")
    pipe.zcount(f"{keys.prefix}kickoffs", "-inf", now_ms)
    pipe.hgetall(f"{keys.prefix}timing:staleness")
    for index in _STALE.values():
        pipe.zrange(f"{keys.prefix}{index}", 0, 0, withscores=True)
    for name in names:
        pipe.hgetall(keys.destination(name))
    with store_errors():
        delivery, lateness, late, staleness, *more = pipe.execute()
    oldest, stored = more[: len(_STALE)], more[len(_STALE) :]
    return Timing(
        _histogram(delivery),
        _histogram(lateness),
        int(late),
        _histogram(staleness),
        {
            state: max(0.0, (now_ms - found[0][1]) / 1000)
            for state, found in zip(_STALE, oldest, strict=True)
            if found
        },
        tuple(condition(name, fields, now_ms) for name, fields in zip(names, stored, strict=True)),
    )


def _histogram(stored: Mapping[bytes, bytes]) -> Histogram:
    buckets, total = [], 0
    for bound in BOUNDS_MS:
        total += int(stored.get(str(bound).encode(), b"0"))
        buckets.append((str(bound / 1000), total))
    total += int(stored.get(b"inf", b"0"))
    return Histogram((*buckets, ("+Inf", total)), int(stored.get(b"sum", b"0")) / 1000)
