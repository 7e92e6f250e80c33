"""An ordered consumer's turn: one call at a time, and nothing of a topic (of an entity, where the sink knows entities) overtakes
what comes before it. A failure stops the consumer; what is refused for good is parked and leaves the order.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from app.events.consumers.model import Ack, Acked, Item, Read
from app.events.consumers.turn import Turn, merged
from app.events.sinks.base import Limits, Outcome

_LEAST_WINDOW: Final = 50  # events read ahead of one-by-one calls
_CALLS_AHEAD: Final = 2  # of sinks that take many at once
# How long a replay's successes may wait to be written down together. What a worker takes with it comes twice, which in a
# replay, where everything has come before, harms nobody; and each word costs the store, and the live deliveries beside it.
_TOGETHER_S: Final = 0.1


class Window:
    """What was read and isn't handled yet, in order, and how far the log was read."""

    def __init__(self, limits: Limits, ahead: frozenset[str]) -> None:
        self._limits = limits
        self._items: list[Item] = []
        self._finished: set[str] = set()
        self._ahead = set(ahead)  # delivered beyond the cursor by somebody before, and not read yet
        self._told_ahead: set[str] = set(ahead)
        self.position: dict[str, tuple[int, int]] = {}

    @property
    def size(self) -> int:
        return max(_LEAST_WINDOW, self._limits.events * _CALLS_AHEAD)

    @property
    def held(self) -> int:
        return len(self._items)

    @property
    def bytes(self) -> int:
        return sum(len(item.delivery.event) for item in self._items)

    def add(self, items: Sequence[Item], position: dict[str, tuple[int, int]]) -> None:
        for item in merged(items):
            self._items.append(item)
            if item.key in self._ahead:
                self._ahead.discard(item.key)
                self._finished.add(item.key)
        self.position.update(position)

    def batch(self) -> list[Item]:
        """The next call: in order, within the sink's limits, at most one of an entity where it wants that."""
        found: list[Item] = []
        entities: set[tuple[str, str]] = set()
        room = self._limits.bytes
        for item in self._items:
            if item.key in self._finished:
                continue
            entity = (item.delivery.topic, item.delivery.entity)
            if self._limits.one_per_key and entity in entities:
                continue
            room -= len(item.delivery.event)
            if found and (room < 0 or len(found) >= self._limits.events):
                break
            found.append(item)
            entities.add(entity)
        return found

    def finish(self, items: Sequence[Item]) -> None:
        self._finished.update(item.key for item in items)

    def settle(self, ack: Ack) -> None:
        """Put into the acknowledgement how far each topic is handled, and what was delivered beyond that."""
        first_open: dict[str, Item] = {}
        kept: list[Item] = []
        for item in self._items:
            if item.key not in self._finished:
                first_open.setdefault(item.delivery.topic, item)
            if item.delivery.topic in first_open:
                kept.append(item)
        for topic, (at, previous) in self.position.items():
            stopped = first_open.get(topic)
            if stopped is None:
                ack.cursor[topic] = (at, previous)
            else:
                ack.cursor[topic] = (stopped.delivery.sequence - 1, stopped.delivery.previous)
        self._items = kept
        self._finished &= {item.key for item in kept}
        ahead = self._finished | self._ahead
        if ahead != self._told_ahead:
            ack.ahead = sorted(ahead)
            self._told_ahead = ahead


class Ordered:
    """See the module."""

    def __init__(self, session: Turn) -> None:
        self._session = session
        claimed = session.claimed
        self._window = Window(session.sink.limits, claimed.ahead)
        self._aside: list[Item] = []  # parked ones that are sent again, out of any order
        self._unwritten = Ack()
        self._add(claimed.items, claimed.position)

    def run(self) -> str:
        """Until nothing is left, something fails or the time is up; how it ended, in a word."""
        while True:
            if not self._session.hold.valid:
                return "lost"
            acked: Acked | None
            if self._aside:
                acked = self._send_aside()
            elif batch := self._window.batch():
                acked = self._send(batch)
            else:
                acked = self._read_on()
            if acked is None:
                continue
            if not acked.going_on:
                return acked.word
            self._add(acked.items, acked.position)

    def _send(self, batch: list[Item]) -> Acked | None:
        """None: what became of it is written down with the next call's."""
        outcomes = self._session.send(batch)
        ack, self._unwritten = self._unwritten, Ack()
        found = self._session.judge(ack, batch, outcomes)
        self._window.finish([*found.done, *(item for item, _ in found.parked)])
        if len(found.done) == len(batch) and self._may_wait():
            self._session.journal(ack, batch, outcomes, None)
            self._unwritten = ack
            return None
        self._window.settle(ack)
        wait_s = None
        if found.failed:
            wait_s = self._session.stop_consumer(ack, found).wait_s
        elif found.handed_over:
            ack.rest_ms = 0  # another worker goes on
        elif found.unsent and not found.done and not found.parked:
            ack.rest_ms = 0  # the time was used up before anything was sent
        return self._finish(ack, batch, outcomes, wait_s)

    def _may_wait(self) -> bool:
        session = self._session
        return (
            session.claimed.redelivery is not None
            and not session.over
            and session.unwritten_s < _TOGETHER_S
            and bool(self._window.batch())
        )

    def _send_aside(self) -> Acked:
        batch = self._aside[: self._session.sink.limits.events]
        self._aside = self._aside[len(batch) :]
        outcomes = self._session.send(batch)
        ack = Ack()
        found = self._session.judge(ack, batch, outcomes, tells=False)
        ack.done += [item.member for item in (*found.done, *(item for item, _ in found.parked))]
        ack.retry += [(item.member, 0) for item in (*found.unsent, *found.handed_over)]
        if found.handed_over:
            ack.rest_ms = 0
        # These wait for themselves; whether the order may go on, its own calls tell.
        wait_s = self._session.retry_events(ack, found)
        return self._finish(ack, batch, outcomes, wait_s)

    def _read_on(self) -> Acked:
        """Only events that aren't wanted so far: note that they are passed, and look further."""
        ack = Ack()
        self._window.settle(ack)
        if not self._session.over:
            ack.read = self._wanted()
        return self._session.acknowledge(ack)

    def _finish(self, ack: Ack, batch: list[Item], outcomes: list[Outcome], wait_s: float | None) -> Acked:
        self._session.journal(ack, batch, outcomes, wait_s)
        if ack.rest_ms is None and ack.disable is None and not self._session.over:
            ack.read = self._wanted()
        elif self._aside:
            ack.retry += [(item.member, 0) for item in self._aside]
        return self._session.acknowledge(ack)

    def _wanted(self) -> Read:
        """More, once half of the window is free."""
        window = self._window
        room = window.size - window.held
        budget = self._session.policy.window_bytes - window.bytes
        limit = room if room * 2 >= window.size and budget > 0 else 0
        return Read(
            limit=limit,
            max_bytes=max(budget, 0),
            open_limit=0 if self._aside else self._session.sink.limits.events,
            position=dict(window.position) if window.held else None,
            hold=bool(window.held or self._aside),
        )

    def _add(self, items: Sequence[Item], position: dict[str, tuple[int, int]]) -> None:
        self._aside += [item for item in items if item.member]
        self._window.add([item for item in items if not item.member], position)
