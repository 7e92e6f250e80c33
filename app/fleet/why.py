"""What is going on with an id, in plain sentences: of a request, content media, livestream, event, job, operation or
subscription."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote

from app.events.subscriptions.service import SubscriptionService
from app.events.subscriptions.telling import sentences
from app.fleet.service import FleetService, FleetState, Member
from app.outgoing.model import OPEN, State
from app.outgoing.operations import Operations
from app.outgoing.records import RequestFilter
from app.outgoing.service import RequestService
from app.planning.store import PlanningStore
from app.platform.errors import NotFound

_OPEN_SHOWN: Final = 5
_MISSING: Final = {
    "no_livestream": "planning has no event with its livestream any more",
    "no_job": "its event has no job that counts",
}
_STATE: Final = {
    FleetState.IN_STEP: "AVOS is in step with planning.",
    FleetState.BEHIND: "AVOS is behind: something waits to be sent or is under way.",
    FleetState.FAILING: "AVOS is out of step: a request failed, or ended without being delivered.",
}

_ADVICE: Final = {
    "unknown_outcome": (
        "It was sent once and no answer came, so AVOS may or may not have carried it out; sent again by itself it could "
        "be done twice. Look there first: discard it if it was applied, retry it if it wasn't."
    ),
    "foreign_edit": (
        "AVOS shows another value than the one delivered last (see `edited` in its last attempt, and the timeline). A "
        "retry overwrites it with planning's value; discarding it leaves AVOS as it is, out of step."
    ),
}


@dataclass(frozen=True, slots=True)
class Finding:
    """What one kind of thing with this id has to say; `see` is its address."""

    kind: str
    sentences: tuple[str, ...]
    see: str


class Why:
    """Reads only."""

    def __init__(
        self,
        fleet: FleetService,
        requests: RequestService,
        operations: Operations,
        planning: PlanningStore,
        subscriptions: SubscriptionService,
    ) -> None:
        self._fleet = fleet
        self._requests = requests
        self._operations = operations
        self._planning = planning
        self._subscriptions = subscriptions

    def explain(self, identifier: str) -> list[Finding]:
        """Everything that has this id; raises NotFound where nothing has."""
        looks = (
            self._request,
            self._content_media,
            self._livestream,
            self._event,
            self._job,
            self._operation,
            self._subscription,
        )
        findings = [found for look in looks if (found := look(identifier)) is not None]
        if not findings:
            raise NotFound(
                "Nothing here has this id: no request, content media, livestream, event, job, operation or "
                "subscription.",
                code="id_not_found",
                field="id",
            )
        return findings

    def _subscription(self, identifier: str) -> Finding | None:
        try:
            view = self._subscriptions.get(identifier.removeprefix("sub:"), whole=False)
        except NotFound:
            return None
        return Finding("subscription", tuple(sentences(view)), f"/api/subscriptions/{view['id']}")

    def _request(self, identifier: str) -> Finding | None:
        record = self._requests.records.get(identifier)
        if record is None:
            return None
        about = f" for content media {record['contentMediaId']}" if record["contentMediaId"] else ""
        first = f"Request {identifier} is a {record['kind']} {record['method']} to {record['path']}{about}."
        return Finding(
            "request",
            (first, *self._situation(record)),
            f"/api/custom/requests/{quote(identifier, safe='')}",
        )

    def _situation(self, record: dict[str, Any]) -> Iterator[str]:
        tries = _times(record["attemptCount"])
        error = record["error"] or {}
        reason = f"{record['reason']}: {error['detail']}" if error else str(record["reason"])
        match State(record["state"]):
            case State.PENDING:
                yield self._waiting(record)
            case State.LIVE:
                yield f"It is live: a worker is sending it (tried {tries} before)."
            case State.FAILED:
                yield f"It has failed ({reason}); tried {tries} since {record['firstFailedAt']}."
                yield f"{_next_try(record)} {self._waiting_for(record) or ''}".strip()
                yield f"It expires at {record['expiresAt']} unless it is delivered before."
            case State.DELIVERED:
                yield f"It was delivered at {record['finishedAt']}; tried {tries}."
            case State.REJECTED:
                yield f"It was rejected ({reason}) and is parked: a person must look, then retry or discard it."
                if record["reason"] in _ADVICE:
                    yield _ADVICE[record["reason"]]
            case State.EXPIRED:
                yield f"It expired at {record['finishedAt']} after it was tried {tries} ({reason}); a retry starts its age anew."
            case State.SUPERSEDED if record["supersededBy"]:
                yield f"A newer request, {record['supersededBy']}, has taken its place."
            case State.SUPERSEDED:
                yield f"It is not needed any more ({record['reason']})."
            case State.DISCARDED:
                yield f"An operator discarded it at {record['finishedAt']}."

    def _waiting(self, record: dict[str, Any]) -> str:
        obstacle = self._waiting_for(record)
        if obstacle:
            return obstacle
        ahead = self._ahead(record)
        if ahead:
            return f"It waits behind {ahead[-1]['id']}, which is {ahead[-1]['state']}: one request of a lane goes at a time."
        numbers = self._requests.destination(record["destination"])
        return f"It waits for its turn: {numbers['live']} of at most {numbers['maxInFlight']} requests are in flight."

    def _ahead(self, record: dict[str, Any]) -> list[dict[str, Any]]:
        """What stands before it in its lane, oldest first; a failed PATCH holds nothing back."""
        if record["contentMediaId"] is None:
            return []
        own = self._open(record["contentMediaId"])
        place = next((n for n, other in enumerate(own) if other["id"] == record["id"]), 0)
        return [o for o in own[:place] if o["method"] != "PATCH" or o["state"] != State.FAILED]

    def _waiting_for(self, record: dict[str, Any]) -> str | None:
        destination = self._requests.destination(record["destination"])
        if destination["state"] == "paused":
            return f"The destination {destination['name']} is paused by {destination['pausedBy']}."
        if destination["state"] == "open":
            return (
                f"The breaker of {destination['name']} is open since {destination['openedAt']} "
                f"({destination['reason']}): one probe goes out a tick."
            )
        if destination["state"] == "resting":
            return f"{destination['name']} asked to be left alone until {destination['notBefore']}."
        held = record["contentMediaId"] is not None and self._fleet.lane_of(record["lane"]).held
        return "An operator holds its content media." if held else None

    def _open(self, content_media_id: str) -> list[dict[str, Any]]:
        """Its open requests among the newest, oldest first."""
        page = self._requests.search(RequestFilter(content_media_id=content_media_id), 20)
        return [record for record in reversed(page.items) if record["state"] in OPEN]

    def _content_media(self, identifier: str) -> Finding | None:
        if not self._fleet.known(identifier):
            return None
        member = self._fleet.member(identifier)
        see = f"/api/custom/contentmedia/{quote(identifier, safe='')}/timeline"
        if member is None:
            said = f"Content media {identifier} has no active registration: nothing is sent for it by itself."
            return Finding("contentMedia", (said, *self._open_requests(identifier)), see)
        return Finding("contentMedia", (*_about(member), *self._open_requests(identifier)), see)

    def _open_requests(self, content_media_id: str) -> Iterator[str]:
        for record in self._open(content_media_id)[:_OPEN_SHOWN]:
            yield f"Request {record['id']} ({record['kind']} {record['method']}): {next(self._situation(record))}"

    def _livestream(self, identifier: str) -> Finding | None:
        state = self._planning.read([], [], [identifier])[2][0]
        if not state.owners and state.content_media_id is None:
            return None
        said = []
        if state.owners:
            more = f"; {len(state.owners) - 1} older ones name it too" if len(state.owners) > 1 else ""
            said.append(f"Livestream {identifier} belongs to event {state.owners[0]}{more}.")
        else:
            said.append(f"Livestream {identifier} is in no event.")
        member = self._fleet.member_of_livestream(identifier)
        if member is None:
            said.append("It has no active registration: its changes are sent nowhere.")
        else:
            said += _about(member)
        return Finding(
            "livestream", tuple(said), f"/api/custom/contentmedia?livestreamId={quote(identifier, safe='')}"
        )

    def _event(self, identifier: str) -> Finding | None:
        state = self._planning.read([identifier], [], [])[0][0]
        if not state.record.exists:
            return None
        body = state.record.body or {}
        said = [
            f"Event {identifier} is {body.get('name') or 'unnamed'} and ends at {body.get('eventEnd') or 'an unknown time'}."
        ]
        counts = (
            f"Job {state.jobs[0]} counts for it."
            if state.jobs
            else "It has no job that counts, so no booking is sent."
        )
        said.append(counts)
        for entry in body.get("livestreams") or ():
            member = self._fleet.member_of_livestream(entry["livestreamId"])
            if member is None:
                said.append(f"Its livestream {entry['livestreamId']} has no active registration.")
            elif member.event_id != identifier:
                said.append(
                    f"Its livestream {entry['livestreamId']} counts for event {member.event_id}, which named it later."
                )
            else:
                said += _about(member)
        return Finding("event", tuple(said), f"/api/custom/events/{quote(identifier, safe='')}")

    def _job(self, identifier: str) -> Finding | None:
        record = self._planning.record("job", identifier)
        if not record.exists:
            return None
        body = record.body or {}
        event_id = body.get("eventId")
        said = [
            f"Job {identifier} is {body.get('status') or 'without a status'} and belongs to event {event_id}."
        ]
        event = self._planning.read([event_id], [], [])[0][0] if event_id else None
        if event is None or not event.record.exists:
            said.append("Planning has sent no such event yet.")
        elif identifier in event.jobs[:1]:
            said.append("It is the job that counts for the event.")
        elif identifier in event.jobs:
            said.append(f"Job {event.jobs[0]} was updated later and counts instead.")
        else:
            said.append("It doesn't count for the event.")
        return Finding("job", tuple(said), f"/api/custom/jobs/{quote(identifier, safe='')}")

    def _operation(self, identifier: str) -> Finding | None:
        try:
            operation = self._operations.get(identifier)
        except NotFound:
            return None
        said = (
            f"Operation {identifier}, a {operation['verb']} by {operation['actor']}, is {operation['state']}: "
            f"{operation['changed']} changed, {operation['refused']} refused."
        )
        return Finding("operation", (said,), f"/api/custom/operations/{identifier}")


def _about(member: Member) -> Iterator[str]:
    yield f"Content media {member.content_media_id} is registered for livestream {member.livestream_id}."
    if member.event_id:
        yield f"The livestream belongs to event {member.event_id} ({member.body.get('name') or 'unnamed'})."
    if member.missing:
        yield f"It is orphaned: {_MISSING[member.missing]}."
    else:
        yield _STATE[member.state]
    if member.lane.held:
        yield "An operator holds it: planning's changes are kept and wait."


def _times(count: int) -> str:
    return {0: "not at all", 1: "once", 2: "twice"}.get(count, f"{count} times")


def _next_try(record: dict[str, Any]) -> str:
    return (
        f"It is tried again from {record['nextTryAt']}."
        if record["nextTryAt"]
        else "It is tried again at the next tick."
    )
