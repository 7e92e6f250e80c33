"""The suspect content media or path: after a write of unknown outcome, and a newer delivery, look once more what AVOS shows.

Where lastModified has whole seconds, a PATCH that was lost on its way may still land after a newer one and undo it,
under a condition that holds. One lease after the newer delivery it can't any more; then what AVOS shows is compared
with what was delivered last, and what differs is sent again. What AVOS doesn't show is sent again too, once.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from app.avos.client import AvosClient
from app.avos.comparison import Match, compare, in_section, member_of
from app.avos.paths import get_path_for, live_path, section_of, source_path
from app.avos.repair import drifted, repetition
from app.outgoing.attempts import CallFailed
from app.outgoing.errors import Again
from app.outgoing.fields import Field, FieldReader
from app.outgoing.model import AVOS, PATH_LANE, NewRequest, State, TimelineNote
from app.outgoing.service import RequestService
from app.outgoing.store import OutgoingStore, Suspect
from app.platform.clock import from_ms
from app.platform.log import get_logger
from app.platform.redis import store_errors

FEW: Final = 5  # taken at a time, so that what time doesn't allow isn't put off
READABLE: Final = frozenset({"closed", "recovering"})  # states of a destination that may be read
_OF_OWNER: Final = ("state", "lane", "contentMediaId", "kind", "path", "livestreamId", "eventId", "jobId", "generation",
                    "urgentAt", "eventEndAt")  # fmt: skip

log = get_logger()


@dataclass(frozen=True, slots=True)
class _Stand:
    """A member whose newest desired value was delivered: it must be what AVOS shows."""

    field: Field
    owner: dict[str, str]  # the request that has set it

    @property
    def value(self) -> Any:
        return json.loads(self.field.delivered or b"null")


class _Away(Exception):
    """AVOS doesn't answer: the rest stays suspect."""


class ReadBack:
    """`timeout_s` bounds one GET."""

    def __init__(
        self, store: OutgoingStore, requests: RequestService, client: AvosClient, *, timeout_s: float
    ) -> None:
        self._store = store
        self._requests = requests
        self._client = client
        self._fields = FieldReader(store)
        self._timeout_s = timeout_s

    def run(self, seconds: float = 1.0) -> int:
        """Read back what is suspect, one after the other, for about so long; how many were looked at. What has open
        requests, or is held, is put off by a lease; so is all of it while AVOS is away."""
        if self._requests.destination(AVOS)["state"] not in READABLE:
            return 0
        until, looked = time.monotonic() + seconds, 0
        while time.monotonic() < until:
            suspects = self._store.suspects(AVOS, FEW)
            for suspect in suspects:
                if self._is_busy(suspect.name):
                    continue
                try:
                    self._look(suspect)
                except _Away:
                    return looked
                looked += 1
            if len(suspects) < FEW:
                break
        return looked

    def _is_busy(self, name: str) -> bool:
        if name.startswith(PATH_LANE):
            return self._fields.has_open(AVOS, name.removeprefix(PATH_LANE))
        [lane] = self._store.lane_summaries(AVOS, [name])
        return lane.behind or lane.held

    def _look(self, suspect: Suspect) -> None:
        stands = self._stands(suspect.name)
        try:
            if stands and not self._mend(stands):
                return
        except Again:  # something newer has come: it is sent, and then this is read back again
            return
        self._store.cleared(AVOS, suspect)

    def _paths(self, name: str) -> list[str]:
        """The paths whose fields are compared."""
        if name.startswith(PATH_LANE):
            return [name.removeprefix(PATH_LANE)]
        own = (live_path(name), source_path(name).rstrip("/"))
        return list(dict.fromkeys([*own, *self._fields.delivered_paths(name)]))

    def _stands(self, name: str) -> list[_Stand]:
        """What was delivered last, and is still desired. Planning may have moved on, or withdrawn a value: then what
        was delivered before must not come back."""
        known = [
            field
            for fields in self._fields.of(AVOS, self._paths(name))
            for field in fields.values()
            if field.request_id and field.delivered is not None and field.desires(field.delivered)
        ]
        owners = self._owners({field.request_id for field in known})
        return [
            _Stand(field, owners[field.request_id])
            for field in known
            if owners[field.request_id].get("state") == State.DELIVERED
        ]

    def _owners(self, request_ids: set[str]) -> dict[str, dict[str, str]]:
        ids = sorted(request_ids)
        with store_errors():
            pipe = self._store.client.pipeline(transaction=False)
            for request_id in ids:
                pipe.hmget(self._store.keys.request(request_id), _OF_OWNER)
            found = pipe.execute()
        return {
            request_id: {name: value.decode() for name, value in zip(_OF_OWNER, values, strict=True) if value}
            for request_id, values in zip(ids, found, strict=True)
        }

    def _mend(self, stands: list[_Stand]) -> bool:
        """Compare, and send again what differs or isn't shown; False where AVOS can't be read."""
        path = get_path_for(stands[0].owner["path"])
        try:
            deadline = time.monotonic() + self._timeout_s
            document = self._client.read(path, deadline=deadline).document
        except CallFailed as failed:
            if failed.error.destination_fault:
                raise _Away from failed
            return failed.error.status in (404, 410)  # there is nothing that could be stale
        verdicts = [(stand, _verdict(document, stand)) for stand in stands]
        again = [stand for stand, verdict in verdicts if verdict is not Match.EQUAL]
        different = [stand for stand, verdict in verdicts if verdict is Match.DIFFERENT]
        if again:
            self._send_again(path, document, again, different)
        return True

    def _send_again(
        self, path: str, document: Mapping[str, Any], again: list[_Stand], different: list[_Stand]
    ) -> None:
        """Raises Again."""
        media = again[0].owner.get("contentMediaId")
        by_owner: dict[str, list[_Stand]] = {}
        for stand in again:
            by_owner.setdefault(stand.field.request_id, []).append(stand)
        acceptance = repetition(
            self._store.keys,
            (
                (_request(stands), {stand.field.name: stand.field for stand in stands})
                for stands in by_owner.values()
            ),
        )
        names = [stand.field.name for stand in different]
        detail = {"cause": "late_write", "different": names, "sent": [stand.field.name for stand in again]}
        what = "healed" if different else "sent-again"
        notes = (TimelineNote(media, what, detail),) if media is not None else ()
        told = [{"name": s.field.name, "wanted": s.value, "shown": _shown(document, s)} for s in different]
        happening = drifted(media, "late_write", told, path=path, healed=True)
        accepted = self._store.accept(
            replace(acceptance, notes=notes, happenings=(happening,) if different else ())
        )
        log.info(
            "read back", content_media_id=media, path=path, different=names, request_ids=accepted.request_ids
        )


def _shown(document: Mapping[str, Any], stand: _Stand) -> Any:
    return member_of(in_section(document, section_of(stand.owner["path"])), stand.field.name)


def _verdict(document: Mapping[str, Any], stand: _Stand) -> Match:
    name = stand.field.name
    return compare(document, {name: stand.value}, section_of(stand.owner["path"]))[name]


def _request(stands: list[_Stand]) -> NewRequest:
    """The members again, as the request that has set them."""
    owner = stands[0].owner

    def time_of(name: str) -> Any:
        return from_ms(int(owner[name])) if name in owner else None

    return NewRequest(
        destination=AVOS,
        title=owner.get("title"),
        lane=owner["lane"],
        kind=owner["kind"],
        method="PATCH",
        path=owner["path"],
        members={stand.field.name: stand.value for stand in stands},
        content_media_id=owner.get("contentMediaId"),
        livestream_id=owner.get("livestreamId"),
        event_id=owner.get("eventId"),
        job_id=owner.get("jobId"),
        generation=int(owner.get("generation", 0)),
        urgent_at=time_of("urgentAt"),
        event_end=time_of("eventEndAt"),
    )
