"""How an `Acceptance` travels to the accept script: names and numbers as JSON, payloads as bytes beside it.

The script decodes the JSON, so nothing may stand in it that must survive exactly; users' values are
referred to by their place among the payloads (from 1).
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Final

from app.outgoing.destinations import Destinations
from app.outgoing.model import ABSENT, Acceptance, NewRequest, Now, Value, Write, digest, encode, guards_text
from app.platform.clock import later, to_ms
from app.platform.keys import fold, quoted

Control = dict[str, Any]
TITLE: Final = 100  # characters of an event's name that a record keeps, for people


class _Payloads(list[bytes]):
    def place(self, payload: bytes) -> int:
        self.append(payload)
        return len(self)


def acceptance_control(acceptance: Acceptance, destinations: Destinations) -> tuple[Control, list[bytes]]:
    """The script's control object and its payloads."""
    payloads = _Payloads()
    control: Control = {
        "guards": [[guard.expected, *guard.command] for guard in acceptance.guards],
        "writes": [_write(write, payloads) for write in acceptance.writes],
        "requests": [
            _request(request, destinations.of(request.destination).grace, payloads)
            for request in acceptance.requests
        ],
        "recheck": [list(lane) for lane in acceptance.recheck],
        "happenings": [
            [h.topic, h.name, payloads.place(encode(dict(h.fields)))] for h in acceptance.happenings
        ],
        "notes": [
            [fold(n.content_media_id), n.what, payloads.place(encode(dict(n.detail)))]
            for n in acceptance.notes
        ],
    }
    if acceptance.idempotency is not None:
        control["idempotency"] = {
            "digest": acceptance.idempotency.digest,
            "fingerprint": acceptance.idempotency.fingerprint,
        }
    return control, payloads


def _write(write: Write, payloads: _Payloads) -> list[Any]:
    def argument(value: Value) -> Any:
        if isinstance(value, bytes):
            return {"p": payloads.place(value)}
        if isinstance(value, (str, int)):
            return str(value)
        return {"n": 1} if isinstance(value, Now) else {"s": 1}

    return [write.command, write.key, *(argument(value) for value in write.args)]


def _request(request: NewRequest, grace: timedelta, payloads: _Payloads) -> Control:
    made: Control = {
        "id": request.id,
        "destination": request.destination,
        "lane": request.lane,
        "kind": request.kind,
        "method": request.method,
        "path": request.path,
        "versionPath": version_path(request),
        "forced": request.forced,
        "fields": _fields(request, grace),
    }
    if request.guards:
        made["guards"] = guards_text(request.guards)
    if request.urgent_at is not None:
        made["urgency"] = to_ms(request.urgent_at)
    if request.rejected is not None:
        made["rejected"] = request.rejected
        made["rejected_detail"] = REJECTED_DETAIL.get(request.rejected, "This PATCH can't be composed.")
    if request.members is not None:
        made["members"] = _members(request.members, request.rejected, payloads)
        made["empty"] = all(value is ABSENT for value in request.members.values())
    elif request.body is not None:
        made["body"] = payloads.place(request.body)
    return made


REJECTED_DETAIL = {
    "no_job": "The event has no job that counts, so there is no booking to send.",
    "no_livestream": "The registered livestream is in no event.",
    "no_dmhe_resource": "No visible resource of the job has the DMHE property, so there is no source to send.",
}


def _members(given: Mapping[str, Any], rejected: str | None, payloads: _Payloads) -> list[list[Any]]:
    """Each with its digest and the place of its value: none for what is absent or was never composed."""
    members: list[list[Any]] = []
    for name, value in given.items():
        if rejected is not None:
            members.append([name, "!" + rejected])
        elif value is ABSENT:
            members.append([name, "-"])
        else:
            members.append([name, digest(value), payloads.place(encode(value))])
    return members


def version_path(request: NewRequest) -> str:
    """The path under which a request's fields are versioned: one content media has one, however its id is
    spelled and whether or not a slash ends it."""
    path = request.path.rstrip("/")
    if request.content_media_id is None:
        return path
    spelled, folded = quoted(request.content_media_id), quoted(fold(request.content_media_id))
    return "/".join(folded if segment == spelled else segment for segment in path.split("/"))


def _fields(request: NewRequest, grace: timedelta) -> list[list[str]]:
    def ms(instant: datetime | None) -> str | None:
        return None if instant is None else str(to_ms(instant))

    media = request.content_media_id
    fields = {
        "contentMediaId": media,
        "media": None if media is None else fold(media),
        "livestreamId": request.livestream_id,
        "eventId": request.event_id,
        "jobId": request.job_id,
        "title": None if request.title is None else " ".join(request.title.split())[:TITLE] or None,
        "urgentAt": ms(request.urgent_at),
        "eventEndAt": ms(request.event_end),
        "graceEndAt": ms(None if request.event_end is None else later(request.event_end, grace)),
        "deadline": ms(request.deadline),
        "versionPath": version_path(request),
        "contentType": None if request.content_type == "application/json" else request.content_type,
        "neverComposed": None if request.rejected is None else "1",
    }
    return [[name, value] for name, value in fields.items() if value is not None]
