"""One worker's turn with one consumer, from the claim to the last acknowledgement: what turns have in
common, whether order matters (`ordered`) or not (`unordered`).

What follows from an answer is decided by pure functions (`decision`, `health`); a turn keeps what lives
through it.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from app.events.consumers.acknowledgement import (
    GOING_ON,
    NO_PLACE,
    CallReport,
    Journal,
    Place,
    Stop,
    joined,
    report,
)
from app.events.consumers.claims import ConsumerClaims
from app.events.consumers.decision import (
    NO_RETRIES,
    Action,
    Retries,
    decide_consumer,
    retries_of,
    retry_rest_s,
)
from app.events.consumers.health import ReceiverHealth, after_call, after_stop, of_claimed, queued
from app.events.consumers.journal import entries
from app.events.consumers.leases import ConsumerLease
from app.events.consumers.model import FAST, Acked, Claimed, Item, ReadLimits
from app.events.consumers.outcomes import CallResult, sort
from app.events.sinks.base import HANDED_OVER, Kind, Outcome, Sink, SinkError
from app.platform import log
from app.platform.errors import Unavailable

_log = log.get_logger()
_AGAIN_S: Final = 0.2  # until an acknowledgement without an answer is repeated
_NEARLY: Final = 0.95  # of a call's time: a socket's time-out may be a little shorter than what is left


@dataclass(frozen=True, slots=True)
class DeliveryPolicy:
    """`slice_s`: how long a consumer with a backlog keeps a worker's slot. `send_s`: one call, everything
    included; `first_try_s`: a call in a slot of the fast queue."""

    disable_after_s: float = 72 * 3600
    slice_s: float = 2.0
    send_s: float = 15.0
    first_try_s: float = 1.0
    window_bytes: int = 2 * 1024 * 1024
    clock: Callable[[], float] = time.monotonic
    rand: Callable[[], float] = random.random


@dataclass(frozen=True, slots=True)
class JudgedCall:
    """A call of the sink, and how the receiver was seen before and after it."""

    items: Sequence[Item]
    outcomes: Sequence[Outcome]
    result: CallResult
    before: ReceiverHealth
    after: ReceiverHealth

    @property
    def failed_calls(self) -> int:
        """1 where it is one more failure in a row."""
        return self.after.failures - (0 if self.result.done else self.before.failures)

    @property
    def stop(self) -> Stop:
        """What follows at once: a destination that is gone gets nothing more."""
        return Stop(disable=self.result.gone.code) if self.result.gone else GOING_ON


class Turn:
    """See the module."""

    def __init__(
        self,
        claims: ConsumerClaims,
        claimed: Claimed,
        sink: Sink,
        lease: ConsumerLease,
        policy: DeliveryPolicy,
        began: float,
    ) -> None:
        self.claimed = claimed
        self.sink = sink
        self.lease = lease
        self.policy = policy
        self.health = of_claimed(claimed)
        self._claims = claims
        self._stored = self.health  # as it was acknowledged last
        self._waiting = claimed.waiting
        self._acks = 0
        self._began = self._acknowledged = began

    @property
    def elapsed_s(self) -> float:
        return self.policy.clock() - self._began

    @property
    def over(self) -> bool:
        """Whether its time is up."""
        return self.elapsed_s >= self.policy.slice_s

    @property
    def unwritten_s(self) -> float:
        """Since the claim, or since the last acknowledgement."""
        return self.policy.clock() - self._acknowledged

    @property
    def now_ms(self) -> int:
        """By the server's clock, about."""
        return self.claimed.at_ms + int(self.elapsed_s * 1000)

    @property
    def is_fast(self) -> bool:
        """Whether it holds a slot of the workers for consumers that keep up."""
        return self.claimed.queue == FAST

    def send(self, items: Sequence[Item]) -> list[Outcome]:
        """One call of the sink. Where it had the short time only and got no answer, it is handed over to
        other workers."""
        short = self.health.has_short_time(tried=any(item.first_failed_ms is not None for item in items))
        limit_s = self.policy.first_try_s if short else self.policy.send_s
        began = self.policy.clock()
        outcomes = self.sink.send([item.delivery for item in items], began + limit_s)
        if short and self.policy.clock() - began >= limit_s * _NEARLY:
            return [_handed_over(outcome, limit_s) for outcome in outcomes]
        return outcomes

    def judge(
        self, items: Sequence[Item], outcomes: Sequence[Outcome], *, first_try: bool = True
    ) -> JudgedCall:
        """What a call came to, and what it says of the receiver; `first_try`: see `health.after_call`."""
        result, before = sort(items, outcomes), self.health
        self.health = after_call(before, result, self.now_ms, first_try=first_try)
        return JudgedCall(items, outcomes, result, before, self.health)

    def retries(self, call: JudgedCall) -> Retries:
        """Each event that failed is tried again for itself, out of any order, or parked."""
        return retries_of(
            call.result.failed,
            self.now_ms,
            self.policy.disable_after_s,
            self.policy.rand,
            well=not call.before.failures,
            waiting=self._waiting,
        )

    def retry_rest_ms(self) -> int:
        """How long retries rest after one has failed while first tries fail too."""
        return int(retry_rest_s(self.health.failing_s(self.now_ms), self.policy.rand) * 1000)

    def stop(self, call: JudgedCall) -> Stop:
        """After a call with failures: the consumer rests, or is disabled."""
        error = call.result.failed[-1][1]
        if call.result.retry_after_s is not None:
            error = replace(error, retry_after_s=call.result.retry_after_s)
        decision = decide_consumer(
            error,
            self.health.failures,
            self.health.failing_s(self.now_ms),
            self.policy.disable_after_s,
            self.policy.rand,
            call.result.latency_ms / 1000,
        )
        self.health = after_stop(self.health)
        if decision.action is Action.DISABLE:
            return Stop(disable=decision.code)
        return call.stop.merge(Stop(rest_ms=int(decision.wait_s * 1000)))

    def report(
        self, call: JudgedCall, retries: Retries = NO_RETRIES, next_ms: int | None = None
    ) -> CallReport:
        """The call as it is acknowledged, with its entries of the delivery log, each also a wide line of
        ours."""
        journal = self._journal(call, next_ms) if call.result.tried else ()
        return report(call.result, retries, journal, call.failed_calls, self.now_ms)

    def _journal(self, call: JudgedCall, next_ms: int | None) -> Journal:
        request = self.sink.request_summary([item.delivery for item in call.items])
        found = entries(call.items, call.outcomes, request, next_ms)
        for entry in found:
            _log.info("attempt", subscription_id=self.claimed.owner, **entry.line())
        return tuple((entry.outcome, entry.text()) for entry in found)

    def acknowledge(
        self,
        reports: Sequence[CallReport] = (),
        *,
        place: Place = NO_PLACE,
        stop: Stop = GOING_ON,
        read: ReadLimits | None = None,
        given_back: Sequence[Item] = (),
    ) -> Acked:
        """Write down what became of calls, and go on with `read` or let the consumer go. Repeated while the
        lease lasts and the store is away: what was delivered and isn't written down comes twice."""
        self.health = queued(self.health, backlog=read is None and not stop.stops)
        ack = joined(
            reports, self._stored, self.health, place=place, stop=stop, read=read, given_back=given_back
        )
        self._acks += 1
        while True:
            began = self.policy.clock()
            try:
                acked = self._claims.ack(self.claimed, self._acks, ack)
            except Unavailable:
                if not self.lease.valid:
                    raise
                time.sleep(_AGAIN_S)
                continue
            self.lease.renewed(began + self._claims.lease_s)
            self._stored, self._acknowledged = self.health, self.policy.clock()
            self._waiting = acked.waiting
            return acked


def _handed_over(outcome: Outcome, limit_s: float) -> Outcome:
    """An outcome without an answer, as what it is: nobody knows whether the event was taken."""
    error = outcome.error
    if error is None or error.kind is not Kind.RETRY or outcome.status is not None or not outcome.tried:
        return outcome
    detail = (
        f"No answer within {limit_s:g} s: sent again by the workers for slow receivers. It may come twice."
    )
    return Outcome(SinkError(HANDED_OVER, detail, Kind.RETRY), latency_ms=outcome.latency_ms)
