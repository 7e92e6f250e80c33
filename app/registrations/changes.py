"""What registering and unregistering mean: which links must still be as they were read, what is written, noted and
published. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from app.avos.bodies import PropertyNames
from app.avos.sync import Planned, Registered, desired
from app.outgoing.model import AVOS, Acceptance, Guard, Happening, Now, Sequence, TimelineNote, Write
from app.planning.commands import generation_guard, guards, owner_guard
from app.planning.plans import Plans
from app.planning.records import Ids
from app.platform.errors import BadRequest, NotFound
from app.platform.keys import fold, quoted
from app.registrations.keys import RegistrationKeys
from app.registrations.records import Links, Pair, Registration

TOPIC: Final = "livestream-operations"


@dataclass(frozen=True, slots=True)
class Registering:
    """A registration that may be made: `pair` in the spelling that is kept. `update`: it is active already."""

    pair: Pair
    links: Links
    planned: Planned
    update: bool

    @property
    def registered(self) -> Registered:
        """The registration as it is from now on."""
        generation = self.links.generation if self.update else self.links.next_generation
        return Registered(self.pair.livestream_id, self.pair.content_media_id, generation)


def check_registering(pair: Pair, links: Links, plans: Plans) -> Registering:
    """Raises, in this order: NotFound `Livestream not found`, NotFound `Event has no Job attached`, BadRequest `Content
    Media Already Registered`."""
    planned = plans.planned(pair.livestream_id)
    if planned.event is None:
        raise NotFound("Livestream not found", code="livestream_not_found", field="livestreamId")
    if planned.job is None:
        raise NotFound("Event has no Job attached", code="no_job", field="livestreamId")
    update = links.active(pair)
    if not update and (links.media_of_livestream is not None or links.livestream_of_media is not None):
        raise BadRequest(
            "Content Media Already Registered", code="already_registered", field="contentMediaId"
        )
    return Registering(
        Pair(pair.livestream_id, links.spelling or pair.content_media_id), links, planned, update
    )


def registering(
    made: Registering, plans: Plans, keys: RegistrationKeys, names: PropertyNames, *, sync: bool
) -> Acceptance:
    """`sync`: queue both PATCHes too."""
    livestream_id, media = made.pair.livestream_id, made.pair.content_media_id
    note = {"livestreamId": livestream_id, "eventId": made.planned.event_id}
    return Acceptance(
        guards=(
            owner_guard(keys, plans, livestream_id),
            *guards(keys, plans, Ids(), [made.planned]),
            *_link_guards(keys, made.pair, made.links),
        ),
        writes=tuple(_registration_writes(keys, made)),
        requests=desired(made.registered, made.planned, names) if sync else (),
        notes=(TimelineNote(media, "registration-updated" if made.update else "registered", note),),
        happenings=() if made.update else (_happening("livestream-registered", made.pair),),
    )


def check_unregistering(pair: Pair, links: Links) -> Registration:
    """The registration that is active. Raises NotFound."""
    if links.record is None or not links.active(pair):
        raise NotFound(
            "There is no active registration of this livestream and content media.",
            code="not_registered",
            field="contentMediaId",
        )
    return links.record


def unregistering(active: Registration, links: Links, keys: RegistrationKeys) -> Acceptance:
    """Ends the open requests too."""
    pair = Pair(active.livestream_id, active.content_media_id)
    key = keys.registration(pair.livestream_id, pair.content_media_id)
    return Acceptance(
        guards=tuple(_link_guards(keys, pair, links)),
        writes=(
            Write("HSET", key, ("updatedAt", Now(), "deletedAt", Now())),
            Write("HDEL", keys.active_by_livestream, (pair.livestream_id,)),
            Write("HDEL", keys.active_by_media, (fold(pair.content_media_id),)),
        ),
        recheck=((AVOS, fold(pair.content_media_id)),),
        notes=(TimelineNote(pair.content_media_id, "unregistered", {"livestreamId": pair.livestream_id}),),
        happenings=(_happening("livestream-unregistered", pair),),
    )


def forced_update(
    registered: Registered, plans: Plans, keys: RegistrationKeys, names: PropertyNames
) -> Acceptance:
    """Both PATCHes, changed or not, and the guards of all that they were computed from."""
    planned = plans.planned(registered.livestream_id)
    return Acceptance(
        guards=guards(keys, plans, Ids(livestreams=(registered.livestream_id,)), [planned]),
        requests=desired(registered, planned, names, forced=True),
    )


def _link_guards(keys: RegistrationKeys, pair: Pair, links: Links) -> Iterator[Guard]:
    """Both sides are linked as they were read, or the whole call is computed again: of two clients that register at once
    one wins, and the other is checked against what the first has written."""
    media = fold(pair.content_media_id)
    yield generation_guard(keys, pair.content_media_id, links.generation)
    yield Guard(("HGET", keys.active_by_livestream, pair.livestream_id), links.media_of_livestream or "")
    yield Guard(("HGET", keys.active_by_media, media), links.livestream_of_media or "")


def _registration_writes(keys: RegistrationKeys, made: Registering) -> Iterator[Write]:
    livestream_id, spelling = made.pair.livestream_id, made.pair.content_media_id
    key, media = keys.registration(livestream_id, spelling), fold(spelling)
    yield Write("HSET", key, ("updatedAt", Now()))
    if made.update:
        return
    if made.links.record is None:
        named = ("livestreamId", livestream_id, "contentMediaId", spelling)
        yield Write("HSET", key, (*named, "createdAt", Now()))
        yield Write("ZADD", keys.registrations, (Sequence(), f"{quoted(livestream_id)}:{quoted(media)}"))
    generation = made.registered.generation
    yield Write("HSET", key, ("generation", generation))
    yield Write("HDEL", key, ("deletedAt",))
    yield Write("HSET", keys.active_by_livestream, (livestream_id, spelling))
    yield Write("HSET", keys.active_by_media, (media, livestream_id))
    yield Write("HSET", keys.generations, (media, generation))
    yield Write("HSET", keys.spellings, (media, spelling))


def _happening(name: str, pair: Pair) -> Happening:
    fields = {"livestreamId": pair.livestream_id, "contentMediaId": pair.content_media_id}
    return Happening(TOPIC, name, fields)
