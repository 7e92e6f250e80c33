"""The turn of a consumer whose order doesn't matter: several calls at once, each event acknowledged for itself, and a retry of one
holds back no other. What a worker holds stands in the consumer's `open` set, so that whoever comes after finds it.

Retries have half of the calls at most, whatever waits for one; and only first tries tell whether the receiver is well, since what
has failed before may never be taken.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import Final

from app.events.consumers.model import Ack, Acked, Item, Read
from app.events.consumers.turn import FAILING, Turn
from app.events.sinks.base import Outcome

_LOOK_S: Final = 0.2  # between two looks for new events while calls are under way and slots are free
# A turn lasts longer than its slice where one call hangs and others go through: letting go has to wait for all of them.
_LONGEST_S: Final = 30.0
_HANGING_S: Final = 1.0

Answer = Future[list[Outcome]]


@dataclass(frozen=True, slots=True)
class Call:
    """One that is under way. `again`: its events have failed before."""

    items: list[Item]
    again: bool
    began_s: float


class Unordered:
    """See the module."""

    def __init__(self, session: Turn) -> None:
        self._session = session
        self._first: list[Item] = []  # that haven't failed yet
        self._again: list[Item] = []
        self._next_again = False  # whose turn it is, where both wait
        self._running: dict[Answer, Call] = {}
        self._in_vain = session.failures  # first tries in a row, as they ended
        self._stopping = False
        self._last = Ack()  # what the failures come to, once no call is under way any more
        self._add(session.claimed.items)

    @property
    def _slots(self) -> int:
        return 1 if self._session.alone else self._session.claimed.slots

    def run(self) -> str:
        """Until nothing is left, too much fails or the time is up; how it ended, in a word."""
        claimed = self._session.claimed
        with ThreadPoolExecutor(claimed.slots, thread_name_prefix=claimed.id[:8]) as pool:
            while True:
                if not self._session.hold.valid:
                    return "lost"
                while len(self._running) < self._slots and not self._over():
                    again = self._is_agains_turn()
                    batch = self._batch(self._again if again else self._first)
                    if not batch:
                        break
                    self._next_again = not again
                    answer = pool.submit(self._session.send, batch)
                    self._running[answer] = Call(batch, again, self._session.elapsed_s)
                acked = self._acknowledge(self._completed())
                if not acked.going_on:
                    return acked.word
                self._add(acked.items)

    def _add(self, items: Sequence[Item]) -> None:
        self._first += [item for item in items if not item.again]
        self._again += [item for item in items if item.again]

    def _over(self) -> bool:
        """Whether nothing is begun any more."""
        if not self._stopping and self._session.over:
            oldest = min((call.began_s for call in self._running.values()), default=self._session.elapsed_s)
            hanging = self._session.elapsed_s - oldest >= _HANGING_S
            self._stopping = not hanging or self._session.elapsed_s >= _LONGEST_S
        return self._stopping

    def _is_agains_turn(self) -> bool:
        """Whether the next call is one of retries: by turns with first tries, in half of the slots."""
        running = sum(call.again for call in self._running.values())
        may = bool(self._again) and running < max(1, self._slots // 2)
        return may and (self._next_again or not self._first)

    def _batch(self, waiting: list[Item]) -> list[Item]:
        """The next call's events, taken out of what waits."""
        limits = self._session.sink.limits
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

    def _acknowledge(self, answers: Sequence[Answer]) -> Acked:
        ack = Ack()
        for answer in answers:
            self._judge(ack, self._running.pop(answer), answer.result())
        # Letting go has to wait for what is under way: nobody else could write down its outcome.
        self._last.rest_ms = max(filter(None, (ack.rest_ms, self._last.rest_ms)), default=None)
        self._last.disable = ack.disable or self._last.disable
        ack.rest_ms = ack.disable = None
        if self._over() and not self._running:
            # Held, and not begun: it goes back as it was.
            ack.retry += [(item.member, 0) for item in (*self._first, *self._again)]
            ack.rest_ms, ack.disable = self._last.rest_ms, self._last.disable
        else:
            ack.read = self._wanted()
        return self._session.acknowledge(ack)

    def _judge(self, ack: Ack, call: Call, outcomes: list[Outcome]) -> None:
        session = self._session
        found = session.judge(ack, call.items, outcomes, tells=not call.again)
        if found.done:
            self._in_vain = 0
        if found.failed and not call.again:
            self._in_vain += 1
        ack.done += [item.member for item in (*found.done, *(item for item, _ in found.parked))]
        ack.retry += [(item.member, 0) for item in (*found.unsent, *found.handed_over)]
        wait_s = session.retry_events(ack, found)
        gone = self._in_vain >= max(FAILING, self._slots) or found.retry_after_s is not None
        if found.failed and call.again and session.failures:
            session.rest_retries(ack)
            ack.retry += [(item.member, 0) for item in self._again]
            self._again.clear()
        elif found.failed and not call.again and gone:
            session.stop_consumer(ack, found)
        handed_over = bool(found.handed_over) and session.keeps_up  # to another worker
        self._stopping = self._stopping or handed_over or ack.rest_ms is not None or ack.disable is not None
        session.journal(ack, call.items, outcomes, wait_s)

    def _wanted(self) -> Read:
        """Enough for every slot, while there is time; of retries enough for half of them."""
        hold = bool(self._running or self._first or self._again)
        if self._stopping:
            return Read(limit=0, max_bytes=0, open_limit=0, hold=True)
        window = self._session.policy.window_bytes
        first, again = (sum(len(item.delivery.event) for item in some) for some in (self._first, self._again))
        budget = max(window - first - again, window // 2 - first)
        if budget <= 0:
            return Read(limit=0, max_bytes=0, open_limit=0, hold=hold)
        at_once = self._slots * self._session.sink.limits.events
        retries = max(1, at_once // 2) - len(self._again)
        return Read(
            limit=max(0, at_once - len(self._first)),
            max_bytes=budget,
            open_limit=max(0, retries) if again * 2 < window else 0,
            hold=hold,
        )
