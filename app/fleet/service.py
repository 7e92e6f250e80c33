"""Each registered content media at a glance, from its registration, planning's records and its lane's marks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

from app.outgoing.holds import Holds
from app.outgoing.model import AVOS
from app.outgoing.store import LaneSummary, OutgoingStore
from app.planning.plans import EventState
from app.planning.records import Body, Ids
from app.planning.store import PlanningStore
from app.platform.cursors import Page, decode_number, decode_text, encode_number, encode_text
from app.platform.errors import NotFound
from app.platform.keys import alike, fold
from app.platform.redis import store_errors

_CHUNK: Final = 200  # content media read in one go: three round trips
_LOOK_AT: Final = 5_000  # looked at for one page, whatever the filter leaves of them


class FleetState(StrEnum):
    """`orphaned`: planning has no event, livestream or job for it any more. `failing`: a request failed, or
    ended undelivered and nothing newer made it good. `behind`: something waits or is under way."""

    IN_STEP = "in_step"
    BEHIND = "behind"
    FAILING = "failing"
    ORPHANED = "orphaned"


@dataclass(frozen=True, slots=True)
class FleetFilter:
    """All that is given must match; `name` is a part of the event's name, whatever its case."""

    state: FleetState | None = None
    livestream_id: str | None = None
    event_id: str | None = None
    name: str | None = None


@dataclass(frozen=True, slots=True)
class Member:
    """A registered content media. `missing`: what planning no longer has (no_livestream, no_job), if anything."""

    content_media_id: str
    livestream_id: str
    event_id: str | None
    event: EventState | None
    missing: str | None
    lane: LaneSummary

    @property
    def state(self) -> FleetState:
        if self.missing:
            return FleetState.ORPHANED
        if self.lane.failing:
            return FleetState.FAILING
        return FleetState.BEHIND if self.lane.behind else FleetState.IN_STEP

    @property
    def body(self) -> Body:
        """The event's body; empty where there is none."""
        return (self.event.record.body or {}) if self.event else {}

    @property
    def livestream(self) -> Body:
        """Its livestream as the event names it; empty where it doesn't."""
        return _livestream(self.body, self.livestream_id) or {}

    @property
    def job_id(self) -> str | None:
        """The job that counts."""
        return next(iter(self.event.jobs), None) if self.event else None


@dataclass(frozen=True, slots=True)
class HeldMedia:
    """A content media that an operator holds. `by` is None where a release before has written it."""

    content_media_id: str
    livestream_id: str | None
    since: datetime
    by: str | None


class FleetService:
    """Reads only."""

    def __init__(self, outgoing: OutgoingStore, planning: PlanningStore) -> None:
        self._outgoing = outgoing
        self._planning = planning
        self._client, self._keys = outgoing.client, outgoing.keys
        self._holds = Holds(outgoing.client, outgoing.keys)

    def page(self, wanted: FleetFilter, limit: int, cursor: str | None = None) -> Page[Member]:
        """Content media by id, `limit` at most. A page may be shorter and have a next one all the same."""
        pairs = self._pairs(wanted, decode_text(cursor) if cursor else "")
        found: list[Member] = []
        for looked, member in enumerate(self._members(pairs[:_LOOK_AT]), start=1):
            if _matches(member, wanted):
                found.append(member)
            if len(found) >= limit:
                more = looked < len(pairs)
                return Page(found, encode_text(fold(member.content_media_id)) if more else None)
        rest = pairs[_LOOK_AT - 1 : _LOOK_AT] if len(pairs) > _LOOK_AT else []
        return Page(found, encode_text(fold(rest[0][1])) if rest else None)

    def member(self, content_media_id: str) -> Member | None:
        """One registered content media; None where it has no active registration."""
        with store_errors():
            livestream = self._client.hget(self._keys.active_by_media, fold(content_media_id))
        return None if livestream is None else self.member_of_livestream(livestream.decode())

    def member_of_livestream(self, livestream_id: str) -> Member | None:
        """The content media that a livestream is registered for."""
        return next(self._members(self._pairs(FleetFilter(livestream_id=livestream_id), "")), None)

    def search(self, text: str, limit: int) -> list[Member]:
        """Those with this text in their event's name or one of their ids, whatever its case; an id may have been
        shortened (`8890…e2e7`). Looks at a bounded number."""
        found: list[Member] = []
        for member in self._members(self._active()[:_LOOK_AT]):
            names = (member.body.get("name"), member.content_media_id, member.livestream_id, member.event_id)
            if any(alike(text, str(name)) for name in names if name):
                found.append(member)
            if len(found) >= limit:
                break
        return found

    def known(self, content_media_id: str) -> bool:
        """Whether anything was ever recorded for this content media."""
        with store_errors():
            if self._client.hget(self._keys.active_by_media, fold(content_media_id)) is not None:
                return True
            own = (self._keys.requests_of(content_media_id), self._keys.timeline(content_media_id))
            if self._client.exists(*own) > 0:
                return True
        # What is held can be released, however old its traces are.
        return self._holds.of(fold(content_media_id)) is not None

    def holds(self, limit: int, cursor: str | None = None) -> Page[HeldMedia]:
        """What operators hold, the longest held first, registered or not."""
        first = decode_number(cursor) if cursor else 0
        found = self._holds.page(first, limit)
        if not found:
            return Page([], None)
        lanes = [hold.lane for hold in found]
        with store_errors():
            spellings = self._client.hmget(self._keys.spellings, *lanes)
            livestreams = self._client.hmget(self._keys.active_by_media, *lanes)
        items = [
            HeldMedia(
                content_media_id=spelling.decode() if spelling else hold.lane,
                livestream_id=livestream.decode() if livestream else None,
                since=hold.since,
                by=hold.by,
            )
            for hold, spelling, livestream in zip(found, spellings, livestreams, strict=True)
        ]
        return Page(items, encode_number(first + limit) if len(found) == limit else None)

    def check_known(self, content_media_id: str) -> None:
        """Raises NotFound: a verb on a misspelt id must not seem to have worked."""
        if not self.known(content_media_id):
            raise NotFound(
                "There is no such content media.", code="content_media_not_found", field="contentMediaId"
            )

    def _active(self) -> list[tuple[str, str]]:
        """(livestream, content media) of each active registration, by content media."""
        with store_errors():
            found = self._client.hgetall(self._keys.active_by_livestream)
        pairs = [(livestream.decode(), media.decode()) for livestream, media in found.items()]
        return sorted(pairs, key=lambda pair: fold(pair[1]))

    def _pairs(self, wanted: FleetFilter, after: str) -> list[tuple[str, str]]:
        if wanted.livestream_id is None:
            return [pair for pair in self._active() if fold(pair[1]) > after]
        with store_errors():
            media = self._client.hget(self._keys.active_by_livestream, wanted.livestream_id)
        if media is None or fold(media.decode()) <= after:
            return []
        return [(wanted.livestream_id, media.decode())]

    def _members(self, pairs: Sequence[tuple[str, str]]) -> Iterator[Member]:
        for start in range(0, len(pairs), _CHUNK):
            chunk = pairs[start : start + _CHUNK]
            found = self._planning.read(Ids(livestreams=tuple(livestream for livestream, _ in chunk)))
            owners = [next(iter(found.livestreams[livestream].owners), None) for livestream, _ in chunk]
            named = tuple(dict.fromkeys(owner for owner in owners if owner))
            events = self._planning.read(Ids(events=named)).events
            lanes = self._outgoing.lane_summaries(AVOS, [fold(media) for _, media in chunk])
            for (livestream, media), owner, lane in zip(chunk, owners, lanes, strict=True):
                event = events.get(owner) if owner else None
                yield Member(media, livestream, owner, event, _missing(event, livestream), lane)


def _missing(event: EventState | None, livestream_id: str) -> str | None:
    if event is None or _livestream(event.record.body or {}, livestream_id) is None:
        return "no_livestream"
    return None if event.jobs else "no_job"


def _livestream(body: Body, livestream_id: str) -> Body | None:
    entries: Sequence[Body] = body.get("livestreams") or ()
    return next((entry for entry in entries if entry["livestreamId"] == livestream_id), None)


def _matches(member: Member, wanted: FleetFilter) -> bool:
    name = str(member.body.get("name") or "")
    return (
        (wanted.state is None or member.state is wanted.state)
        and (wanted.event_id is None or member.event_id == wanted.event_id)
        and (wanted.name is None or wanted.name.casefold() in name.casefold())
    )
