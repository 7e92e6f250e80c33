"""How long planning keeps what was deleted: as long as the history of requests.

Until then a deleted event or job keeps its revision and sourceVersion, so that no late call and no old ETag passes for
something new. An event is kept longer while jobs wait for it: they are counted together.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from app.outgoing.errors import Again
from app.outgoing.model import Acceptance, Guard, Write
from app.outgoing.store import OutgoingStore
from app.platform.keys import Keys
from app.platform.redis import store_errors


def forget(outgoing: OutgoingStore, acceptance: Acceptance) -> bool:
    """Take something away; False where it has changed since it was looked at."""
    try:
        outgoing.accept(acceptance)
    except Again:
        return False
    return True


class DeletedPlans:
    """Visitors of `platform.walk`. Raise Unavailable while the store is away."""

    def __init__(self, outgoing: OutgoingStore) -> None:
        self._outgoing = outgoing
        self._keys: Keys = outgoing.keys

    def jobs(self, names: Sequence[str]) -> int:
        """Forget jobs whose time is over; how many."""
        return sum(
            forget(
                self._outgoing, Acceptance(guards=_is_deleted(name, revision), writes=(Write("DEL", name),))
            )
            for name, revision in self._deleted(names)
        )

    def events(self, names: Sequence[str]) -> int:
        """Forget events whose time is over, and counters that only jobs have left, which are gone; how many."""
        counters = [name for name in names if name.endswith(":revision")]
        gone = sum(self._forget_counter(name, value) for name, value in self._lone(counters))
        events = [name for name in names if name.removeprefix(self._keys.prefix).count(":") == 1]
        for name, revision in self._deleted(events):
            acceptance = Acceptance(
                guards=(*_is_deleted(name, revision), _has_no_jobs(name)),
                writes=(Write("DEL", name), Write("DEL", f"{name}:revision")),
            )
            gone += forget(self._outgoing, acceptance)
        return gone

    def _deleted(self, names: Sequence[str]) -> Iterator[tuple[str, str]]:
        """Those that were deleted long enough ago, with their revisions."""
        before = self._outgoing.time_ms() - self._outgoing.keep_ms
        with store_errors():
            pipe = self._outgoing.client.pipeline(transaction=False)
            for name in names:
                pipe.hmget(name, "body", "revision", "deletedAt")
            found = pipe.execute() if names else []
        for name, (body, revision, deleted_at) in zip(names, found, strict=True):
            if body is None and deleted_at is not None and int(deleted_at) <= before:
                yield name, (revision or b"").decode()

    def _lone(self, counters: Sequence[str]) -> Iterator[tuple[str, str]]:
        """Counters of what is no event and has no job, with their values."""
        with store_errors():
            pipe = self._outgoing.client.pipeline(transaction=False)
            for name in counters:
                event = name.removesuffix(":revision")
                pipe.get(name)
                pipe.exists(event, f"{event}:jobs")
            found = pipe.execute() if counters else []
        for name, value, others in zip(counters, found[::2], found[1::2], strict=True):
            if value is not None and not others:
                yield name, value.decode()

    def _forget_counter(self, name: str, value: str) -> bool:
        event = name.removesuffix(":revision")
        guards = (Guard(("GET", name), value), Guard(("HGET", event, "revision"), ""), _has_no_jobs(event))
        return forget(self._outgoing, Acceptance(guards=guards, writes=(Write("DEL", name),)))


def _is_deleted(name: str, revision: str) -> tuple[Guard, ...]:
    return Guard(("HGET", name, "revision"), revision), Guard(("HGET", name, "body"), "")


def _has_no_jobs(event: str) -> Guard:
    return Guard(("ZREVRANGE", f"{event}:jobs", "0", "0"), "")
