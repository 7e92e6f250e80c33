"""What people and programs can see of outgoing requests, and do about them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Final

from app.outgoing.errors import NotAllowedInState
from app.outgoing.model import AVOS, State
from app.outgoing.records import OutgoingRecord, RecordReader, RequestFilter
from app.outgoing.status import DestinationStatus, condition
from app.outgoing.store import OutgoingStore
from app.outgoing.summary import FIELDS, Ending, read_ending
from app.platform.audit import AuditTrail
from app.platform.clock import from_ms
from app.platform.cursors import Page, decode_number, encode_number
from app.platform.errors import NotFound
from app.platform.keys import fold
from app.platform.redis import RedisClient, store_errors

_FINAL_SAYING: Final = {
    "guard": "What it was made for doesn't stand any more.",
    "unregistered": "Its registration was ended, or begun anew since; register and update instead.",
    "uncomposed": "It could not be composed, so there is nothing to send; correct the planning, then update.",
}


@dataclass(frozen=True, slots=True)
class TimelineEntry:
    """`what` happened `at` a time; `detail` names the request and the reason where there is one."""

    at: datetime
    what: str
    detail: Mapping[str, Any]


class RequestService:
    """The API's and the command line's verbs. `actor` is the name of the token that asked."""

    def __init__(self, store: OutgoingStore) -> None:
        self._store = store
        self._client: RedisClient = store.client
        self._keys = store.keys
        self.records = RecordReader(store.client, store.keys)
        self._audit = AuditTrail(store.client, store.keys, store.time_ms)

    # Seeing ---------------------------------------------------------------------------------------

    def get(self, request_id: str) -> OutgoingRecord:
        """One record with every attempt; raises NotFound."""
        record = self.records.get(request_id)
        if record is None:
            raise NotFound("There is no such request.", code="request_not_found", field="requestId")
        return record

    def state(self, request_id: str) -> State:
        """Only the state, for whoever waits for a final one; raises NotFound."""
        with store_errors():
            state = self._client.hget(self._keys.request(request_id), "state")
        if state is None:
            raise NotFound("There is no such request.", code="request_not_found", field="requestId")
        return State(state.decode())

    def ending(self, request_id: str) -> Ending | None:
        """How it stands after its last attempt, where there is such a request."""
        with store_errors():
            return read_ending(self._client.hmget(self._keys.request(request_id), *FIELDS))

    def search(self, wanted: RequestFilter, limit: int, cursor: str | None = None) -> Page[OutgoingRecord]:
        """Records, the newest first."""
        return self.records.page(wanted, limit, cursor)

    def timeline(self, content_media_id: str, limit: int, cursor: str | None = None) -> Page[TimelineEntry]:
        """What happened to a content media, the newest first."""
        top = "+" if cursor is None else f"({_stream_position(cursor)}"
        with store_errors():
            rows = self._client.xrevrange(self._keys.timeline(content_media_id), top, "-", count=limit)
        items = [
            TimelineEntry(
                at=from_ms(int(fields[b"at"])),
                what=fields[b"what"].decode(),
                detail=json.loads(fields[b"detail"]),
            )
            for _, fields in rows
        ]
        more = len(rows) == limit
        return Page(items, _stream_cursor(rows[-1][0].decode()) if more else None)

    def destinations(self) -> list[DestinationStatus]:
        """Every destination with what waits for it, what is in flight, and whether it is paused."""
        return [self.destination(name) for name in self._store.destination_names()]

    def destination(self, name: str) -> DestinationStatus:
        """One destination; raises NotFound."""
        self._check(name)
        with store_errors():
            pipe = self._client.pipeline(transaction=False)
            pipe.hgetall(self._keys.destination(name))
            pipe.zcard(self._keys.pending(name))
            pipe.zcard(self._keys.live(name))
            pipe.zcard(self._keys.failed(name))
            stored, runnable, live, failed = pipe.execute()
        found = condition(name, stored, self._store.time_ms())
        return DestinationStatus(
            **asdict(found),
            runnable=runnable,
            live=live,
            failed=failed,
            max_in_flight=self._store.destinations.of(name).in_flight,
        )

    def has_destination(self, name: str) -> bool:
        """Whether requests go there: an instance of a family only where there is such a one now."""
        return name in self._store.destination_names()

    def _check(self, name: str) -> None:
        if not self.has_destination(name):
            raise NotFound("There is no such destination.", code="destination_not_found", field="name")

    # Acting ---------------------------------------------------------------------------------------

    def retry(self, request_id: str, actor: str) -> OutgoingRecord:
        """Try a failed, rejected, expired or discarded request again, its age and deadline waived."""
        return self._act(request_id, "retry", actor)

    def discard(self, request_id: str, actor: str) -> OutgoingRecord:
        """Give up a request that isn't live; it stays in the history."""
        return self._act(request_id, "discard", actor)

    def _act(self, request_id: str, verb: str, actor: str) -> OutgoingRecord:
        word, about = self._store.act(request_id, verb, actor)
        if word == "missing":
            raise NotFound("There is no such request.", code="request_not_found", field="requestId")
        if word == "state":
            raise NotAllowedInState(f"A request that is {about} can't be {_PAST[verb]}.")
        if word == "superseded":
            raise NotAllowedInState(f"A newer request ({about}) has set all of its fields; retry that one.")
        if word != "ok":
            raise NotAllowedInState(_FINAL_SAYING.get(about, _FINAL_SAYING[word]))
        self.write_down(actor, verb, request_id)
        return self.get(request_id)

    def hold(self, content_media_id: str, actor: str) -> bool:
        """Keep a content media's requests back until `release`; False where it was held already."""
        changed = self._store.hold(AVOS, fold(content_media_id), actor)
        self.write_down(actor, "hold", content_media_id)
        return changed

    def release(self, content_media_id: str, actor: str) -> bool:
        """Let a held content media's requests go on; False where it wasn't held."""
        changed = self._store.hold(AVOS, fold(content_media_id), actor, release=True)
        self.write_down(actor, "release", content_media_id)
        return changed

    def pause(self, name: str, actor: str) -> DestinationStatus:
        """Send nothing to a destination until `resume`; what is in flight ends."""
        self._check(name)
        with store_errors():
            now = str(self._store.time_ms())
            self._client.hset(self._keys.destination(name), mapping={"paused": now, "pausedBy": actor})
        self.write_down(actor, "pause", name)
        return self.destination(name)

    def resume(self, name: str, actor: str) -> DestinationStatus:
        """Go on; what has failed meanwhile is tried at the next tick."""
        self._check(name)
        with store_errors():
            self._client.hdel(self._keys.destination(name), "paused", "pausedBy")
        self.write_down(actor, "resume", name)
        return self.destination(name)

    def write_down(self, actor: str, verb: str, target: str) -> None:
        """Every operator's action leaves an audit record."""
        self._audit.write_down(actor, verb, target)

    def audit_trail(self, limit: int) -> list[dict[str, Any]]:
        """The newest audit records."""
        return self._audit.newest(limit)


_PAST: Final = {"retry": "retried", "discard": "discarded"}


def _stream_cursor(entry_id: str) -> str:
    milliseconds, _, count = entry_id.partition("-")
    return f"{encode_number(int(milliseconds))}.{encode_number(int(count))}"


def _stream_position(cursor: str) -> str:
    milliseconds, _, count = cursor.partition(".")
    return f"{decode_number(milliseconds)}-{decode_number(count)}"
