"""Registering, unregistering and forcing an update: check and write are one script (`accept`)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Final

from app.avos.bodies import PropertyNames
from app.avos.sync import Planned, Registered, desired, event_times
from app.outgoing.model import (
    Acceptance,
    Accepted,
    Happening,
    Idempotency,
    NewRequest,
    Now,
    TimelineNote,
)
from app.outgoing.model import Sequence as NextNumber
from app.planning.concurrency import Acceptor, accept_or_repeat, answered_before
from app.planning.snapshot import Snapshot
from app.planning.store import PlanningStore
from app.platform.clock import utcnow
from app.platform.errors import NotFound
from app.platform.keys import fold, quoted
from app.registrations.records import Links, Pair, Registration, RegistrationOutcome, check_links
from app.registrations.store import RegistrationStore

TOPIC: Final = "livestream-operations"


class RegistrationService:
    """Every method raises Unavailable while the store is away."""

    def __init__(
        self,
        store: RegistrationStore,
        planning: PlanningStore,
        outgoing: Acceptor,
        names: PropertyNames,
        *,
        sync_on_register: bool = True,
    ) -> None:
        self.store = store
        self._keys = store.keys
        self._planning = planning
        self._outgoing = outgoing
        self._names = names
        self._sync_on_register = sync_on_register

    def active(self) -> list[Pair]:
        """All active registrations."""
        return self.store.active()

    def register(self, pair: Pair, idempotency: Idempotency | None = None) -> RegistrationOutcome:
        """Create, reactivate or update a pair. Raises, in this order: NotFound `Livestream not found`,
        NotFound `Event has no Job attached`, BadRequest `Content Media Already Registered`."""
        before = answered_before(self._outgoing, self._keys, idempotency)
        if before is not None:
            return self._repeated(pair, before)
        return accept_or_repeat(lambda: self._register(pair, idempotency))

    def unregister(self, pair: Pair, idempotency: Idempotency | None = None) -> RegistrationOutcome:
        """End a pair and its open requests; its record stays. Raises NotFound."""
        before = answered_before(self._outgoing, self._keys, idempotency)
        if before is not None:
            return self._repeated(pair, before)
        return accept_or_repeat(lambda: self._unregister(pair, idempotency))

    def force_update(self, content_media_id: str) -> tuple[str, ...]:
        """Queue both PATCHes even if nothing changed; their ids. Raises NotFound."""
        return accept_or_repeat(lambda: self._force_update(content_media_id))

    def preview(self, content_media_id: str) -> tuple[NewRequest, NewRequest]:
        """What a forced update would queue now. Raises NotFound."""
        booking, source = self.forced(content_media_id).requests
        return booking, source

    def forced(self, content_media_id: str) -> Acceptance:
        """Both PATCHes, and the guards of all that they were computed from. Raises NotFound."""
        snapshot = Snapshot(self._planning)
        registered, planned = self._current(snapshot, content_media_id)
        snapshot.guard_registration(registered.livestream_id)
        snapshot.requests += desired(registered, planned, self._names, forced=True)
        return snapshot.acceptance()

    def times(self, pairs: Sequence[Pair]) -> list[tuple[datetime | None, datetime | None]]:
        """Kick-off and end of each pair's event, where planning says them; a few round trips for all."""
        snapshot = Snapshot(self._planning)
        snapshot.load(livestreams=[pair.livestream_id for pair in pairs])
        snapshot.load_around()
        return [event_times(snapshot.planned(pair.livestream_id).event, pair.livestream_id) for pair in pairs]

    # Registering ----------------------------------------------------------------------------------

    def _register(self, pair: Pair, idempotency: Idempotency | None) -> RegistrationOutcome:
        snapshot = Snapshot(self._planning)
        planned = self._bookable(snapshot, pair.livestream_id)
        links = self.store.links(pair)
        update = check_links(links, pair)
        _guard_links(snapshot, pair, links)
        spelling = links.spelling or pair.content_media_id
        generation = links.generation if update else links.next_generation
        self._write_registration(
            snapshot, Pair(pair.livestream_id, spelling), links, generation, update=update
        )
        what = "registration-updated" if update else "registered"
        detail = {"livestreamId": pair.livestream_id, "eventId": planned.event_id}
        snapshot.notes.append(TimelineNote(spelling, what, detail))
        if self._sync_on_register:
            registered = Registered(pair.livestream_id, spelling, generation)
            snapshot.requests += desired(registered, planned, self._names)
        acceptance = snapshot.acceptance()
        if not update:
            acceptance = replace(
                acceptance, happenings=(_happening("livestream-registered", pair, spelling),)
            )
        accepted = self._outgoing.accept(replace(acceptance, idempotency=idempotency))
        if accepted.repeated:
            return self._repeated(pair, accepted)
        registration = Registration(
            livestream_id=pair.livestream_id,
            content_media_id=spelling,
            created_at=links.record.created_at if links.record else accepted.at,
            updated_at=accepted.at,
            generation=generation,
        )
        return RegistrationOutcome(registration, created=not update, request_ids=accepted.request_ids)

    def _bookable(self, snapshot: Snapshot, livestream_id: str) -> Planned:
        """What planning says about a livestream that may be registered."""
        snapshot.load(livestreams=[livestream_id])
        snapshot.load_around()
        planned = snapshot.planned(livestream_id)
        if planned.event is None:
            raise NotFound("Livestream not found", code="livestream_not_found", field="livestreamId")
        if planned.job is None:
            raise NotFound("Event has no Job attached", code="no_job", field="livestreamId")
        return planned

    def _write_registration(
        self, snapshot: Snapshot, pair: Pair, links: Links, generation: int, *, update: bool
    ) -> None:
        key = self._keys.registration(pair.livestream_id, pair.content_media_id)
        snapshot.write("HSET", key, "updatedAt", Now())
        if update:
            return
        media = fold(pair.content_media_id)
        if links.record is None:
            snapshot.write(
                "HSET",
                key,
                "livestreamId",
                pair.livestream_id,
                "contentMediaId",
                pair.content_media_id,
                "createdAt",
                Now(),
            )
            member = f"{quoted(pair.livestream_id)}:{quoted(media)}"
            snapshot.write("ZADD", self._keys.registrations, NextNumber(), member)
        snapshot.write("HSET", key, "generation", generation)
        snapshot.write("HDEL", key, "deletedAt")
        snapshot.write("HSET", self._keys.active_by_livestream, pair.livestream_id, pair.content_media_id)
        snapshot.write("HSET", self._keys.active_by_media, media, pair.livestream_id)
        snapshot.write("HSET", self._keys.generations, media, generation)
        snapshot.write("HSET", self._keys.spellings, media, pair.content_media_id)

    # Unregistering --------------------------------------------------------------------------------

    def _unregister(self, pair: Pair, idempotency: Idempotency | None) -> RegistrationOutcome:
        links = self.store.links(pair)
        if links.record is None or not links.active(pair):
            raise NotFound(
                "There is no active registration of this livestream and content media.",
                code="not_registered",
                field="contentMediaId",
            )
        snapshot = Snapshot(self._planning)
        _guard_links(snapshot, pair, links)
        key = self._keys.registration(pair.livestream_id, pair.content_media_id)
        snapshot.write("HSET", key, "updatedAt", Now(), "deletedAt", Now())
        snapshot.write("HDEL", self._keys.active_by_livestream, pair.livestream_id)
        snapshot.write("HDEL", self._keys.active_by_media, fold(pair.content_media_id))
        media = links.record.content_media_id
        snapshot.notes.append(TimelineNote(media, "unregistered", {"livestreamId": pair.livestream_id}))
        accepted = self._outgoing.accept(
            replace(
                snapshot.acceptance(),
                unregistered=(media,),
                happenings=(_happening("livestream-unregistered", pair, media),),
                idempotency=idempotency,
            )
        )
        if accepted.repeated:
            return self._repeated(pair, accepted)
        ended = replace(links.record, updated_at=accepted.at, deleted_at=accepted.at)
        return RegistrationOutcome(ended, created=False)

    # The forced update ----------------------------------------------------------------------------

    def _force_update(self, content_media_id: str) -> tuple[str, ...]:
        forced = self.forced(content_media_id)
        booking = forced.requests[0]
        detail = {"livestreamId": booking.livestream_id}
        note = TimelineNote(booking.content_media_id or content_media_id, "update-forced", detail)
        return self._outgoing.accept(replace(forced, notes=(note,))).request_ids

    def _current(self, snapshot: Snapshot, content_media_id: str) -> tuple[Registered, Planned]:
        """A content media's registration and what planning says about its livestream now."""
        livestream_id = self.store.livestream_of(content_media_id)
        if livestream_id is not None:
            snapshot.load(livestreams=[livestream_id])
            snapshot.load_around()
            registered = snapshot.registered(livestream_id)
            if registered is not None and fold(registered.content_media_id) == fold(content_media_id):
                return registered, snapshot.planned(livestream_id)
        raise NotFound(
            "There is no active registration of this content media.",
            code="not_registered",
            field="contentMediaId",
        )

    def _repeated(self, pair: Pair, before: Accepted) -> RegistrationOutcome:
        """As the first call was answered, as far as the record still shows it."""
        record = self.store.links(pair).record
        if record is None:  # history trimmed by hand: the call was accepted all the same
            record = Registration(pair.livestream_id, pair.content_media_id, utcnow(), utcnow())
        created = record.deleted_at is None and record.created_at == record.updated_at
        return RegistrationOutcome(record, created=created, request_ids=before.request_ids)


def _guard_links(snapshot: Snapshot, pair: Pair, links: Links) -> None:
    """Both sides are linked as they were read, or the whole call is computed again: of two clients that
    register at once one wins, and the other is judged by what the first has written."""
    keys = snapshot.keys
    media = fold(pair.content_media_id)
    snapshot.guard_generation(pair.content_media_id, links.generation)
    snapshot.guard(("HGET", keys.active_by_livestream, pair.livestream_id), links.media_of_livestream or "")
    snapshot.guard(("HGET", keys.active_by_media, media), links.livestream_of_media or "")


def _happening(name: str, pair: Pair, content_media_id: str) -> Happening:
    fields = {"livestreamId": pair.livestream_id, "contentMediaId": content_media_id}
    return Happening(TOPIC, name, fields)
