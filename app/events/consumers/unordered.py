"""The turn of a consumer whose order doesn't matter: several calls at once, each event acknowledged for
itself, and a retry of one holds back no other. What a worker has stands in the consumer's `open` set, so
that the next worker finds it.

Retries have half of the calls at most; and only first tries show whether the receiver is well, since what
has failed before may never be taken.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, replace
from typing import Final

from app.events.consumers.acknowledgement import GOING_ON, CallReport, at_once
from app.events.consumers.decision import Retries
from app.events.consumers.health import FAILING
from app.events.consumers.model import Acked, Item, ReadLimits
from app.events.consumers.outcomes import CallResult
from app.events.consumers.turn import JudgedCall, Turn
from app.events.sinks.base import Outcome

_LOOK_S: Final = 0.2  # between two looks for new events while calls are under way and slots are free
# A turn lasts longer than its slice where one call hangs and others go through: letting go has to wait for
# all of them.
_LONGEST_S: Final = 30.0
_HANGING_S: Final = 1.0
_NOTHING: Final = ReadLimits(limit=0, max_bytes=0, open_limit=0, keep=True)

Answer = Future[list[Outcome]]


@dataclass(frozen=True, slots=True)
class RunningCall:
    """One that is under way. `again`: its events have failed before."""

    items: list[Item]
    again: bool
    began_s: float


class Unordered:
    """See the module."""

    def __init__(self, turn: Turn) -> None:
        self._turn = turn
        self._first: list[Item] = []  # that haven't failed yet
        self._again: list[Item] = []
        self._next_again = False  # whether the next call is one of retries, where both wait
        self._running: dict[Answer, RunningCall] = {}
        self._in_vain = turn.health.failures  # first tries in a row, as they ended
        self._stopping = False
        self._stop = GOING_ON  # what the failures come to, once no call is under way any more
        self._add(turn.claimed.items)

    def run(self) -> str:
        """Until nothing is left, too much fails or the time is up; how it ended, in a word."""
        claimed = self._turn.claimed
        with ThreadPoolExecutor(claimed.slots, thread_name_prefix=claimed.id[:8]) as pool:
            while self._turn.lease.valid:
                self._begin_calls(pool)
                acked = self._acknowledge(self._completed())
                if not acked.going_on:
                    return acked.word
                self._add(acked.items)
        return "lost"

    @property
    def _slots(self) -> int:
        return 1 if self._turn.health.alone else self._turn.claimed.slots

    def _add(self, items: Sequence[Item]) -> None:
        self._first += [item for item in items if not item.again]
        self._again += [item for item in items if item.again]

    # Calling --------------------

    def _begin_calls(self, pool: ThreadPoolExecutor) -> None:
        while len(self._running) < self._slots and not self._over():
            again = self._is_agains_turn()
            batch = self._batch(self._again if again else self._first)
            if not batch:
                return
            self._next_again = not again
            answer = pool.submit(self._turn.send, batch)
            self._running[answer] = RunningCall(batch, again, self._turn.elapsed_s)

    def _over(self) -> bool:
        """Whether no further call is begun."""
        if not self._stopping and self._turn.over:
            oldest = min((call.began_s for call in self._running.values()), default=self._turn.elapsed_s)
            hanging = self._turn.elapsed_s - oldest >= _HANGING_S
            self._stopping = not hanging or self._turn.elapsed_s >= _LONGEST_S
        return self._stopping

    def _is_agains_turn(self) -> bool:
        """Whether the next call is one of retries: by turns with first tries, in half of the slots."""
        running = sum(call.again for call in self._running.values())
        may = bool(self._again) and running < max(1, self._slots // 2)
        return may and (self._next_again or not self._first)

    def _batch(self, waiting: list[Item]) -> list[Item]:
        """The next call's events, taken out of what waits."""
        limits = self._turn.sink.limits
        batch: list[Item] = []
        room = limits.bytes
        for item in waiting[: limits.events]:
            room -= len(item.delivery.event)
            if batch and room < 0:
                break
            batch.append(item)
        del waiting[: len(batch)]
        return batch

    def _completed(self) -> list[Answer]:
        if not self._running:
            return []
        free = len(self._running) < self._slots and not self._stopping
        done, _ = wait(self._running, timeout=_LOOK_S if free else None, return_when=FIRST_COMPLETED)
        return list(done)

    # Acknowledging --------------------

    def _acknowledge(self, answers: Sequence[Answer]) -> Acked:
        reports = [self._report(self._running.pop(answer), answer.result()) for answer in answers]
        if self._over() and not self._running:
            # What this worker has and hasn't begun goes back as it was.
            given_back = [*self._first, *self._again]
            return self._turn.acknowledge(reports, stop=self._stop, given_back=given_back)
        # Letting go has to wait for calls that are under way: no other worker could write down their outcome.
        return self._turn.acknowledge(reports, read=self._wanted())

    def _report(self, running: RunningCall, outcomes: list[Outcome]) -> CallReport:
        call = self._turn.judge(running.items, outcomes, first_try=not running.again)
        self._count_in_vain(call.result, again=running.again)
        retries = self._turn.retries(call)
        next_ms = retries.next_ms
        if call.result.failed and running.again and self._turn.health.failures:
            retries = self._rest(retries)
        self._note_stop(call, again=running.again)
        return self._turn.report(call, retries, next_ms)

    def _count_in_vain(self, result: CallResult, *, again: bool) -> None:
        if result.done:
            self._in_vain = 0
        if result.failed and not again:
            self._in_vain += 1

    def _rest(self, retries: Retries) -> Retries:
        """A retry has failed while first tries fail too: all retries rest, those that this worker has go
        back."""
        waits = (*retries.waits, *at_once(self._again))
        self._again.clear()
        return replace(retries, waits=waits, rest_ms=self._turn.retry_rest_ms())

    def _note_stop(self, call: JudgedCall, *, again: bool) -> None:
        result = call.result
        in_vain = self._in_vain >= max(FAILING, self._slots) or result.retry_after_s is not None
        stop = self._turn.stop(call) if result.failed and not again and in_vain else call.stop
        self._stop = self._stop.merge(stop)
        handed_over = bool(result.handed_over) and self._turn.is_fast  # to another worker
        self._stopping = self._stopping or handed_over or stop.stops

    def _wanted(self) -> ReadLimits:
        """Enough for every slot, while there is time; of retries enough for half of them."""
        if self._stopping:
            return _NOTHING
        keep = bool(self._running or self._first or self._again)
        window = self._turn.policy.window_bytes
        first, again = (sum(len(item.delivery.event) for item in some) for some in (self._first, self._again))
        budget = max(window - first - again, window // 2 - first)
        if budget <= 0:
            return ReadLimits(limit=0, max_bytes=0, open_limit=0, keep=keep)
        room = self._slots * self._turn.sink.limits.events
        retries = max(1, room // 2) - len(self._again)
        return ReadLimits(
            limit=max(0, room - len(self._first)),
            max_bytes=budget,
            open_limit=max(0, retries) if again * 2 < window else 0,
            keep=keep,
        )
