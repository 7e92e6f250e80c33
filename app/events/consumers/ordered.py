"""An ordered consumer's turn: one call at a time, and nothing of a topic (of an entity, where the sink
knows entities) overtakes what comes before it. A failure stops the consumer; what is refused for good is
parked and leaves the order.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from app.events.consumers.acknowledgement import GOING_ON, NO_PLACE, CallReport, Place, Stop
from app.events.consumers.decision import NO_RETRIES
from app.events.consumers.model import Acked, Item, Position, ReadLimits
from app.events.consumers.turn import JudgedCall, Turn
from app.events.consumers.window import Window

# How long a replay's successes may wait to be written down together. If the worker dies they come twice,
# which in a replay, where everything has come before, does no harm; and each acknowledgement costs the
# store, and the live deliveries beside it.
_TOGETHER_S: Final = 0.1
_TO_OTHERS: Final = Stop(rest_ms=0)  # another worker goes on at once


class Ordered:
    """See the module."""

    def __init__(self, turn: Turn) -> None:
        self._turn = turn
        self._window = Window(turn.sink.limits, turn.claimed.ahead)
        self._aside: list[Item] = []  # parked ones that are sent again, out of any order
        self._unwritten: list[CallReport] = []
        self._add(turn.claimed.items, turn.claimed.position)

    def run(self) -> str:
        """Until nothing is left, something fails or the time is up; how it ended, in a word."""
        while self._turn.lease.valid:
            acked = self._step()
            if acked is None:
                continue
            if not acked.going_on:
                return acked.word
            self._add(acked.items, acked.position)
        return "lost"

    def _step(self) -> Acked | None:
        """The next call; None: it is acknowledged with the one after it."""
        if self._aside:
            return self._send_aside()
        batch = self._window.batch()
        return self._send(batch) if batch else self._read_on()

    def _send(self, batch: list[Item]) -> Acked | None:
        call = self._turn.judge(batch, self._turn.send(batch))
        self._window.finish(call.result.finished)
        if len(call.result.done) == len(batch) and self._may_wait():
            self._unwritten.append(self._turn.report(call))
            return None
        stop = self._stop_after(call)
        next_ms = (stop.rest_ms or 0) if call.result.failed else None
        reports = [*self._unwritten, self._turn.report(call, NO_RETRIES, next_ms)]
        self._unwritten = []
        return self._acknowledge(reports, stop, self._window.advance())

    def _stop_after(self, call: JudgedCall) -> Stop:
        result = call.result
        if result.failed:
            return self._turn.stop(call)
        time_was_up = result.unsent and not result.finished
        return _TO_OTHERS if result.handed_over or time_was_up else GOING_ON

    def _may_wait(self) -> bool:
        turn = self._turn
        in_time = not turn.over and turn.unwritten_s < _TOGETHER_S
        return turn.claimed.replay_id is not None and in_time and bool(self._window.batch())

    def _send_aside(self) -> Acked:
        """A failure here stops nothing else: only calls in order show whether the order may go on."""
        batch = self._aside[: self._turn.sink.limits.events]
        self._aside = self._aside[len(batch) :]
        call = self._turn.judge(batch, self._turn.send(batch), first_try=False)
        retries = self._turn.retries(call)
        stop = call.stop.merge(_TO_OTHERS) if call.result.handed_over else call.stop
        return self._acknowledge([self._turn.report(call, retries, retries.next_ms)], stop)

    def _read_on(self) -> Acked:
        """Nothing that was read so far is wanted: write down that it is passed, and look further."""
        return self._acknowledge([], GOING_ON, self._window.advance())

    def _acknowledge(self, reports: Sequence[CallReport], stop: Stop, place: Place = NO_PLACE) -> Acked:
        if stop.stops or self._turn.over:
            return self._turn.acknowledge(reports, place=place, stop=stop, given_back=self._aside)
        return self._turn.acknowledge(reports, place=place, read=self._wanted())

    def _wanted(self) -> ReadLimits:
        """More, once half of the window is free."""
        window = self._window
        room = window.size - window.count
        budget = self._turn.policy.window_bytes - window.bytes
        return ReadLimits(
            limit=room if room * 2 >= window.size and budget > 0 else 0,
            max_bytes=max(budget, 0),
            open_limit=0 if self._aside else self._turn.sink.limits.events,
            position=dict(window.position) if window.count else None,
            keep=bool(window.count or self._aside),
        )

    def _add(self, items: Sequence[Item], position: Position) -> None:
        self._aside += [item for item in items if item.member]
        self._window.add([item for item in items if not item.member], position)
