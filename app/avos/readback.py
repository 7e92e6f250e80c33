"""Reading back what is suspect: after a write of unknown outcome and a newer delivery, does AVOS
show what it should?

Where lastModified has whole seconds, a PATCH that was lost on its way may still be applied after a
newer one, and undo it, because its condition still holds. One lease after the newer delivery that
can't happen any more. Then what AVOS shows is compared with what was delivered last. What differs
is sent again; what AVOS doesn't show is sent again too, once.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from app.avos.client import AvosClient
from app.avos.comparison import Match, compare, in_section, member_of
from app.avos.paths import get_path_for, live_path, section_of, source_path
from app.avos.repair import drifted, repetition
from app.avos.sync import registration_guards
from app.outgoing.attempts import CallFailed
from app.outgoing.errors import Again
from app.outgoing.fields import Field, FieldReader
from app.outgoing.model import AVOS, PATH_LANE, NewRequest, RequestGuard, State, TimelineNote, read_guards
from app.outgoing.service import RequestService
from app.outgoing.store import OutgoingStore, Suspect
from app.platform.clock import from_ms
from app.platform.log import get_logger
from app.platform.redis import store_errors

FEW: Final = 5  # suspects taken at a time: one that is taken and not checked comes again a lease later only
READABLE: Final = frozenset({"closed", "recovering"})  # states of a destination that may be read
# Of a record, what a repetition of its request needs.
_OF_OWNER: Final = (
    "state", "lane", "contentMediaId", "kind", "path", "livestreamId", "eventId", "jobId",
    "guards", "generation", "urgentAt", "eventEndAt",
)  # fmt: skip

log = get_logger()


@dataclass(frozen=True, slots=True)
class _Expected:
    """A member whose newest desired value was delivered: AVOS must show it. `owner`: of the record
    of the request that has set it, some fields."""

    field: Field
    owner: Mapping[str, str]

    @property
    def value(self) -> Any:
        return json.loads(self.field.delivered or b"null")

    def verdict(self, document: Mapping[str, Any]) -> Match:
        """How the document shows it."""
        name = self.field.name
        return compare(document, {name: self.value}, section_of(self.owner["path"]))[name]

    def difference(self, document: Mapping[str, Any]) -> dict[str, Any]:
        """What is wanted and what is shown, for an event."""
        section = in_section(document, section_of(self.owner["path"]))
        shown = member_of(section, self.field.name)
        return {"name": self.field.name, "wanted": self.value, "shown": shown}


class _Away(Exception):
    """AVOS can't be reached: the other suspects stay as they are."""


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
        """Read back what is suspect, one after the other, for about so long; how many were checked.
        A suspect that has open requests, or is held, comes again one lease later; while AVOS is
        away all of them do."""
        if self._requests.destination(AVOS).state not in READABLE:
            return 0
        until, checked = time.monotonic() + seconds, 0
        while time.monotonic() < until:
            suspects = self._store.suspects(AVOS, FEW)
            for suspect in suspects:
                if self._is_busy(suspect.name):
                    continue
                try:
                    self._check(suspect)
                except _Away:
                    return checked
                checked += 1
            if len(suspects) < FEW:
                break
        return checked

    def _is_busy(self, name: str) -> bool:
        if name.startswith(PATH_LANE):
            return self._fields.has_open(AVOS, name.removeprefix(PATH_LANE))
        [lane] = self._store.lane_summaries(AVOS, [name])
        return lane.behind or lane.held

    def _check(self, suspect: Suspect) -> None:
        expected = self._expected(suspect.name)
        try:
            if expected and not self._repair(expected):
                return
        except Again:  # a newer request has come: it is sent, and then the suspect is read back again
            return
        self._store.cleared(AVOS, suspect)

    def _paths(self, name: str) -> list[str]:
        """The paths whose fields are compared."""
        if name.startswith(PATH_LANE):
            return [name.removeprefix(PATH_LANE)]
        own = (live_path(name), source_path(name).rstrip("/"))
        return list(dict.fromkeys([*own, *self._fields.delivered_paths(name)]))

    def _expected(self, name: str) -> list[_Expected]:
        """What was delivered last and is still desired. Where planning has changed or withdrawn a
        value meanwhile, the delivered one must not come back."""
        known = [
            field
            for fields in self._fields.of(AVOS, self._paths(name))
            for field in fields.values()
            if field.request_id and field.delivered is not None and field.desires(field.delivered)
        ]
        owners = self._owners({field.request_id for field in known})
        return [
            _Expected(field, owners[field.request_id])
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

    def _repair(self, expected: list[_Expected]) -> bool:
        """Compare, and send again what differs or isn't shown; False where AVOS can't be read.
        Raises Again."""
        path = get_path_for(expected[0].owner["path"])
        try:
            deadline = time.monotonic() + self._timeout_s
            document = self._client.read(path, deadline=deadline).document
        except CallFailed as failed:
            if failed.error.destination_fault:
                raise _Away from failed
            return failed.error.status in (404, 410)  # there is nothing that could be stale
        verdicts = [(member, member.verdict(document)) for member in expected]
        again = [member for member, verdict in verdicts if verdict is not Match.EQUAL]
        different = [member for member, verdict in verdicts if verdict is Match.DIFFERENT]
        if again:
            self._send_again(path, again, [member.difference(document) for member in different])
        return True

    def _send_again(self, path: str, again: list[_Expected], different: list[dict[str, Any]]) -> None:
        media = again[0].owner.get("contentMediaId")
        names = [member["name"] for member in different]
        detail = {"cause": "late_write", "different": names, "sent": [one.field.name for one in again]}
        what = "healed" if different else "sent-again"
        event = drifted(media, "late_write", different, path=path, healed=True)
        accepted = self._store.accept(
            replace(
                repetition(self._store.keys, _by_owner(again)),
                notes=(TimelineNote(media, what, detail),) if media is not None else (),
                happenings=(event,) if different else (),
            )
        )
        log.info(
            "read back", content_media_id=media, path=path, different=names, request_ids=accepted.request_ids
        )


def _by_owner(again: Iterable[_Expected]) -> Iterator[tuple[NewRequest, Mapping[str, Field]]]:
    """The members again, each as the request that has set it, with their fields."""
    by_owner: dict[str, list[_Expected]] = {}
    for member in again:
        by_owner.setdefault(member.field.request_id, []).append(member)
    for members in by_owner.values():
        yield _request(members), {member.field.name: member.field for member in members}


def _request(members: list[_Expected]) -> NewRequest:
    owner = members[0].owner

    def time_of(name: str) -> Any:
        return from_ms(int(owner[name])) if name in owner else None

    return NewRequest(
        destination=AVOS,
        title=owner.get("title"),
        lane=owner["lane"],
        kind=owner["kind"],
        method="PATCH",
        path=owner["path"],
        members={member.field.name: member.value for member in members},
        content_media_id=owner.get("contentMediaId"),
        livestream_id=owner.get("livestreamId"),
        event_id=owner.get("eventId"),
        job_id=owner.get("jobId"),
        guards=_guards(owner),
        urgent_at=time_of("urgentAt"),
        event_end=time_of("eventEndAt"),
    )


def _guards(owner: Mapping[str, str]) -> tuple[RequestGuard, ...]:
    if "guards" in owner:
        return read_guards(owner["guards"])
    # The release before has noted the generation alone.
    return registration_guards(owner.get("contentMediaId", ""), int(owner.get("generation", 0)))
