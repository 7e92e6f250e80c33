"""What has to happen every so often, whoever asks for it: each of these may run twice, or late."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from app.events.memory import EventMemory
from app.events.retention import trim_logs
from app.outgoing.operations import Operations
from app.outgoing.store import OutgoingStore
from app.platform.redis import store_errors

FULL_SHARE: Final = 0.85  # of maxmemory: above it, accept takes no new work and the rest drains
AUDIT_CHUNKS: Final = 100  # of 50 records
EXPIRE_S: Final = 3.0  # of a tick: retries must not wait for a hundred thousand expiries
MARKED_LANES: Final = 500  # of a tick
MARKS_CALLS: Final = 200  # of a tick, for 100 marks each
TRIM_S: Final = 20.0  # of the minute between two
_FULL_FOR_MS: Final = 30_000  # the mark falls off by itself if nobody renews it


@dataclass(frozen=True, slots=True)
class Swept:
    """What one retry tick did."""

    expired: int
    swept: int
    promoted: int


class Ticks:
    """The outgoing package's regular work."""

    def __init__(
        self,
        store: OutgoingStore,
        operations: Operations,
        *,
        keep_log: timedelta = timedelta(days=7),
        forgetting: Sequence[Callable[[], int]] = (),
    ) -> None:
        """`forgetting`: what else has to go with time, of packages above; each says how many went."""
        self._store = store
        self._operations = operations
        self._keep_log = keep_log
        self._forgetting = forgetting
        self._event_memory = EventMemory(store.client, store.keys)

    def retry_failed(self) -> Swept:
        """The 10-second tick: give up what is too old, make the rest due, promote as many as may fly."""
        names = self._store.destination_names()
        expired = sum(self._store.expire(name, seconds=EXPIRE_S) for name in names)
        swept = sum(self._store.sweep(name) for name in names)
        return Swept(expired, swept, sum(self._store.promote(name) for name in names))

    def promote(self) -> int:
        """The safety net under lost wake-ups; behind an open breaker, the probes."""
        return sum(self._store.promote(name) for name in self._store.destination_names())

    def reclaim(self) -> int:
        """Take back what died with its worker."""
        return sum(self._store.reclaim(name) for name in self._store.destination_names())

    def trim(self) -> int:
        """Remove history, and entries of the event log, that are old enough."""
        before_ms = self._store.time_ms() - int(self._keep_log.total_seconds() * 1000)
        gone = self._store.trim(seconds=TRIM_S) + trim_logs(self._store.client, self._store.keys, before_ms)
        with store_errors():
            if self._store.client.exists(
                self._store.keys.store_full
            ):  # then planning's records aren't written
                return gone
        return gone + sum(forget() for forget in self._forgetting)

    def audit(self) -> list[str]:
        """Check and mend the invariant for the next few thousand open records; the ids that were mended.

        A million open records take some hours to go round, and no tick costs more than another.
        """
        client, key = self._store.client, f"{self._store.keys.prefix}audit:cursor"
        mended: list[str] = []
        with store_errors():
            cursor = (client.get(key) or b"0").decode()
        for _ in range(AUDIT_CHUNKS):
            cursor, some = self._store.audit_chunk(cursor)
            mended += some
            if cursor == "0":
                break
        with store_errors():
            client.set(key, cursor)
        self.clear_marks()
        return mended

    def clear_marks(self) -> None:
        """Look through the marks of the next registered content media that seem out of step, and of what was left over."""
        client, key = self._store.client, f"{self._store.keys.prefix}marks:cursor"
        with store_errors():
            cursor = int(client.get(key) or b"0")
            cursor, some = client.hscan(self._store.keys.active_by_media, cursor, count=MARKED_LANES)
            client.set(key, str(cursor))
        lanes = [media.decode() for media in some]
        for name in self._store.destination_names():
            for start in range(0, len(lanes), MARKED_LANES):
                self._store.look_through(name, lanes[start : start + MARKED_LANES])
            self._store.clear_marks(name, MARKS_CALLS)

    def work_on_operations(self, seconds: float = 0.8) -> int:
        """Go on with operators' bulk verbs."""
        return self._operations.work(seconds)

    def watch_memory(self) -> bool:
        """Mark the store as full while more than `FULL_SHARE` of maxmemory is used, and keep events within their share of it;
        returns whether it is full."""
        self._event_memory.look_after(self._store.time_ms())
        client, key = self._store.client, self._store.keys.store_full
        with store_errors():
            memory = client.info("memory")
            limit = int(memory.get("maxmemory", 0))
            full = limit > 0 and int(memory["used_memory"]) > FULL_SHARE * limit
            if full:
                client.set(key, "1", px=_FULL_FOR_MS)
            else:
                client.delete(key)
        return full
