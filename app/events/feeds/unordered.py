"""The turn of a feed whose order doesn't matter: several calls at once, each event acknowledged for itself, and a retry of one
holds back no other. What a worker holds stands in the feed's `open` set, so that whoever comes after finds it.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import Final

from app.events.feeds.model import Ack, Acked, Item, Read
from app.events.feeds.session import FAILING, Session
from app.events.sinks.base import Outcome

_LOOK_S: Final = 0.2  # between two looks for new events while calls are under way and slots are free
# A turn lasts longer than its slice where one call hangs and others go through: letting go has to wait for all of them.
_LONGEST_S: Final = 30.0
_HANGING_S: Final = 1.0

Call = Future[list[Outcome]]


class Unordered:
    """See the module."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._waiting: list[Item] = list(session.claimed.items)
        self._running: dict[Call, tuple[list[Item], float]] = {}
        self._slots = session.claimed.slots if session.failures < FAILING else 1
        self._in_vain = session.failures  # calls in a row, as they ended
        self._stopping = False
        self._last = Ack()  # what the failures come to, once no call is under way any more

    def run(self) -> str:
        """Until nothing is left, too much fails or the time is up; how it ended, in a word."""
        with ThreadPoolExecutor(self._slots, thread_name_prefix=self._session.claimed.id[:8]) as pool:
            while True:
                if not self._session.hold.valid:
                    return "lost"
                while self._waiting and len(self._running) < self._slots and not self._over():
                    batch = self._batch()
                    call = pool.submit(self._session.send, batch)
                    self._running[call] = (batch, self._session.elapsed_s)
                acked = self._acknowledge(self._completed())
                if not acked.going_on:
                    return acked.word
                self._waiting += acked.items

    def _over(self) -> bool:
        """Whether nothing is begun any more."""
        if not self._stopping and self._session.over:
            oldest = min((began for _, began in self._running.values()), default=self._session.elapsed_s)
            hanging = self._session.elapsed_s - oldest >= _HANGING_S
            self._stopping = not hanging or self._session.elapsed_s >= _LONGEST_S
        return self._stopping

    def _batch(self) -> list[Item]:
        limits = self._session.sink.limits
        batch: list[Item] = []
        room = limits.bytes
        for item in self._waiting[: limits.events]:
            room -= len(item.delivery.event)
            if batch and room < 0:
                break
            batch.append(item)
        self._waiting = self._waiting[len(batch) :]
        return batch

    def _completed(self) -> list[Call]:
        if not self._running:
            return []
        free = len(self._running) < self._slots and not self._stopping
        done, _ = wait(self._running, timeout=_LOOK_S if free else None, return_when=FIRST_COMPLETED)
        return list(done)

    def _acknowledge(self, calls: Sequence[Call]) -> Acked:
        ack = Ack()
        for call in calls:
            batch, _ = self._running.pop(call)
            self._judge(ack, batch, call.result())
        # Letting go has to wait for what is under way: nobody else could write down its outcome.
        self._last.rest_ms = max(filter(None, (ack.rest_ms, self._last.rest_ms)), default=None)
        self._last.disable = ack.disable or self._last.disable
        ack.rest_ms = ack.disable = None
        if self._over() and not self._running:
            # Held, and not begun: it goes back as it was.
            ack.retry += [(item.member, 0) for item in self._waiting]
            ack.rest_ms, ack.disable = self._last.rest_ms, self._last.disable
        else:
            ack.read = self._wanted()
        return self._session.acknowledge(ack)

    def _judge(self, ack: Ack, batch: list[Item], outcomes: list[Outcome]) -> None:
        session = self._session
        found = session.judge(ack, batch, outcomes)
        if found.done:
            self._in_vain = 0
        if found.failed:
            self._in_vain += 1
        ack.done += [item.member for item in (*found.done, *(item for item, _ in found.parked))]
        ack.retry += [(item.member, 0) for item in found.unsent]
        wait_s = session.retry_events(ack, found)
        if found.failed and (self._in_vain >= max(FAILING, self._slots) or found.retry_after_s is not None):
            session.stop_feed(ack, found)
        self._stopping = self._stopping or ack.rest_ms is not None or ack.disable is not None
        session.journal(ack, batch, outcomes, wait_s)

    def _wanted(self) -> Read:
        """Enough for every slot, while there is time."""
        if self._stopping:
            return Read(limit=0, max_bytes=0, open_limit=0, hold=True)
        room = max(0, self._slots * self._session.sink.limits.events - len(self._waiting))
        held = sum(len(item.delivery.event) for item in self._waiting)
        budget = max(0, self._session.policy.window_bytes - held)
        limit = room if budget else 0
        return Read(
            limit=limit, max_bytes=budget, open_limit=limit, hold=bool(self._running or self._waiting)
        )
