"""The share of the store's memory that events may take: the log, its guids, and the delivery logs. Never
the part that planning needs: publishing is refused before accepting is, and before that the log is kept
shorter.

A tick measures and cuts, a little at a time: a limit that somebody sets too low, and puts right a minute later,
must not cost the whole log; nothing is published meanwhile. Between two ticks the publishing script takes what it
writes off the room that the last one left.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from app.events.catalogue import TOPICS
from app.events.keys import EventKeys
from app.events.log import GUID_SPANS, GUIDS_KNOWN
from app.events.retention import CHUNK
from app.platform import log
from app.platform.keys import Keys
from app.platform.redis import RedisClient, store_errors

SHORT_SHARE: Final = (
    0.70  # of maxmemory, taken by anything: above it nothing is published, and the log is cut
)
EVENTS_SHARE: Final = 0.50  # of maxmemory: what log and guids may take
GUIDS_SHARE: Final = 0.15  # of maxmemory: what the guids may take of that
GUID_BYTES: Final = 50  # measured on Valkey 9.1: 41 in a small hash, 49 in one of a million
MOST_GUIDS: Final = 20_000_000  # where the server has no maxmemory
LEAST_KEPT: Final = 100  # entries of a topic that stay in any case
MOST_A_TICK: Final = 0.05  # of a topic's entries
_SLACK: Final = 0.02  # of maxmemory, cut beyond what is needed
_STEPS: Final = 500  # of a tick and topic, `CHUNK` entries each; what is left waits for the next
_SAMPLES: Final = 20  # of a log's nodes, from which the server estimates its size
_SHORT_JOURNAL: Final = 100  # entries of a delivery log while memory is short
_GROUP: Final = 50  # delivery logs cut in one go
_log = log.get_logger()


@dataclass(frozen=True, slots=True)
class MemoryUse:
    """What is in the store: `used` bytes of `limit` (0: none is set), `logs`: topic → bytes, `guids`: key →
    how many, the oldest first."""

    limit: int
    used: int
    logs: Mapping[str, int]
    guids: Mapping[str, int]


def to_cut(use: MemoryUse) -> int:
    """Bytes that the log has to lose."""
    if use.limit <= 0:
        return 0
    events = sum(use.logs.values()) + sum(use.guids.values()) * GUID_BYTES
    beyond = max(use.used - SHORT_SHARE * use.limit, events - EVENTS_SHARE * use.limit)
    return int(beyond + _SLACK * use.limit) if beyond > 0 else 0


def to_drop(use: MemoryUse) -> str | None:
    """The key of guids that is dropped, the oldest, where there are too many."""
    bound = MOST_GUIDS if use.limit <= 0 else int(GUIDS_SHARE * use.limit / GUID_BYTES)
    return next(iter(use.guids)) if sum(use.guids.values()) > bound else None


def room(limit: int, used: int) -> int | None:
    """Bytes that may be published until the next tick; None: any number."""
    return None if limit <= 0 else max(0, int(SHORT_SHARE * limit) - used)


class EventMemory:
    """`look_after` is the tick. Raises Unavailable while the store is away."""

    def __init__(self, client: RedisClient, keys: Keys) -> None:
        self._client = client
        self._keys = EventKeys.of(keys)

    def look_after(self, now_ms: int) -> bool:
        """Cut what is too much and note the room that is left; whether anything may be published."""
        use = self._use(now_ms)
        oldest = to_drop(use)
        dropped = self._drop(oldest, use.guids) if oldest else 0
        cut = self._cut(use, to_cut(use))
        limit, used = self._memory()
        if cut or dropped:
            _log.warning("memory is short: events cut", entries=cut, guids=dropped, used=used, limit=limit)
        left = room(limit, used)
        key = self._keys.events_room
        with store_errors():
            if left is None:
                self._client.delete(key)
            else:
                self._client.set(key, left)
            pipe = self._client.pipeline(transaction=False)
            pipe.hset(
                self._keys.events_memory,
                mapping={
                    "log": sum(use.logs.values()),
                    "guids": sum(use.guids.values()) - dropped,
                    "room": -1 if left is None else left,
                },
            )
            pipe.hincrby(self._keys.events_memory, "cut", cut)
            pipe.hincrby(self._keys.events_memory, "dropped", dropped)
            pipe.execute()
        return left is None or left > 0

    def noted(self) -> dict[str, int]:
        """What the last tick has found (log, guids, room: -1 without a bound), and since the beginning:
        entries cut, guids dropped."""
        with store_errors():
            found = self._client.hgetall(self._keys.events_memory)
        return {name.decode(): int(value) for name, value in found.items()}

    def _memory(self) -> tuple[int, int]:
        with store_errors():
            memory = self._client.info("memory")
        return int(memory.get("maxmemory", 0)), int(memory["used_memory"])

    def _use(self, now_ms: int) -> MemoryUse:
        limit, used = self._memory()
        keys = list(self._guid_keys(now_ms))
        pipe = self._client.pipeline(transaction=False)
        for topic in TOPICS:
            pipe.memory_usage(self._keys.log(topic), samples=_SAMPLES)
        for key in keys:
            pipe.hlen(key)
        with store_errors():
            answers = pipe.execute()
        logs = {topic: int(size or 0) for topic, size in zip(TOPICS, answers, strict=False)}
        counts = zip(keys, answers[len(TOPICS) :], strict=True)
        return MemoryUse(limit, used, logs, {key: int(count) for key, count in counts if count})

    def _guid_keys(self, now_ms: int) -> Iterator[str]:
        newest = now_ms * GUID_SPANS // int(GUIDS_KNOWN.total_seconds() * 1000)
        for span in range(newest - GUID_SPANS, newest + 2):
            for topic in TOPICS:
                yield self._keys.log_guids(topic, span)

    def _drop(self, key: str, counts: Mapping[str, int]) -> int:
        with store_errors():
            self._client.unlink(key)
        return counts[key]

    def _cut(self, use: MemoryUse, excess: int) -> int:
        """Each topic loses by its share; how many entries went."""
        total = sum(use.logs.values())
        if excess <= 0:
            return 0
        self._cut_journals()
        share = min(MOST_A_TICK, excess / total) if total else 0.0
        return sum(self._cut_log(topic, share) for topic, size in use.logs.items() if size)

    def _cut_log(self, topic: str, share: float) -> int:
        key = self._keys.log(topic)
        with store_errors():
            length = self._client.xlen(key)
            first = self._client.xrange(key, count=1)
        left = min(int(length * share) + 1, length - LEAST_KEPT, _STEPS * CHUNK)
        place, removed = int(first[0][0].split(b"-")[0]) if first else 0, 0
        while left > removed:
            place += min(CHUNK, left - removed)
            with store_errors():
                removed += self._client.xtrim(key, minid=f"{place}-0", approximate=False)
        return removed

    def _cut_journals(self) -> None:
        with store_errors():
            ids = [one.decode() for one in self._client.zrange(self._keys.subscriptions, 0, -1)]
            for at in range(0, len(ids), _GROUP):
                pipe: Any = self._client.pipeline(transaction=False)
                for one in ids[at : at + _GROUP]:
                    pipe.xtrim(self._keys.deliveries(one), maxlen=_SHORT_JOURNAL, approximate=True)
                pipe.execute()
