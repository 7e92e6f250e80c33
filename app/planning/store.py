"""Reads of planning: pipelined, and in an order that makes guards sound (revision before what it covers).

There are no writes here: every change goes through `OutgoingStore.accept` with what it causes.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Final

from app.planning.keys import PlanningKeys
from app.planning.plans import EventState, LivestreamState, Plans
from app.planning.records import Ids, Kind, Record, version_from
from app.platform.clock import from_ms
from app.platform.cursors import Page
from app.platform.keys import Keys, alike, fold
from app.platform.redis import RedisClient, store_errors

FIELDS: Final = ("revision", "body", "sourceVersion", "createdAt", "updatedAt", "deletedAt")
# Newest members read of an event's jobs and a livestream's events: more than one batch can take away.
DEPTH: Final = 128
_LOOK_AT: Final = 5_000  # events looked at for a name
_CHUNK: Final = 200  # of them read in one go


class PlanningStore:
    """Events, jobs and livestreams as they stand in Redis. Raises Unavailable while it is away."""

    def __init__(self, client: RedisClient, keys: Keys) -> None:
        self._client = client
        self.keys = PlanningKeys.of(keys)

    def record(self, kind: Kind, identifier: str) -> Record:
        """One event or job; without a body where there is none."""
        with store_errors():
            return _record(self._client.hmget(self._record_key(kind, identifier), *FIELDS))

    def page(self, kind: Kind, limit: int, after: str | None) -> Page[tuple[str, Record]]:
        """Events or jobs in the order of their creation; `after` is a page's `next`."""
        index = self.keys.events if kind == "event" else self.keys.jobs
        with store_errors():
            query = self._client.pipeline(transaction=False)
            query.zrangebyscore(
                index, f"({after}" if after else "-inf", "+inf", start=0, num=limit + 1, withscores=True
            )
            [members] = query.execute()
            names = [member.decode() for member, _ in members[:limit]]
            pipe = self._client.pipeline(transaction=False)
            for name in names:
                pipe.hmget(self._record_key(kind, name), *FIELDS)
            records = [_record(values) for values in pipe.execute()]
        items = [(name, record) for name, record in zip(names, records, strict=True) if record.exists]
        return Page(items, str(int(members[limit - 1][1])) if len(members) > limit else None)

    def search_events(self, text: str, limit: int) -> list[tuple[str, str]]:
        """(id, name) of events with this text in either, whatever its case; the newest first. Looks at a bounded number."""
        with store_errors():
            query = self._client.pipeline(transaction=False)
            query.zrevrange(self.keys.events, 0, _LOOK_AT - 1)
            [ids] = query.execute()
        found: list[tuple[str, str]] = []
        for start in range(0, len(ids), _CHUNK):
            states = self.read(Ids(events=_texts(ids[start : start + _CHUNK]))).events
            for event_id, state in states.items():
                name = str((state.record.body or {}).get("name") or "unnamed")
                if state.record.exists and (alike(text, name) or alike(text, event_id)):
                    found.append((event_id, name))
                if len(found) >= limit:
                    return found
        return found

    def read(self, ids: Ids) -> Plans:
        """All of these in one round trip, without the generations of registrations."""
        pipe = self._client.pipeline(transaction=False)
        for event_id in ids.events:
            pipe.get(self.keys.event_revision(event_id))
            pipe.hmget(self.keys.event(event_id), *FIELDS)
            pipe.zrevrange(self.keys.event_jobs(event_id), 0, DEPTH - 1)
        for job_id in ids.jobs:
            pipe.hmget(self.keys.job(job_id), *FIELDS)
        for livestream_id in ids.livestreams:
            pipe.hget(self.keys.active_by_livestream, livestream_id)
            pipe.zrevrange(self.keys.livestream_events(livestream_id), 0, DEPTH - 1)
        with store_errors():
            answers = iter(pipe.execute())
        return Plans(
            {
                one: EventState(int(next(answers) or 0), _record(next(answers)), _texts(next(answers)))
                for one in ids.events
            },
            {one: _record(next(answers)) for one in ids.jobs},
            {
                one: LivestreamState(content_media_id=_text(next(answers)), owners=_texts(next(answers)))
                for one in ids.livestreams
            },
        )

    def generations(self, content_media_ids: Sequence[str]) -> list[int]:
        """The current registration generation of each content media, at least one."""
        with store_errors():
            found = self._client.hmget(self.keys.generations, *(fold(media) for media in content_media_ids))
        return [int(each or 0) for each in found]

    def answer_key(self, digest: str) -> str:
        """Where a batch's whole answer stands beside its Idempotency-Key."""
        return f"{self.keys.idempotency(digest)}:answer"

    def earlier_answer(self, digest: str) -> bytes | None:
        """The answer of a batch that was worked through under this key."""
        with store_errors():
            return self._client.get(self.answer_key(digest))

    def _record_key(self, kind: Kind, identifier: str) -> str:
        return self.keys.event(identifier) if kind == "event" else self.keys.job(identifier)


def _record(values: Sequence[bytes | None]) -> Record:
    revision, body, version, created_at, updated_at, deleted_at = values
    return Record(
        body=json.loads(body) if body else None,
        revision=int(revision or 0),
        source_version=version_from(version.decode()) if version else None,
        created_at=from_ms(int(created_at)) if created_at else None,
        updated_at=from_ms(int(updated_at)) if updated_at else None,
        deleted_at=from_ms(int(deleted_at)) if deleted_at else None,
    )


def _text(value: bytes | None) -> str | None:
    return None if value is None else value.decode()


def _texts(values: Iterable[bytes]) -> tuple[str, ...]:
    return tuple(value.decode() for value in values)
