"""What a worker knows of how a receiver does, from call to call. Pure: the turn keeps one of these and
replaces it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from app.events.consumers.decision import QUICK_MS, RETURN, is_short, pace, probation, queue_of
from app.events.consumers.model import Claimed
from app.events.consumers.outcomes import CallResult

FAILING: Final = 5  # failures in a row: one call at a time finds out whether it is over


@dataclass(frozen=True, slots=True)
class ReceiverHealth:
    """`failures` in a row and since when, `pace_ms`: how long calls take, smoothed; `probation`: quick
    calls until the receiver is trusted again. `counted`: whether the failures since the turn's last success
    were counted already."""

    failures: int
    failing_since_ms: int | None
    pace_ms: float
    probation: int
    queue: str
    counted: bool = False

    @property
    def alone(self) -> bool:
        """Whether one call at a time has to show that the receiver is well."""
        return self.failures >= FAILING or self.probation > RETURN

    def failing_s(self, now_ms: int) -> float:
        """How long nothing has gone through, in seconds."""
        return (now_ms - (self.failing_since_ms or now_ms)) / 1000

    def has_short_time(self, *, tried: bool) -> bool:
        """Whether the next call gets the short time only; `tried`: an event of it got no answer before."""
        return is_short(self.queue, on_probation=self.probation > 0, pace_ms=self.pace_ms, tried=tried)


def of_claimed(claimed: Claimed) -> ReceiverHealth:
    """How the receiver did until now, as it is stored."""
    return ReceiverHealth(
        claimed.failures, claimed.failing_since_ms, claimed.pace_ms, claimed.probation, claimed.queue
    )


def after_call(before: ReceiverHealth, result: CallResult, now_ms: int, *, first_try: bool) -> ReceiverHealth:
    """After a call. A turn's failures in a row count as one, or fifty calls at once would make a second's
    trouble one of minutes. `first_try`: its events hadn't failed before, so that a failure is the
    receiver's."""
    failures, since_ms, counted = before.failures, before.failing_since_ms, before.counted
    if result.done:
        failures, since_ms, counted = 0, None, False
    if result.failed and first_try:
        failures, since_ms, counted = failures + (not counted), since_ms or now_ms, True
    # What calls took while the receiver failed is no measure for now.
    known_ms = 0.0 if result.done and before.failures else before.pace_ms
    pace_ms = pace(known_ms, result.latency_ms) if result.tried else before.pace_ms
    quick = bool(result.done) and not result.failed and result.latency_ms < QUICK_MS
    handed_over = bool(result.handed_over)
    left = probation(before.probation, stopped=False, handed_over=handed_over, quick=quick)
    return ReceiverHealth(failures, since_ms, pace_ms, left, before.queue, counted)


def after_stop(before: ReceiverHealth) -> ReceiverHealth:
    """It has to rest, or is disabled: it has to show anew that it is well."""
    return replace(
        before, probation=probation(before.probation, stopped=True, handed_over=False, quick=False)
    )


def queued(before: ReceiverHealth, *, backlog: bool) -> ReceiverHealth:
    """With the queue of its next wake-up; `backlog`: its time was up and there is more."""
    on_probation = before.probation > 0
    queue = queue_of(before.queue, on_probation=on_probation, pace_ms=before.pace_ms, backlog=backlog)
    return before if queue == before.queue else replace(before, queue=queue)
