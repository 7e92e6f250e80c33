"""Numbers about outgoing requests for monitoring: two round trips, whatever the size of the backlog."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from app.outgoing.model import OPEN, State
from app.outgoing.store import OutgoingStore
from app.platform.redis import store_errors

# How long the oldest has stood there says something only about what should move on, or awaits a person.
AGED: Final = (*sorted(OPEN), State.REJECTED)
_TABLES: Final = ("runnable", "live", "failed", "due")


@dataclass(frozen=True, slots=True)
class DestinationNumbers:
    """How many stand in each table of a destination, how many may be in flight, and whether it is paused."""

    tables: Mapping[str, int]
    in_flight_limit: int
    paused: bool


@dataclass(frozen=True, slots=True)
class Statistics:
    """`oldest_s`: age of the oldest record of a state, where there is one. `counters`: since the beginning,
    by destination and what became of requests (`accepted`, and each state entered)."""

    counts: Mapping[State, int]
    oldest_s: Mapping[State, float]
    destinations: Mapping[str, DestinationNumbers]
    counters: Mapping[tuple[str, str], int]
    held: int


def read_statistics(store: OutgoingStore) -> Statistics:
    """Raises Unavailable while the store is away."""
    keys, states, names = store.keys, tuple(State), store.destination_names()
    pipe = store.client.pipeline(transaction=False)
    pipe.time()
    pipe.hgetall(f"{keys.prefix}counters")
    pipe.zcard(keys.held)
    for state in states:
        pipe.zcard(keys.requests_in(state))
    for state in AGED:
        pipe.zrange(keys.requests_in(state), 0, 0)
    for name in names:
        for table in (keys.pending(name), keys.live(name), keys.failed(name), keys.due(name)):
            pipe.zcard(table)
        pipe.hexists(keys.destination(name), "paused")
    with store_errors():
        answers = iter(pipe.execute())
    seconds, micros = next(answers)
    counters, held = _counters(next(answers)), int(next(answers))
    counts = {state: int(next(answers)) for state in states}
    oldest = {state: found[0].decode() for state in AGED if (found := next(answers))}
    destinations = {
        name: DestinationNumbers(
            tables={table: int(next(answers)) for table in _TABLES},
            in_flight_limit=store.destinations.of(name).in_flight,
            paused=bool(next(answers)),
        )
        for name in names
    }
    ages = _ages(store, oldest, int(seconds) * 1000 + int(micros) // 1000)
    return Statistics(counts, ages, destinations, counters, held)


def _counters(raw: Mapping[bytes, bytes]) -> dict[tuple[str, str], int]:
    counters = {}
    for name, value in raw.items():
        destination, _, word = name.decode().rpartition(":")
        counters[destination, word] = int(value)
    return counters


def _ages(store: OutgoingStore, oldest: Mapping[State, str], now_ms: int) -> dict[State, float]:
    if not oldest:
        return {}
    pipe: Any = store.client.pipeline(transaction=False)
    for request_id in oldest.values():
        pipe.hget(store.keys.request(request_id), "createdAt")
    with store_errors():
        created = pipe.execute()
    return {
        state: max(0.0, (now_ms - int(at)) / 1000) for state, at in zip(oldest, created, strict=True) if at
    }
