"""Reading requests as they stand: one, or many by filter, page by page."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import Any, Final

from app.outgoing.keys import OutgoingKeys
from app.outgoing.model import State
from app.platform.clock import from_ms, parse_time, rfc3339, to_ms
from app.platform.cursors import Page, decode_number, encode_number
from app.platform.keys import Keys, alike, fold
from app.platform.redis import RedisClient, store_errors

_CHUNK: Final = 200  # records read in one round trip
_LOOK_AT: Final = 5_000  # records looked at for one page, whatever the filter leaves of them
_SHORTEST_PART: Final = 6  # of an id that is looked for by a part of it
_FILTERED: Final = ("state", "seq", "media", "method", "reason", "createdAt")


@dataclass(frozen=True, slots=True)
class RequestFilter:
    """All that is given must match. `error` is a code such as "timeout"."""

    state: State | None = None
    content_media_id: str | None = None
    method: str | None = None
    error: str | None = None
    created_after: datetime | None = None

    def as_json(self) -> dict[str, str]:
        """As it is stored and shown: what isn't asked about is left out."""
        given = {
            "state": self.state.value if self.state else None,
            "contentMediaId": self.content_media_id,
            "method": self.method,
            "error": self.error,
            "createdAfter": rfc3339(self.created_after) if self.created_after else None,
        }
        return {name: value for name, value in given.items() if value is not None}

    @classmethod
    def from_json(cls, given: Mapping[str, str]) -> RequestFilter:
        """The inverse of `as_json`."""
        return cls(
            state=State(given["state"]) if "state" in given else None,
            content_media_id=given.get("contentMediaId"),
            method=given.get("method"),
            error=given.get("error"),
            created_after=parse_time(given["createdAfter"]) if "createdAfter" in given else None,
        )


@dataclass(frozen=True, slots=True)
class OutgoingRecord:
    """A request as it stands. `lane`: as it is stored. `body`: a PATCH's members as one object, else the body.
    `reason` is a code, `error` its text. `attempts` as they are stored, the oldest first; some in the middle are left
    out where there were many."""

    id: str
    destination: str
    lane: str
    kind: str
    method: str
    path: str
    state: State
    body: Any = None
    withdrawn: tuple[str, ...] = ()
    attempts: tuple[Mapping[str, Any], ...] = ()
    attempt_count: int = 0
    content_media_id: str | None = None
    livestream_id: str | None = None
    event_id: str | None = None
    job_id: str | None = None
    created_at: datetime | None = None
    urgent_at: datetime | None = None
    event_end_at: datetime | None = None
    deadline: datetime | None = None
    first_failed_at: datetime | None = None
    next_try_at: datetime | None = None
    expires_at: datetime | None = None
    finished_at: datetime | None = None
    superseded_by: str | None = None
    reason: str | None = None
    error: str | None = None
    waived: bool = False

    @property
    def lateness_s(self) -> float | None:
        """Seconds after kick-off at which it was delivered, 0 in time; None where it wasn't, or was accepted later."""
        kick_off, finished = self.urgent_at, self.finished_at
        if self.state is not State.DELIVERED or kick_off is None or finished is None:
            return None
        if self.created_at is None or self.created_at >= kick_off:
            return None
        return max(0.0, (finished - kick_off).total_seconds())


class RecordReader:
    """Reads what the scripts wrote; writes nothing."""

    def __init__(self, client: RedisClient, keys: Keys) -> None:
        self._client = client
        self._keys = OutgoingKeys.of(keys)

    def get(self, request_id: str) -> OutgoingRecord | None:
        """One record with its attempts; None where there is none."""
        return next(iter(self.get_many([request_id])), None)

    def get_many(self, request_ids: Sequence[str]) -> list[OutgoingRecord]:
        """Records with their attempts, those that are gone left out."""
        with store_errors():
            pipe = self._client.pipeline(transaction=False)
            for request_id in request_ids:
                pipe.hgetall(self._keys.request(request_id))
                pipe.lrange(self._keys.attempts(request_id), 0, -1)
            read = pipe.execute()
        triples = zip(request_ids, read[::2], read[1::2], strict=True)
        return [_record(i, fields, attempts) for i, fields, attempts in triples if fields]

    def page(self, wanted: RequestFilter, limit: int, cursor: str | None = None) -> Page[OutgoingRecord]:
        """The newest first. Looks at a bounded number of records, so a page may be short and not the last."""
        before = decode_number(cursor) if cursor else None
        matches, last = self.matching(wanted, limit, before)
        items = self.get_many(matches)
        return Page(items, None if last is None else encode_number(last))

    def matching(
        self, wanted: RequestFilter, limit: int, before: int | None = None
    ) -> tuple[list[str], int | None]:
        """Ids that match, newest first, older than the sequence `before`; and where to go on, or None."""
        index = self._index(wanted)
        found: list[str] = []
        looked = 0
        for chunk in self._walk(index, before):
            for request_id, sequence, fields in chunk:
                looked += 1
                if wanted.created_after is not None and _older(fields, wanted.created_after):
                    return found, None
                if _matches(fields, wanted):
                    found.append(request_id)
                if len(found) >= limit or looked >= _LOOK_AT:
                    return found, sequence
        return found, None

    def _index(self, wanted: RequestFilter) -> str:
        if wanted.content_media_id is not None:
            return self._keys.requests_of(wanted.content_media_id)
        if wanted.state is not None:
            return self._keys.requests_in(wanted.state)
        return self._keys.requests

    def _walk(
        self, index: str, before: int | None
    ) -> Iterator[list[tuple[str, int, Mapping[str, bytes | None]]]]:
        """Chunks of (id, sequence, the fields that filters look at), newest first."""
        while True:
            with store_errors():
                top = "+inf" if before is None else f"({before}"
                rows = self._client.zrevrangebyscore(index, top, "-inf", 0, _CHUNK, True)
                if not rows:
                    return
                pipe = self._client.pipeline(transaction=False)
                for request_id, _ in rows:
                    pipe.hmget(self._keys.request(request_id.decode()), _FILTERED)
                values = pipe.execute()
            yield [
                (i.decode(), int(score), dict(zip(_FILTERED, row, strict=True)))
                for (i, score), row in zip(rows, values, strict=True)
            ]
            before = int(rows[-1][1])

    def ids_like(self, text: str, limit: int) -> list[str]:
        """Ids among the newest that begin with this text, or that it shortens (`8890…e2e7`)."""
        if len(text) < _SHORTEST_PART:
            return []
        with store_errors():
            newest = self._client.zrevrangebyscore(self._keys.requests, "+inf", "-inf", 0, _LOOK_AT, True)
        ids = (member.decode() for member, _ in newest)
        return list(
            islice((one for one in ids if one.startswith(text) or ("…" in text and alike(text, one))), limit)
        )

    def counts(self) -> dict[str, int]:
        """How many records stand in each state."""
        with store_errors():
            pipe = self._client.pipeline(transaction=False)
            for state in State:
                pipe.zcard(self._keys.requests_in(state))
            return dict(zip((s.value for s in State), pipe.execute(), strict=True))

    def oldest(self, state: State) -> datetime | None:
        """When the oldest record of a state was accepted."""
        with store_errors():
            first = self._client.zrange(self._keys.requests_in(state), 0, 0)
            if not first:
                return None
            created = self._client.hget(self._keys.request(first[0].decode()), "createdAt")
        return None if created is None else from_ms(int(created))


def _older(fields: Mapping[str, bytes | None], instant: datetime) -> bool:
    created = fields["createdAt"]
    return created is not None and int(created) < to_ms(instant)


def _matches(fields: Mapping[str, bytes | None], wanted: RequestFilter) -> bool:
    def is_(name: str, value: str | None) -> bool:
        return value is None or (fields[name] or b"").decode() == value

    if fields["state"] is None:
        return False  # trimmed while we looked
    media = None if wanted.content_media_id is None else fold(wanted.content_media_id)
    return (
        is_("state", wanted.state)
        and is_("media", media)
        and is_("method", wanted.method)
        and is_("reason", wanted.error)
    )


def _record(request_id: str, stored: Mapping[bytes, bytes], attempts: Sequence[bytes]) -> OutgoingRecord:
    def text(name: str) -> str | None:
        return stored.get(name.encode(), b"").decode() or None

    def time(name: str) -> datetime | None:
        value = text(name)
        return None if value is None else from_ms(int(value))

    return OutgoingRecord(
        id=request_id,
        destination=text("destination") or "",
        lane=text("lane") or "",
        kind=text("kind") or "",
        method=text("method") or "",
        path=text("path") or "",
        state=State(text("state") or ""),
        body=_body(stored),
        withdrawn=_withdrawn(stored),
        attempts=tuple(json.loads(attempt) for attempt in attempts),
        attempt_count=int(text("attemptCount") or 0),
        content_media_id=text("contentMediaId"),
        livestream_id=text("livestreamId"),
        event_id=text("eventId"),
        job_id=text("jobId"),
        created_at=time("createdAt"),
        urgent_at=time("urgentAt"),
        event_end_at=time("eventEndAt"),
        deadline=time("deadline"),
        first_failed_at=time("firstFailedAt"),
        next_try_at=time("nextTryAt"),
        expires_at=time("expiresAt"),
        finished_at=time("finishedAt"),
        superseded_by=text("supersededBy"),
        reason=text("reason"),
        error=text("error"),
        waived=text("waived") == "1",
    )


def _body(stored: Mapping[bytes, bytes]) -> Any:
    """A PATCH's members as one object (without `lastModified`), else the body: JSON if it is, or text."""
    members = stored.get(b"members")
    if members is not None:
        names = [name.encode() for name in json.loads(members)]
        return {n.decode(): json.loads(stored[b"body:" + n]) for n in names if b"body:" + n in stored}
    body = stored.get(b"body")
    if not body:
        return None
    try:
        return json.loads(body)
    except ValueError:
        return body.decode(errors="replace")


def _withdrawn(stored: Mapping[bytes, bytes]) -> tuple[str, ...]:
    """Members that planning has no value for: nothing is sent, and older values aren't either."""
    names = json.loads(stored.get(b"members", b"[]"))
    return tuple(name for name in names if b"body:" + name.encode() not in stored)
