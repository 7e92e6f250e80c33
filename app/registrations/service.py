"""Registering, unregistering and forcing an update: check and write are one script (`accept`)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from app.avos.bodies import PropertyNames
from app.avos.sync import event_times
from app.outgoing.model import Acceptance, Accepted, Idempotency, NewRequest, TimelineNote
from app.planning.records import Ids
from app.planning.store import PlanningStore
from app.planning.unit_of_work import Acceptor, UnitOfWork, answered_before, run
from app.platform.clock import utcnow
from app.platform.errors import NotFound
from app.platform.keys import fold
from app.registrations.changes import (
    check_registering,
    check_unregistering,
    forced_update,
    registering,
    unregistering,
)
from app.registrations.records import Pair, Registration, RegistrationOutcome
from app.registrations.store import RegistrationStore


class RegistrationService:
    """Every method raises Unavailable while the store is away."""

    def __init__(
        self,
        store: RegistrationStore,
        planning: PlanningStore,
        outgoing: Acceptor,
        names: PropertyNames,
        *,
        sync_on_register: bool,
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
        return run(self._planning, self._outgoing, lambda unit: self._register(unit, pair, idempotency))

    def unregister(self, pair: Pair, idempotency: Idempotency | None = None) -> RegistrationOutcome:
        """End a pair and its open requests; its record stays. Raises NotFound."""
        before = answered_before(self._outgoing, self._keys, idempotency)
        if before is not None:
            return self._repeated(pair, before)
        return run(self._planning, self._outgoing, lambda unit: self._unregister(unit, pair, idempotency))

    def force_update(self, content_media_id: str) -> tuple[str, ...]:
        """Queue both PATCHes even if nothing changed; their ids. Raises NotFound."""
        return run(self._planning, self._outgoing, lambda unit: self._force_update(unit, content_media_id))

    def preview(self, content_media_id: str) -> tuple[NewRequest, NewRequest]:
        """What a forced update would queue now. Raises NotFound."""
        booking, source = self.forced(content_media_id).requests
        return booking, source

    def forced(self, content_media_id: str) -> Acceptance:
        """Both PATCHes, and the guards of all that they were computed from. Raises NotFound."""
        return self._forced(UnitOfWork(self._planning, self._outgoing), content_media_id)

    def times(self, pairs: Sequence[Pair]) -> list[tuple[datetime | None, datetime | None]]:
        """Kick-off and end of each pair's event, where planning says them; a few round trips for all."""
        livestreams = tuple(pair.livestream_id for pair in pairs)
        plans = UnitOfWork(self._planning, self._outgoing).read(Ids(livestreams=livestreams))
        return [event_times(plans.planned(one).event, one) for one in livestreams]

    def _register(self, unit: UnitOfWork, pair: Pair, idempotency: Idempotency | None) -> RegistrationOutcome:
        plans = unit.read(Ids(livestreams=(pair.livestream_id,)))
        links = self.store.links(pair)
        made = check_registering(pair, links, plans)
        change = registering(made, plans, self._keys, self._names, sync=self._sync_on_register)
        accepted = unit.commit(change, idempotency=idempotency)
        if accepted.repeated:
            return self._repeated(pair, accepted)
        registration = Registration(
            livestream_id=pair.livestream_id,
            content_media_id=made.pair.content_media_id,
            created_at=links.record.created_at if links.record else accepted.at,
            updated_at=accepted.at,
            generation=made.registered.generation,
        )
        return RegistrationOutcome(registration, created=not made.update, request_ids=accepted.request_ids)

    def _unregister(
        self, unit: UnitOfWork, pair: Pair, idempotency: Idempotency | None
    ) -> RegistrationOutcome:
        links = self.store.links(pair)
        active = check_unregistering(pair, links)
        accepted = unit.commit(unregistering(active, links, self._keys), idempotency=idempotency)
        if accepted.repeated:
            return self._repeated(pair, accepted)
        return RegistrationOutcome(
            replace(active, updated_at=accepted.at, deleted_at=accepted.at), created=False
        )

    def _force_update(self, unit: UnitOfWork, content_media_id: str) -> tuple[str, ...]:
        forced = self._forced(unit, content_media_id)
        booking = forced.requests[0]
        detail = {"livestreamId": booking.livestream_id}
        note = TimelineNote(booking.content_media_id or content_media_id, "update-forced", detail)
        return unit.commit(replace(forced, notes=(note,))).request_ids

    def _forced(self, unit: UnitOfWork, content_media_id: str) -> Acceptance:
        livestream_id = self.store.livestream_of(content_media_id)
        if livestream_id is not None:
            plans = unit.read(Ids(livestreams=(livestream_id,)))
            registered = plans.registered(livestream_id)
            if registered is not None and fold(registered.content_media_id) == fold(content_media_id):
                return forced_update(registered, plans, self._keys, self._names)
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
