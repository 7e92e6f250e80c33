"""What a worker does with one consumer between claim and release has in common, whether order matters or not."""

from __future__ import annotations

import heapq
import json
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Final

from app.events.consumers.claims import ConsumerClaims
from app.events.consumers.decision import (
    QUICK_MS,
    RETURN,
    Action,
    DeliveryDecision,
    decide_consumer,
    decide_event,
    is_short,
    pace,
    probation,
    queue_of,
    retry_rest_s,
)
from app.events.consumers.leases import ConsumerLease
from app.events.consumers.model import FAST, Ack, Acked, Claimed, Item
from app.events.consumers.outcomes import Sorted, account, entries, line, park, sort
from app.events.sinks.base import HANDED_OVER, Kind, Outcome, Sink, SinkError
from app.platform import log
from app.platform.errors import Unavailable

_log = log.get_logger()
FAILING: Final = 5  # failures in a row: one call at a time finds out whether it is over
_AGAIN_S: Final = 0.2  # until an acknowledgement that wasn't answered is repeated
_NEARLY: Final = 0.95  # of a call's time: a socket's time-out may be a little shorter than what is left


@dataclass(frozen=True, slots=True)
class DeliveryPolicy:
    """`slice_s`: how long a consumer with a backlog keeps a worker's slot. `send_s`: one call, everything included;
    `first_try_s`: one that holds a slot of those that keep up."""

    disable_after_s: float = 72 * 3600
    slice_s: float = 2.0
    send_s: float = 15.0
    first_try_s: float = 1.0
    window_bytes: int = 2 * 1024 * 1024
    clock: Callable[[], float] = time.monotonic
    rand: Callable[[], float] = random.random


class Turn:
    """One worker's turn with a consumer."""

    def __init__(
        self,
        machine: ConsumerClaims,
        claimed: Claimed,
        sink: Sink,
        hold: ConsumerLease,
        policy: DeliveryPolicy,
        began: float,
    ) -> None:
        self.machine = machine
        self.claimed = claimed
        self.sink = sink
        self.hold = hold
        self.policy = policy
        self.failures = claimed.failures
        self._failed = False  # since the last success of this turn
        self._failing_since_ms = claimed.failing_since_ms
        self._pace_ms = claimed.pace_ms
        self._queue = claimed.queue
        self._probation = claimed.probation
        self._well = not claimed.failures  # before the call that is judged: its last first try went through
        self._held_s = 0.0  # how long that call took
        self._waiting = claimed.waiting
        self._turn = 0
        self._began = self._written = began

    @property
    def unwritten_s(self) -> float:
        """Since the claim, or since something was last written down."""
        return self.policy.clock() - self._written

    @property
    def over(self) -> bool:
        """Whether its time is up."""
        return self.elapsed_s >= self.policy.slice_s

    @property
    def elapsed_s(self) -> float:
        return self.policy.clock() - self._began

    @property
    def now_ms(self) -> int:
        """By the server's clock, about."""
        return self.claimed.at_ms + int(self.elapsed_s * 1000)

    @property
    def keeps_up(self) -> bool:
        """Whether it holds a slot of the workers for those that keep up."""
        return self.claimed.queue == FAST

    @property
    def alone(self) -> bool:
        """Whether one call at a time has to show that the receiver is well."""
        return self.failures >= FAILING or self._probation > RETURN

    def send(self, items: Sequence[Item]) -> list[Outcome]:
        """One call of the sink. Where it had the short time only and got no answer, it is handed over."""
        tried = any(item.first_failed_ms is not None for item in items)
        short = is_short(
            self.claimed.queue, on_probation=self._probation > 0, pace_ms=self._pace_ms, tried=tried
        )
        limit_s = self.policy.first_try_s if short else self.policy.send_s
        began = self.policy.clock()
        outcomes = self.sink.send([item.delivery for item in items], began + limit_s)
        if short and self.policy.clock() - began >= limit_s * _NEARLY:
            return [_handed_over(outcome, limit_s) for outcome in outcomes]
        return outcomes

    def judge(
        self, ack: Ack, items: Sequence[Item], outcomes: Sequence[Outcome], *, tells: bool = True
    ) -> Sorted:
        """Put a call into the acknowledgement, all but what follows from its failures. A turn's failures count as one, or
        fifty calls at once would make a second's trouble one of minutes. `tells`: whether its failure says something about
        the receiver, and not only about an event that failed before."""
        found = sort(items, outcomes)
        tried = [outcome for outcome in outcomes if outcome.tried]
        self._well = not self.failures
        self._held_s = max((outcome.latency_ms for outcome in tried), default=0) / 1000
        if tried:
            account(ack, found, tried, self.now_ms)
            # How long its calls took while it failed says nothing about now.
            recovered = found.done and self.failures
            self._pace_ms = pace(0 if recovered else self._pace_ms, self._held_s * 1000)
            ack.pace_ms = self._pace_ms
        if found.done:
            self.failures, self._failing_since_ms = 0, None
            self._failed = False
        if found.failed and tells:
            if not self._failed:
                self.failures += 1
                ack.failed_calls = 1
                self._failed = True
            self._failing_since_ms = self._failing_since_ms or self.now_ms
        if found.gone:
            ack.disable = found.gone.code
        quick = bool(found.done) and not found.failed and self._held_s * 1000 < QUICK_MS
        self._put_on_probation(ack, handed_over=bool(found.handed_over), quick=quick)
        return found

    def _put_on_probation(
        self, ack: Ack, *, stopped: bool = False, handed_over: bool = False, quick: bool = False
    ) -> None:
        after = probation(self._probation, stopped=stopped, handed_over=handed_over, quick=quick)
        if after != self._probation:
            self._probation = ack.probation = after

    @property
    def _failing_s(self) -> float:
        return (self.now_ms - (self._failing_since_ms or self.now_ms)) / 1000

    def decide_consumer(self, error: SinkError, retry_after_s: float | None) -> DeliveryDecision:
        """About the consumer as a whole, after a failure that was judged already."""
        policy = self.policy
        longest = error if retry_after_s is None else _with_wait(error, retry_after_s)
        return decide_consumer(
            longest, self.failures, self._failing_s, policy.disable_after_s, policy.rand, self._held_s
        )

    def retry_events(self, ack: Ack, found: Sorted) -> float | None:
        """Each of what failed is tried again for itself, out of any order; the last wait. One that has failed too often while
        others go through, or for so long that its subscription would be disabled, is parked."""
        wait_s = None
        policy = self.policy
        for item, error in found.failed:
            tries = item.delivery.attempt
            failing_s = (self.now_ms - (item.first_failed_ms or self.now_ms)) / 1000
            decision = decide_event(
                error,
                tries,
                failing_s,
                policy.disable_after_s,
                policy.rand,
                well=self._well,
                waiting=self._waiting,
            )
            if decision.action is Action.PARK:
                given_up = f"{error.detail} Tried {tries} times; others went through."
                park(ack, item, SinkError(error.code, given_up, Kind.REFUSED))
                ack.attempts = [tried for tried in ack.attempts if tried[0] != item.key]
                ack.done.append(item.member)
            else:
                wait_s = decision.wait_s
                ack.retry.append((item.member, int(decision.wait_s * 1000)))
        return wait_s

    def rest_retries(self, ack: Ack) -> None:
        """After a retry that failed while the consumer's first tries fail too."""
        ack.retry_rest_ms = int(retry_rest_s(self._failing_s, self.policy.rand) * 1000)

    def stop_consumer(self, ack: Ack, found: Sorted) -> DeliveryDecision:
        """The consumer rests, or is disabled, after a call with failures."""
        decision = self.decide_consumer(found.failed[-1][1], found.retry_after_s)
        if decision.action is Action.DISABLE:
            ack.disable = decision.code
        else:
            ack.rest_ms = int(decision.wait_s * 1000)
        self._put_on_probation(ack, stopped=True)
        return decision

    def journal(
        self, ack: Ack, items: Sequence[Item], outcomes: Sequence[Outcome], wait_s: float | None
    ) -> None:
        """Into the delivery log, and one wide line into ours."""
        if not any(outcome.tried for outcome in outcomes):
            return
        request = self.sink.request_summary([item.delivery for item in items])
        next_ms = None if wait_s is None else int(wait_s * 1000)
        for word, entry in entries(items, outcomes, request, next_ms):
            ack.journal.append((word, json.dumps(entry, ensure_ascii=False)))
            _log.info("attempt", subscription_id=self.claimed.owner, **line(word, entry))

    def acknowledge(self, ack: Ack) -> Acked:
        """Write it down, with patience while the lease lasts: what was delivered and isn't written down comes twice."""
        backlog = ack.read is None and ack.rest_ms is None and ack.disable is None
        queue = queue_of(
            self._queue, on_probation=self._probation > 0, pace_ms=self._pace_ms, backlog=backlog
        )
        if queue != self._queue:
            ack.queue = self._queue = queue
        self._turn += 1
        while True:
            began = self.policy.clock()
            try:
                acked = self.machine.ack(self.claimed, self._turn, ack)
            except Unavailable:
                if not self.hold.valid:
                    raise
                time.sleep(_AGAIN_S)
                continue
            self.hold.renewed(began + self.machine.lease_s)
            self._written = self.policy.clock()
            self._waiting = acked.waiting
            return acked


def merged(items: Sequence[Item]) -> list[Item]:
    """Events of several topics by the time of their publishing; each topic's stay in their order."""
    topics = [list(some) for _, some in groupby(items, key=lambda item: item.delivery.topic)]
    return (
        list(heapq.merge(*topics, key=lambda item: item.delivery.at_ms)) if len(topics) > 1 else list(items)
    )


def _handed_over(outcome: Outcome, limit_s: float) -> Outcome:
    """An outcome without an answer, as what it is: nobody knows whether the event was taken."""
    error = outcome.error
    if error is None or error.kind is not Kind.RETRY or outcome.status is not None or not outcome.tried:
        return outcome
    detail = (
        f"No answer within {limit_s:g} s: sent again by the workers for slow receivers. It may come twice."
    )
    return Outcome(SinkError(HANDED_OVER, detail, Kind.RETRY), latency_ms=outcome.latency_ms)


def _with_wait(error: SinkError, retry_after_s: float) -> SinkError:
    return SinkError(error.code, error.detail, error.kind, retry_after_s)
