"""What planning can ask: put, delete, show and list events and jobs, one or many in a call."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from app.avos.bodies import PropertyNames
from app.outgoing.model import Accepted, Idempotency
from app.planning import batch
from app.planning.answers import ItemAnswer
from app.planning.changes import effect
from app.planning.records import Change, ChangeOutcome, Kind, Record, SourceVersion, stamped
from app.planning.store import PlanningStore
from app.planning.unit_of_work import Acceptor, UnitOfWork, answered_before, run
from app.platform.cursors import Page
from app.platform.errors import NotFound


class PlanningService:
    """Every method raises Unavailable while the store is away; the outcome of a write is then unknown,
    and repeating it is safe: a repeat of what is stored changes nothing."""

    def __init__(self, store: PlanningStore, outgoing: Acceptor, names: PropertyNames) -> None:
        self.store = store
        self._outgoing = outgoing
        self._names = names

    def get(self, kind: Kind, identifier: str) -> Record:
        """Raises NotFound."""
        record = self.store.record(kind, identifier)
        if not record.exists:
            raise NotFound(f"There is no such {kind}.", code=f"{kind}_not_found")
        return record

    def page(self, kind: Kind, limit: int, after: str | None = None) -> Page[tuple[str, Record]]:
        """Events or jobs in the order of their creation."""
        return self.store.page(kind, limit, after)

    def put(
        self,
        kind: Kind,
        identifier: str,
        body: Mapping[str, Any],
        *,
        source_version: SourceVersion | None = None,
        if_match: str | None = None,
        idempotency: Idempotency | None = None,
    ) -> ChangeOutcome:
        """Store a validated body and queue what it causes. Raises Conflict for an older sourceVersion,
        PreconditionFailed, IdempotencyMismatch."""
        return self._change(Change(kind, identifier, body, source_version, if_match), idempotency)

    def delete(
        self,
        kind: Kind,
        identifier: str,
        *,
        source_version: SourceVersion | None = None,
        if_match: str | None = None,
        idempotency: Idempotency | None = None,
    ) -> ChangeOutcome:
        """Forget a record but for its revision and sourceVersion. Raises NotFound and what `put` raises."""
        return self._change(Change(kind, identifier, None, source_version, if_match), idempotency)

    def messages(
        self, messages: Sequence[Any], *, idempotency: Idempotency | None = None
    ) -> list[ItemAnswer]:
        """Many PUTs in one call, each on its own; see `batch`."""
        return batch.run(messages, self.store, self._outgoing, self._names, idempotency)

    def _change(self, change: Change, idempotency: Idempotency | None) -> ChangeOutcome:
        before = answered_before(self._outgoing, self.store.keys, idempotency)
        if before is not None:
            return self._repeated(change, before)
        return run(self.store, self._outgoing, lambda unit: self._attempt(unit, change, idempotency))

    def _attempt(self, unit: UnitOfWork, change: Change, idempotency: Idempotency | None) -> ChangeOutcome:
        meant = effect(change, unit.read(change.names), self.store.keys, self._names)
        if meant.is_nothing and idempotency is None:
            return meant.outcome
        accepted = unit.commit(meant.acceptance, idempotency=idempotency)
        if accepted.repeated:  # the same call, at the same time
            return self._repeated(change, accepted)
        record = stamped(meant.outcome.record, accepted.at)
        return replace(meant.outcome, record=record, request_ids=accepted.request_ids)

    def _repeated(self, change: Change, before: Accepted) -> ChangeOutcome:
        """As the first call was answered, as far as the record still shows it."""
        record = self.store.record(change.kind, change.id)
        created = record.exists and record.created_at == record.updated_at
        return ChangeOutcome(
            change.id, record, created=created, changed=False, request_ids=before.request_ids
        )
