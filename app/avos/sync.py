"""Which requests keep a content media in step: the two PATCHes of domain A4, from what planning
says now.

Pure. Whether a PATCH changes anything is decided where it is accepted: the script compares its
members with the newest desired ones and drops it when they are equal, unless it is forced.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from app.avos.bodies import CannotCompose, Members, PropertyNames, booking_body, source_body
from app.avos.paths import live_path, source_path
from app.outgoing.model import ABSENT, AVOS, NewRequest, RequestGuard
from app.platform.clock import parse_time
from app.platform.keys import Keys, fold

BOOKING_MEMBERS: Final = ("bookingPreKOStartTime", "bookingStartTime", "eventEndTime")
SOURCE_MEMBERS: Final = ("txEventType", "heSourceChannelId", "heSourceAddresses")

Body = Mapping[str, Any]
_KEYS: Final = Keys("")


@dataclass(frozen=True, slots=True)
class Registered:
    """An active link of a livestream to a content media, as far as requests need it."""

    livestream_id: str
    content_media_id: str
    generation: int


@dataclass(frozen=True, slots=True)
class Planned:
    """What planning says about a livestream: the event that owns it and the job that counts, if
    any."""

    event_id: str | None = None
    event: Body | None = None
    job_id: str | None = None
    job: Body | None = None


def desired(
    registered: Registered, planned: Planned, names: PropertyNames, *, forced: bool = False
) -> tuple[NewRequest, NewRequest]:
    """The booking PATCH and the source PATCH. One that can't be composed has its code in
    `rejected`, and all its members as ABSENT: what an older request still wants to send isn't
    planned any more."""
    event = planned.event
    livestream = _livestream(event, registered.livestream_id)

    def booking() -> Members:
        return booking_body(_found(event, livestream), planned.job)

    def source() -> Members:
        return source_body(_found(event, livestream), registered.livestream_id, planned.job, names)

    def request(
        kind: str, path: str, compose: Callable[[], Members], all_names: tuple[str, ...]
    ) -> NewRequest:
        rejected: str | None = None
        members: Members = dict.fromkeys(all_names, ABSENT)
        try:
            members = compose()
        except CannotCompose as error:
            rejected = error.code
        return NewRequest(
            destination=AVOS,
            lane=fold(registered.content_media_id),
            kind=kind,
            method="PATCH",
            path=path,
            members=members,
            content_media_id=registered.content_media_id,
            livestream_id=registered.livestream_id,
            event_id=planned.event_id,
            job_id=planned.job_id,
            title=event.get("name") if event else None,
            guards=registration_guards(registered.content_media_id, registered.generation),
            urgent_at=kick_off(event, livestream),
            event_end=_time(event.get("eventEnd")) if event else None,
            forced=forced,
            rejected=rejected,
        )

    media = registered.content_media_id
    return (
        request("booking", live_path(media), booking, BOOKING_MEMBERS),
        request("source", source_path(media), source, SOURCE_MEMBERS),
    )


def registration_guards(content_media_id: str, generation: int) -> tuple[RequestGuard, ...]:
    """The registration that a request is made for stands, and wasn't begun anew; 0: it is made for none."""
    if not generation:
        return ()
    media = fold(content_media_id)

    def guard(command: str, key: str, expected: str) -> RequestGuard:
        return RequestGuard((command, key.removeprefix(_KEYS.prefix), media), expected, "unregistered")

    return (
        guard("HGET", _KEYS.generations, str(generation)),
        guard("HEXISTS", _KEYS.active_by_media, "1"),
    )


def kick_off(event: Body | None, livestream: Body | None) -> datetime | None:
    """When it is urgent: the registered livestream's preKoUtc, else the first that a livestream of
    its event has."""
    own = _time(livestream.get("preKoUtc")) if livestream else None
    if own is not None or event is None:
        return own
    times = (_time(entry.get("preKoUtc")) for entry in event.get("livestreams") or ())
    return next((time for time in times if time is not None), None)


def event_times(event: Body | None, livestream_id: str) -> tuple[datetime | None, datetime | None]:
    """Kick-off and end of the event that owns a livestream, where planning has them."""
    if event is None:
        return None, None
    return kick_off(event, _livestream(event, livestream_id)), _time(event.get("eventEnd"))


def _found(event: Body | None, livestream: Body | None) -> Body:
    """The event, if it still has the livestream. For one that was dropped neither PATCH can be
    composed."""
    if event is None or livestream is None:
        raise CannotCompose("no_livestream")
    return event


def _livestream(event: Body | None, livestream_id: str) -> Body | None:
    entries = (event or {}).get("livestreams") or ()
    return next((entry for entry in entries if entry["livestreamId"] == livestream_id), None)


def _time(text: str | None) -> datetime | None:
    return parse_time(text) if text else None
