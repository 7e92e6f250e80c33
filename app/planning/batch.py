"""Many events and jobs in one call: each stands on its own, and few round trips serve them all.

Items are read ahead in blocks and accepted in groups, in their order. A group holds only items that touch
different content media: within one acceptance "does it change anything" is asked before anything is
written, so two changes of one content media must not share it.

When the store goes away in the middle, what was accepted is answered as such and the rest with 503 each; with
nothing accepted yet the whole call is. A group whose answer was lost counts to the rest: it may have been
written, and repeating it is harmless.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final, cast

from app.avos.bodies import PropertyNames
from app.outgoing.model import Acceptance, Idempotency, Write, encode
from app.planning.changes import Change, apply, reach
from app.planning.concurrency import Acceptor, accept_or_repeat, answered_before
from app.planning.records import ChangeOutcome
from app.planning.schemas import read_message
from app.planning.snapshot import Snapshot
from app.planning.store import PlanningStore
from app.platform.errors import InvalidInput, MediaopsError, Unavailable
from app.platform.turns import in_turns

BLOCK: Final = 100  # read ahead together; below the depth that the store reads of each set
GROUP: Final = 25  # accepted together, and no more requests than this: a script of a few milliseconds
GROUP_REQUESTS: Final = 12
_ANSWER_KEPT_MS: Final = 86_400_000  # as long as the key itself

Answer = dict[str, Any]


@dataclass(slots=True)
class _Work:
    """A batch on its way: answers by index, and how many changes are in Redis."""

    changes: dict[int, Change]
    answers: dict[int, Answer] = field(default_factory=dict)
    accepted: int = 0


def run(
    messages: Sequence[Any],
    store: PlanningStore,
    outgoing: Acceptor,
    names: PropertyNames,
    idempotency: Idempotency | None = None,
) -> list[Answer]:
    """One answer per message. Raises Unavailable only when nothing was accepted."""
    if answered_before(outgoing, store.keys, idempotency) is not None:
        earlier = store.earlier_answer(cast("Idempotency", idempotency).digest)
        if earlier is not None:
            return cast("list[Answer]", json.loads(earlier))
    work = _Work(changes={})
    for index, message in in_turns(enumerate(messages)):
        try:
            work.changes[index] = read_message(message, index)
        except MediaopsError as error:
            work.answers[index] = failure(index, error)
    try:
        open_items = sorted(work.changes)
        for start in range(0, len(open_items), BLOCK):
            block = open_items[start : start + BLOCK]
            accept_or_repeat(lambda block=block: _block(work, block, store, outgoing, names))  # type: ignore[misc]
        answers = [work.answers[index] for index in range(len(messages))]
        if idempotency is not None:
            _remember(answers, store, outgoing, idempotency)
    except Unavailable as error:
        if not work.accepted:
            raise
        for index in work.changes:
            work.answers.setdefault(index, failure(index, error))
    return [work.answers[index] for index in range(len(messages))]


def prefetch(snapshot: Snapshot, changes: Sequence[Change]) -> None:
    """Read what the changes name, and what that refers to, in few round trips."""
    bodies = [change.body or {} for change in changes]
    snapshot.load(
        events=[
            *(change.id for change in changes if change.kind == "event"),
            *(body["eventId"] for body in bodies if "eventId" in body),
        ],
        jobs=[change.id for change in changes if change.kind == "job"],
        livestreams=[entry["livestreamId"] for body in bodies for entry in body.get("livestreams") or ()],
    )
    snapshot.load_around()


class _Group:
    """Items that are accepted together."""

    def __init__(self, work: _Work, snapshot: Snapshot, outgoing: Acceptor) -> None:
        self._work = work
        self._snapshot = snapshot
        self._outgoing = outgoing
        self._outcomes: dict[int, ChangeOutcome] = {}
        self._refused: dict[int, Answer] = {}
        self._touched: set[str] = set()

    def takes(self, livestreams: set[str]) -> bool:
        """Is there room for an item that touches these?"""
        few = len(self._outcomes) < GROUP and len(self._snapshot.requests) < GROUP_REQUESTS
        return few and not livestreams & self._touched

    def apply(self, index: int, livestreams: set[str], names: PropertyNames) -> None:
        """Take an item in, or note why it is refused."""
        try:
            self._outcomes[index] = apply(self._snapshot, self._work.changes[index], names)
        except Unavailable:
            raise
        except MediaopsError as error:
            self._refused[index] = failure(index, error)
        else:
            self._touched |= livestreams

    def accept(self) -> None:
        """Write what was taken in, answer it, and begin the next group. Raises Again."""
        queued: set[str] = set()
        if self._snapshot.requests or any(outcome.changed for outcome in self._outcomes.values()):
            accepted = self._outgoing.accept(self._snapshot.acceptance())
            self._snapshot.accepted(accepted.at)
            self._work.accepted += len(self._outcomes)
            queued = set(accepted.request_ids)
        else:
            self._snapshot.begin()
        for index, outcome in self._outcomes.items():
            kept = tuple(one for one in outcome.request_ids if one in queued)
            self._work.answers[index] = _success(index, replace(outcome, request_ids=kept))
        self._work.answers.update(self._refused)
        self._outcomes, self._refused, self._touched = {}, {}, set()


def _block(
    work: _Work, block: list[int], store: PlanningStore, outgoing: Acceptor, names: PropertyNames
) -> None:
    """Answer what of the block has no answer yet. Raises Again: what is accepted by then has its answer."""
    waiting = [index for index in block if index not in work.answers]
    snapshot = Snapshot(store)
    prefetch(snapshot, [work.changes[index] for index in waiting])
    group = _Group(work, snapshot, outgoing)
    for index in in_turns(waiting):
        livestreams = reach(snapshot, work.changes[index])
        if not group.takes(livestreams):
            group.accept()
        group.apply(index, livestreams, names)
    group.accept()


def _remember(
    answers: list[Answer], store: PlanningStore, outgoing: Acceptor, idempotency: Idempotency
) -> None:
    """The whole answer, for a repeat under the same key. Until here a repeat is worked through again."""
    key = store.answer_key(idempotency.digest)
    write = Write("SET", key, (encode(answers), "PX", _ANSWER_KEPT_MS))
    outgoing.accept(Acceptance(writes=(write,), idempotency=idempotency))


def _success(index: int, outcome: ChangeOutcome) -> Answer:
    answer: Answer = {
        "index": index,
        "status": 200,
        "created": outcome.created,
        "requestIds": list(outcome.request_ids),
    }
    return answer if outcome.event_known else answer | {"eventKnown": False}


def failure(index: int, error: MediaopsError) -> Answer:
    """The answer for one refused item, shaped like a problem's errors."""
    details = error.details if isinstance(error, InvalidInput) else [error.detail]
    answer: Answer = {
        "index": index,
        "status": error.status,
        "code": error.code,
        "errors": [{"title": error.title, "detail": detail} for detail in details],
    }
    if error.field:
        answer["field"] = error.field
    if error.retry_after is not None:
        answer["retryAfter"] = error.retry_after
    return answer
