"""Many events and jobs in one call: each stands on its own, and few round trips serve them all.

Items are read ahead in blocks and accepted in groups, in their order. A group has only items that touch
different content media: within one acceptance "does it change anything" is asked before anything is
written, so two changes of one content media must not share it.

When the store goes away in the middle, what was accepted is answered as such and the rest with 503 each; with
nothing accepted yet the whole call is. A group whose answer was lost counts to the rest: it may have been
written, and repeating it is harmless.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from app.avos.bodies import PropertyNames
from app.outgoing.model import Acceptance, Idempotency, Write
from app.planning.answers import ItemAnswer, decoded, encoded, refused
from app.planning.changes import Effect, effect, reach
from app.planning.records import Change, union
from app.planning.schemas import read_message
from app.planning.store import PlanningStore
from app.planning.unit_of_work import Acceptor, UnitOfWork, answered_before
from app.planning.unit_of_work import run as run_unit
from app.platform.errors import MediaopsError, Unavailable
from app.platform.turns import in_turns

BLOCK: Final = 100  # read ahead together; below the depth that the store reads of each set
GROUP: Final = 25  # accepted together, and no more requests than this: a script of a few milliseconds
GROUP_REQUESTS: Final = 12
_ANSWER_KEPT_MS: Final = 86_400_000  # as long as the key itself


@dataclass(slots=True)
class _Batch:
    """A batch on its way: answers by index, and how many changes are in Redis."""

    changes: dict[int, Change] = field(default_factory=dict)
    answers: dict[int, ItemAnswer] = field(default_factory=dict)
    accepted: int = 0


def run(
    messages: Sequence[Any],
    store: PlanningStore,
    outgoing: Acceptor,
    names: PropertyNames,
    idempotency: Idempotency | None = None,
) -> list[ItemAnswer]:
    """One answer per message. Raises Unavailable only when nothing was accepted."""
    if idempotency is not None and answered_before(outgoing, store.keys, idempotency) is not None:
        earlier = store.earlier_answer(idempotency.digest)
        if earlier is not None:
            return decoded(earlier)
    batch = _Batch()
    for index, message in in_turns(enumerate(messages)):
        try:
            batch.changes[index] = read_message(message, index)
        except MediaopsError as error:
            batch.answers[index] = refused(index, error)
    try:
        readable = sorted(batch.changes)
        for start in range(0, len(readable), BLOCK):
            block = readable[start : start + BLOCK]
            run_unit(store, outgoing, lambda unit, block=block: _block(batch, block, unit, names))  # type: ignore[misc]
        if idempotency is not None:
            _remember(_in_order(batch), store, outgoing, idempotency)
    except Unavailable as error:
        if not batch.accepted:
            raise
        for index in batch.changes:
            batch.answers.setdefault(index, refused(index, error))
    return _in_order(batch)


def _in_order(batch: _Batch) -> list[ItemAnswer]:
    return [batch.answers[index] for index in sorted(batch.answers)]


def _block(batch: _Batch, block: list[int], unit: UnitOfWork, names: PropertyNames) -> None:
    """Answer what of the block has no answer yet. Raises Again: what is accepted by then has its answer."""
    waiting = [index for index in block if index not in batch.answers]
    unit.read(union(batch.changes[index].names for index in waiting))
    group = _Group(batch, unit)
    for index in in_turns(waiting):
        change = batch.changes[index]
        plans = unit.read(change.names)
        livestreams = reach(change, plans)
        if not group.takes(livestreams):
            group.accept()
        try:
            group.add(index, effect(change, plans, unit.keys, names), livestreams)
        except Unavailable:
            raise
        except MediaopsError as error:
            group.refuse(index, error)
    group.accept()


class _Group:
    """Items that are accepted together."""

    def __init__(self, batch: _Batch, unit: UnitOfWork) -> None:
        self._batch = batch
        self._unit = unit
        self._begin()

    def _begin(self) -> None:
        self._effects: dict[int, Effect] = {}
        self._refused: dict[int, ItemAnswer] = {}
        self._requests = 0
        self._touched: set[str] = set()

    def takes(self, livestreams: set[str]) -> bool:
        """Whether an item that touches these can be accepted with the group."""
        few = len(self._effects) < GROUP and self._requests < GROUP_REQUESTS
        return few and not livestreams & self._touched

    def add(self, index: int, meant: Effect, livestreams: set[str]) -> None:
        """Take an item in."""
        self._effects[index] = meant
        self._requests += len(meant.acceptance.requests)
        self._touched |= livestreams
        if not meant.is_nothing:
            self._unit.add(meant.acceptance, meant.after)

    def refuse(self, index: int, error: MediaopsError) -> None:
        """Note why an item isn't taken: what is written before it decides about that too."""
        self._refused[index] = refused(index, error)

    def accept(self) -> None:
        """Write what was taken in, answer it, and begin the next group. Raises Again."""
        queued: frozenset[str] = frozenset()
        if not all(meant.is_nothing for meant in self._effects.values()):
            queued = frozenset(self._unit.commit().request_ids)
            self._batch.accepted += len(self._effects)
        for index, meant in self._effects.items():
            self._batch.answers[index] = _taken(index, meant, queued)
        self._batch.answers.update(self._refused)
        self._begin()


def _remember(
    answers: list[ItemAnswer], store: PlanningStore, outgoing: Acceptor, idempotency: Idempotency
) -> None:
    """The whole answer, for a repeat under the same key. Until here a repeat is worked through again."""
    key = store.answer_key(idempotency.digest)
    write = Write("SET", key, (encoded(answers), "PX", _ANSWER_KEPT_MS))
    outgoing.accept(Acceptance(writes=(write,), idempotency=idempotency))


def _taken(index: int, meant: Effect, queued: frozenset[str]) -> ItemAnswer:
    ids = (request.id for request in meant.acceptance.requests)
    return ItemAnswer(
        index,
        created=meant.outcome.created,
        request_ids=tuple(one for one in ids if one in queued),
        event_known=meant.outcome.event_known,
    )
