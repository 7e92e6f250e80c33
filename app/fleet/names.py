"""What has a text in its name or id: content media first, then events, then requests; a bounded number is looked at."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from app.fleet.service import FleetService, Member
from app.outgoing.records import RecordReader
from app.planning.store import PlanningStore

SHOWN: Final = 10


@dataclass(frozen=True, slots=True)
class Matches:
    """The ids of what was found, all of one kind, and `lines` that list them; `see` is where all of the kind are."""

    kind: str = ""
    ids: Sequence[str] = ()
    lines: Sequence[str] = ()
    see: str = ""


class Names:
    """Reads only."""

    def __init__(self, fleet: FleetService, planning: PlanningStore, records: RecordReader) -> None:
        self._fleet = fleet
        self._planning = planning
        self._records = records

    def find(self, text: str) -> Matches:
        """What has it; without ids where nothing has."""
        members = self._fleet.search(text, SHOWN + 1)
        if members:
            ids = [member.content_media_id for member in members]
            lines = [_member(member) for member in members]
            return _matches(text, "contentMedia", "content media", ids, lines)
        events = self._planning.search_events(text, SHOWN + 1)
        if events:
            lines = [f"Event {event_id}: {name}." for event_id, name in events]
            return _matches(text, "event", "events", [event_id for event_id, _ in events], lines)
        found = self._records.ids_like(text, SHOWN + 1)
        return _matches(text, "request", "requests", found, [f"Request {one}." for one in found])


def _matches(text: str, kind: str, what: str, ids: Sequence[str], lines: Sequence[str]) -> Matches:
    head = (
        f"More than {SHOWN} {what} have '{text}' in their name or id; the first of them:"
        if len(ids) > SHOWN
        else f"{len(ids)} {what} have '{text}' in their name or id; `why` with one of these ids says more:"
    )
    see = f"/api/custom/{what.replace(' ', '')}"
    return Matches(kind, ids, (head, *lines[:SHOWN]), see)


def _member(member: Member) -> str:
    name = member.body.get("name") or member.missing or "unnamed"
    return f"Content media {member.content_media_id}: {member.state.value}; {name}, livestream {member.livestream_id}."
