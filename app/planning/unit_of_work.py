"""A unit of work: what one call reads, what it relies on, and what it changes, accepted as a whole or not at all.

`run` begins one, has it worked on, and begins anew where something moved before it was accepted. Every map of what was read
is kept, so that nothing is read twice; after a commit it is what Redis holds, so that a batch reads once and commits often.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Container, Iterable
from dataclasses import replace
from typing import Final, Protocol, TypeVar

from app.outgoing.errors import Again
from app.outgoing.model import Acceptance, Accepted, Guard, Idempotency
from app.planning.plans import EventState, LivestreamState, Plans
from app.planning.records import Ids, Record
from app.planning.store import PlanningStore
from app.platform.errors import Unavailable
from app.platform.keys import Keys

T = TypeVar("T")

ROUNDS: Final = 20
_AT_ONCE: Final = 3  # rounds without a pause: losing to one other writer is common, to many is not


class Acceptor(Protocol):
    """What planning and registrations need of `OutgoingStore`."""

    def accept(self, acceptance: Acceptance) -> Accepted: ...


class UnitOfWork:
    """One thread. Raises Unavailable while the store is away."""

    def __init__(self, store: PlanningStore, outgoing: Acceptor) -> None:
        self._store = store
        self._outgoing = outgoing
        self._events: dict[str, EventState] = {}
        self._jobs: dict[str, Record] = {}
        self._livestreams: dict[str, LivestreamState] = {}
        self._added: list[Acceptance] = []
        self.keys = store.keys
        self.plans = Plans(self._events, self._jobs, self._livestreams)

    # Reading --------------------------------------------------------------------------------------

    def read(self, named: Ids) -> Plans:
        """All that is around what is named, in a few round trips, or none where it was read before."""
        while self._load(self.plans.around(named)):
            pass
        return self.plans

    def _load(self, wanted: Ids) -> bool:
        """Read what of these isn't here yet; False where all is."""
        missing = Ids(
            _without(wanted.events, self._events),
            _without(wanted.jobs, self._jobs),
            _without(wanted.livestreams, self._livestreams),
        )
        if missing == Ids():
            return False
        self._take(self._store.read(missing))
        self._load_generations(missing.livestreams)
        return True

    def _load_generations(self, livestreams: Iterable[str]) -> None:
        states = {one: self._livestreams[one] for one in livestreams}
        media = {one: state.content_media_id for one, state in states.items() if state.content_media_id}
        if media:
            generations = self._store.generations(list(media.values()))
            for one, generation in zip(media, generations, strict=True):
                self._livestreams[one] = replace(states[one], generation=generation)

    def _take(self, found: Plans) -> None:
        self._events.update(found.events)
        self._jobs.update(found.jobs)
        self._livestreams.update(found.livestreams)

    # Changing -------------------------------------------------------------------------------------

    def add(self, change: Acceptance, after: Plans | None = None) -> None:
        """Take a change in: `commit` will write it, and what is computed until then sees its states `after` it."""
        self._added.append(change)
        if after is not None:
            self._take(after)

    def commit(self, *last: Acceptance, idempotency: Idempotency | None = None) -> Accepted:
        """Write all that was added since the last commit, and what is given here, or nothing. Raises Again where
        something that was relied on has moved: this unit is of no use then; and IdempotencyMismatch."""
        added, self._added = [*self._added, *last], []
        return self._outgoing.accept(joined(added, idempotency))


def run(store: PlanningStore, outgoing: Acceptor, work: Callable[[UnitOfWork], T]) -> T:
    """The result of `work`, which reads, computes and commits. On `Again` it gets a new unit."""
    return until_accepted(lambda: work(UnitOfWork(store, outgoing)))


def until_accepted(work: Callable[[], T]) -> T:
    """The result of `work`, which reads, computes and has accepted; on `Again` it begins anew, 20 times at most. Then
    raises Unavailable (`contended`)."""
    for round_number in range(ROUNDS):
        try:
            return work()
        except Again:
            if round_number >= _AT_ONCE:
                time.sleep(random.uniform(0, 0.002 * round_number))  # rivals spread out
    raise Unavailable(
        "Other calls keep changing the same records; try again.", code="contended", retry_after=1
    )


def answered_before(outgoing: Acceptor, keys: Keys, idempotency: Idempotency | None) -> Accepted | None:
    """What a call under this key was answered, if it was. Ask before anything is checked: the first call has changed
    what this one would be checked against. Raises IdempotencyMismatch.

    The question is an acceptance whose guard never holds: the script looks at the key first.
    """
    if idempotency is None:
        return None
    never = Guard(("GET", keys.idempotency("never")), "never")
    try:
        return outgoing.accept(Acceptance(guards=(never,), idempotency=idempotency))
    except Again:
        return None


def joined(parts: Iterable[Acceptance], idempotency: Idempotency | None = None) -> Acceptance:
    """One acceptance of many, in their order. Of guards on one value the first counts: what an earlier part alters
    isn't in Redis yet."""
    parts = list(parts)
    guards: dict[tuple[str, ...], Guard] = {}
    for part in parts:
        for guard in part.guards:
            guards.setdefault(guard.command, guard)
    return Acceptance(
        guards=tuple(guards.values()),
        writes=tuple(one for part in parts for one in part.writes),
        requests=tuple(one for part in parts for one in part.requests),
        recheck=tuple(one for part in parts for one in part.recheck),
        happenings=tuple(one for part in parts for one in part.happenings),
        notes=tuple(one for part in parts for one in part.notes),
        idempotency=idempotency,
    )


def _without(ids: Iterable[str], known: Container[str]) -> tuple[str, ...]:
    return tuple(one for one in ids if one not in known)
