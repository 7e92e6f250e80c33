"""What is going on with an id or a name: of a request, content media, livestream, event, job, registration, operation,
subscription or destination. What it is, and each cause of its not being as it should be: `causes` and `situations` decide
that from what `facts` reads."""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import quote

from app.drift.results import DriftResults
from app.events.subscriptions.presentation import sentences
from app.events.subscriptions.service import SubscriptionService
from app.fleet.causes import Cause, obstacles
from app.fleet.facts import Facts
from app.fleet.findings import Finding, MediaFindings
from app.fleet.names import Matches, Names
from app.fleet.service import FleetService
from app.outgoing.operations import Operations
from app.outgoing.service import RequestService
from app.planning.records import Ids
from app.planning.store import PlanningStore
from app.platform.clock import rfc3339
from app.platform.errors import NotFound
from app.registrations.records import Pair
from app.registrations.store import RegistrationStore


class Why:
    """Reads only. `facts` makes the reader of one answer."""

    def __init__(
        self,
        fleet: FleetService,
        requests: RequestService,
        operations: Operations,
        planning: PlanningStore,
        registrations: RegistrationStore,
        subscriptions: SubscriptionService,
        drift: DriftResults,
        facts: Callable[[], Facts],
    ) -> None:
        self._fleet = fleet
        self._requests = requests
        self._operations = operations
        self._planning = planning
        self._registrations = registrations
        self._subscriptions = subscriptions
        self._media = MediaFindings(fleet, requests, drift)
        self._facts = facts
        self._names = Names(fleet, planning, requests.records)

    def explain(self, identifier: str) -> list[Finding]:
        """Everything that has this id, else what has it in its name or id; raises NotFound where nothing has."""
        facts = self._facts()
        looks = (
            self._request,
            self._content_media,
            self._livestream,
            self._event,
            self._job,
            self._registration,
            self._operation,
            self._subscription,
            self._destination,
        )
        findings = [found for look in looks if (found := look(identifier, facts)) is not None]
        findings = findings or self._by_name(self._names.find(identifier), facts)
        if not findings:
            raise NotFound(
                "Nothing here has this id, or has it in its name: no request, content media, livestream, event, job, "
                "registration, operation, subscription or destination.",
                code="id_not_found",
                field="id",
            )
        return findings

    # What it may be -----------------------------------------------------------------------------------------------

    def _request(self, identifier: str, facts: Facts) -> Finding | None:
        record = self._requests.records.get(identifier)
        if record is None:
            return None
        about = f" for content media {record.content_media_id}" if record.content_media_id else ""
        says = f"Request {identifier} is a {record.kind} {record.method} to {record.path}{about}."
        return Finding("request", (says,), _see("requests", identifier), (facts.of_request(record),))

    def _content_media(self, identifier: str, facts: Facts) -> Finding | None:
        if not self._fleet.known(identifier):
            return None
        member = self._fleet.member(identifier)
        see = f"{_see('contentmedia', identifier)}/timeline"
        if member is not None:
            return self._media.of(member, facts, see)
        says = f"Content media {identifier} has no active registration: nothing is sent for it by itself."
        todo = "`register --livestream L --media C` registers it."
        return Finding("contentMedia", (says, todo), see, tuple(facts.of_media(identifier)))

    def _livestream(self, identifier: str, facts: Facts) -> Finding | None:
        state = self._planning.read(Ids(livestreams=(identifier,))).livestreams[identifier]
        if not state.owners and state.content_media_id is None:
            return None
        if state.owners:
            more = f"; {len(state.owners) - 1} older ones name it too" if len(state.owners) > 1 else ""
            said = f"Livestream {identifier} belongs to event {state.owners[0]}{more}."
        else:
            said = f"Livestream {identifier} is in no event."
        member = self._fleet.member_of_livestream(identifier)
        see = f"/api/custom/contentmedia?livestreamId={quote(identifier, safe='')}"
        if member is None:
            none = "It has no active registration: its changes are sent nowhere."
            return Finding("livestream", (said, none), see)
        media = self._media.of(member, facts)
        return Finding("livestream", (said, *media.about), see, media.causes)

    def _event(self, identifier: str, facts: Facts) -> Finding | None:
        state = self._planning.read(Ids(events=(identifier,))).events[identifier]
        if not state.record.exists:
            return None
        body = state.record.body or {}
        said = [
            f"Event {identifier} is {body.get('name') or 'unnamed'} and ends at {body.get('eventEnd') or 'an unknown time'}.",
            f"Job {state.jobs[0]} counts for it."
            if state.jobs
            else "It has no job that counts, so no booking is sent.",
        ]
        media = self._media.of_event(identifier, body, facts)
        return Finding("event", (*said, *media.about), _see("events", identifier), media.causes)

    def _job(self, identifier: str, facts: Facts) -> Finding | None:
        record = self._planning.record("job", identifier)
        if not record.exists:
            return None
        body = record.body or {}
        event_id = body.get("eventId")
        said = [
            f"Job {identifier} is {body.get('status') or 'without a status'} and belongs to event {event_id}."
        ]
        event = self._planning.read(Ids(events=(event_id,))).events[event_id] if event_id else None
        causes: tuple[Cause, ...] = ()
        if event is None or not event.record.exists:
            said.append("Planning has sent no such event yet.")
        elif identifier in event.jobs[:1]:
            said.append("It is the job that counts for the event.")
            media = self._media.of_event(str(event_id), event.record.body or {}, facts)
            said += media.about
            causes = media.causes
        elif identifier in event.jobs:
            said.append(f"Job {event.jobs[0]} was updated later and counts instead.")
        else:
            said.append("It doesn't count for the event.")
        return Finding("job", tuple(said), _see("jobs", identifier), causes)

    def _registration(self, identifier: str, facts: Facts) -> Finding | None:
        """A registration has no id of its own; its livestream and content media, with a colon between, name it."""
        livestream_id, _, media_id = identifier.partition(":")
        if not (livestream_id and media_id):
            return None
        found = self._registrations.links(Pair(livestream_id, media_id)).record
        if found is None:
            return None
        said = f"The registration of livestream {livestream_id} for content media {found.content_media_id} was made at {rfc3339(found.created_at)}"
        see = "/api/custom/livestreams/registrations/active"
        if found.deleted_at is not None:
            ended = f"{said} and ended at {rfc3339(found.deleted_at)}."
            return Finding("registration", (ended, f"`why {found.content_media_id}`."), see)
        member = self._fleet.member(found.content_media_id)
        if member is None:
            return Finding("registration", (f"{said}.",), see)
        media = self._media.of(member, facts)
        return Finding("registration", (f"{said}.", *media.about), see, media.causes)

    def _operation(self, identifier: str, facts: Facts) -> Finding | None:  # noqa: ARG002 - as all of the looks
        try:
            operation = self._operations.get(identifier)
        except NotFound:
            return None
        said = (
            f"Operation {identifier}, a {operation.verb} by {operation.actor}, is {operation.state}: "
            f"{operation.changed} changed, {operation.refused} refused."
        )
        return Finding("operation", (said,), _see("operations", identifier))

    def _subscription(self, identifier: str, facts: Facts) -> Finding | None:  # noqa: ARG002 - as all of the looks
        try:
            view = self._subscriptions.get(identifier.removeprefix("sub:"), whole=False)
        except NotFound:
            return None
        return Finding("subscription", tuple(sentences(view)), f"/api/subscriptions/{view.id}")

    def _destination(self, identifier: str, facts: Facts) -> Finding | None:
        around = facts.of_destination(identifier)
        if around is None:
            return None
        one = around.destination
        said = (
            f"Destination {identifier} is {one.state}: {one.runnable} wait, {one.live} of at most {one.max_in_flight} "
            f"are in flight, {one.failed} have failed."
        )
        return Finding("destination", (said,), "/api/custom/destinations", tuple(obstacles(around)))

    def _by_name(self, found: Matches, facts: Facts) -> list[Finding]:
        """One that has the text in its name or id is explained, several are listed."""
        if len(found.ids) != 1:
            return [Finding("matches", tuple(found.lines), found.see)] if found.ids else []
        look = {"contentMedia": self._content_media, "event": self._event, "request": self._request}[
            found.kind
        ]
        one = look(found.ids[0], facts)
        return [one] if one else []


def _see(what: str, identifier: str) -> str:
    return f"/api/custom/{what}/{quote(identifier, safe='')}"
