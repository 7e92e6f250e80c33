"""What `why` finds, and what it says of a registered content media and of an event's livestreams."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from app.avos.drift import DriftState
from app.drift.results import DriftResults
from app.fleet.causes import Cause
from app.fleet.facts import Facts
from app.fleet.service import FleetService, FleetState, Member
from app.outgoing.model import State
from app.outgoing.records import RequestFilter
from app.outgoing.service import RequestService
from app.planning.records import Body, livestream_ids
from app.platform.clock import rfc3339

_MEMBERS_SHOWN: Final = 10  # content media of one event or job that are looked at
_MISSING: Final = {
    "no_livestream": "planning has no event with its livestream any more",
    "no_job": "its event has no job that counts",
}
_MISSING_TODO: Final = {
    "no_livestream": "Let planning name the livestream in an event, or unregister it.",
    "no_job": "Let planning send a job for its event that isn't canceled, or unregister it.",
}
_STATE: Final = {
    FleetState.IN_STEP: "AVOS is in step with planning",
    FleetState.BEHIND: "AVOS is behind: something waits to be sent or is under way",
    FleetState.FAILING: "AVOS is out of step: a request failed, or ended without being delivered",
}


@dataclass(frozen=True, slots=True)
class Finding:
    """What is to be said of one thing: sentences `about` it, the `causes` of what is the matter; `see` is its address."""

    kind: str
    about: tuple[str, ...]
    see: str = ""
    causes: tuple[Cause, ...] = ()


class MediaFindings:
    """Reads only."""

    def __init__(self, fleet: FleetService, requests: RequestService, drift: DriftResults) -> None:
        self._fleet = fleet
        self._requests = requests
        self._drift = drift

    def of(self, member: Member, facts: Facts, see: str = "") -> Finding:
        """Of a registered content media."""
        media = member.content_media_id
        causes = (*_orphaned(member), *facts.of_media(media), *self._drifted(member))
        said = [f"Content media {media} is registered for livestream {member.livestream_id}."]
        if member.event_id:
            name = member.body.get("name") or "unnamed"
            said.append(f"The livestream belongs to event {member.event_id} ({name}).")
        if not member.missing:
            in_step = member.state is FleetState.IN_STEP
            since = self._in_step_since(member) if in_step else _begin(causes)
            said.append(_STATE[member.state] + (f", since {rfc3339(since)}." if since else "."))
        return Finding("contentMedia", tuple(said), see, causes)

    def of_event(self, event_id: str, body: Body, facts: Facts) -> Finding:
        """Of the livestreams that an event names, each with its content media."""
        said: list[str] = []
        causes: list[Cause] = []
        livestreams = livestream_ids(body)
        for livestream in livestreams[:_MEMBERS_SHOWN]:
            found = self._of_livestream(event_id, livestream, facts)
            said += found.about
            causes += [cause for cause in found.causes if cause not in causes]
        if len(livestreams) > _MEMBERS_SHOWN:
            said.append(f"{len(livestreams) - _MEMBERS_SHOWN} more livestreams aren't shown.")
        return Finding("event", tuple(said), causes=tuple(causes))

    def _of_livestream(self, event_id: str, livestream: str, facts: Facts) -> Finding:
        member = self._fleet.member_of_livestream(livestream)
        if member is None:
            return Finding("livestream", (f"Its livestream {livestream} has no active registration.",))
        if member.event_id != event_id:
            other = f"Its livestream {livestream} counts for event {member.event_id}, which named it later."
            return Finding("livestream", (other,))
        return self.of(member, facts)

    def _in_step_since(self, member: Member) -> datetime | None:
        newest = self._requests.search(RequestFilter(content_media_id=member.content_media_id), 5).items
        ends = (one.finished_at for one in newest if one.state is State.DELIVERED)
        return max((end for end in ends if end is not None), default=None)

    def _drifted(self, member: Member) -> Iterator[Cause]:
        """What the drift audit has found: AVOS shows something else though nothing is under way."""
        result, _ = self._drift.before(member.content_media_id)
        if result is None or result.state is not DriftState.DRIFTED:
            return
        names = ", ".join(one.member for one in result.members[:_MEMBERS_SHOWN])
        media = member.content_media_id
        yield Cause(
            "drifted",
            f"AVOS shows something else than planning wants ({names}), as of {rfc3339(result.checked_at)}.",
            result.since,
            "It is compared again at the next round of the drift audit; MEDIAOPS_DRIFT_HEAL=true lets that send it again.",
            f"`contentmedia preview {media}` shows both; `update {media}` sends it.",
        )


def _orphaned(member: Member) -> Iterator[Cause]:
    if member.missing:
        says = f"Content media {member.content_media_id} is orphaned: {_MISSING[member.missing]}."
        keeps = "The registration stays; nothing new can be composed for it."
        yield Cause("orphaned", says, None, keeps, _MISSING_TODO[member.missing])


def _begin(causes: Iterable[Cause]) -> datetime | None:
    """Since when it is so: the oldest of what a request has met."""
    return min((cause.since for cause in causes if cause.request_id and cause.since), default=None)
