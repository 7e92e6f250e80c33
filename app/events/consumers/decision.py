"""What follows from an answer: pure functions of values, the whole policy of delivering events."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from app.events.consumers.model import FAST, SLOW
from app.events.sinks.base import Kind, SinkError

FIRST_WAIT_S: Final = 1.0
LONGEST_WAIT_S: Final = 300.0
SHORTEST_WAIT_S: Final = 0.1
LONGEST_RETRY_AFTER_S: Final = 3600.0
# So many failures in a row, at least, before time alone disables a subscription: a clock that jumps, or workers that were
# away for days, must not.
LEAST_FAILURES: Final = 10
# Calls that take so long belong to the slow; they come back once they take half of it.
SLOW_MS: Final = 1000.0
QUICK_MS: Final = SLOW_MS / 2
_NEWEST: Final = 0.3  # weight of the last call in the pace

# An event that fails while others go through is tried so often, at growing distance, in some two hours; and less often where
# so many others wait for a retry like it, so that what is new never has to wait for them.
MOST_TRIES: Final = 16
LONGEST_EVENT_WAIT_S: Final = 3600.0
CROWD: Final = 1000
TRIES_IN_A_CROWD: Final = 4
MOST_WAITING: Final = 2000

# Quick calls that are asked of a consumer that has failed before it is trusted again: the first ones one at a time.
PROBATION: Final = 20
RETURN: Final = 10  # and of one that was only handed over

Random = Callable[[], float]  # 0 ≤ x < 1


class Action(StrEnum):
    DELIVERED = "delivered"
    RETRY = "retry"
    PARK = "park"  # this event for good; the others go on
    DISABLE = "disable"  # the subscription, its place kept


@dataclass(frozen=True, slots=True)
class DeliveryDecision:
    """`wait_s`: not before, of a retry. `code`: why, of what ends in a person's hands."""

    action: Action
    wait_s: float = 0.0
    code: str = ""


def decide_consumer(
    error: SinkError | None,
    failures: int,
    failing_s: float,
    disable_after_s: float,
    rand: Random,
    held_s: float = 0.0,
) -> DeliveryDecision:
    """`failures` in a row, this one counted, and for how long, of whatever is to be decided about: an ordered consumer as a
    whole, or one event of an unordered one. `held_s`: how long the call took. One that hangs holds a worker's slot, so
    that its consumer rests longer than it held it, and longer each time."""
    if error is None:
        return DeliveryDecision(Action.DELIVERED)
    if error.kind is Kind.GONE:
        return DeliveryDecision(Action.DISABLE, code=error.code)
    if error.kind is Kind.REFUSED:
        return DeliveryDecision(Action.PARK, code=error.code)
    if failing_s >= disable_after_s and failures >= LEAST_FAILURES:
        return DeliveryDecision(Action.DISABLE, code="failing_too_long")
    rest = min(LONGEST_WAIT_S, held_s * failures)
    return DeliveryDecision(Action.RETRY, max(rest, wait_s(failures, error.retry_after_s, rand)))


def decide_event(
    error: SinkError,
    tries: int,
    failing_s: float,
    disable_after_s: float,
    rand: Random,
    *,
    well: bool,
    waiting: int,
) -> DeliveryDecision:
    """About one event of an unordered consumer that has failed so many times, this one counted: it is tried again for itself, or
    parked. `well`: the consumer's last first try went through. `waiting`: how many of its events wait for a retry."""
    if well and tries >= tries_of(waiting):
        return DeliveryDecision(Action.PARK, code=error.code)
    decision = decide_consumer(error, tries, failing_s, disable_after_s, rand)
    if decision.action is Action.DISABLE and error.kind is not Kind.GONE:
        return DeliveryDecision(Action.PARK, code=error.code)
    if decision.action is Action.RETRY and well:
        return DeliveryDecision(Action.RETRY, wait_s(tries, error.retry_after_s, rand, LONGEST_EVENT_WAIT_S))
    return decision


def tries_of(waiting: int) -> int:
    """How often an event is tried before it is parked."""
    if waiting >= MOST_WAITING:
        return 1
    return TRIES_IN_A_CROWD if waiting >= CROWD else MOST_TRIES


def wait_s(failures: int, retry_after_s: float | None, rand: Random, most_s: float = LONGEST_WAIT_S) -> float:
    """Exponential from 1 s to 5 min with full jitter, so that those who fail together don't come back together; the far
    side's Retry-After is kept, up to an hour."""
    longest: float = min(most_s, FIRST_WAIT_S * 2.0 ** min(max(0, failures - 1), 16))
    asked = min(retry_after_s or 0.0, LONGEST_RETRY_AFTER_S)
    return max(SHORTEST_WAIT_S, asked, rand() * longest)


def pace(before_ms: float, call_ms: float) -> float:
    """How long calls take, smoothed."""
    return call_ms if before_ms <= 0 else before_ms + _NEWEST * (call_ms - before_ms)


def retry_rest_s(failing_s: float, rand: Random) -> float:
    """How long an unordered consumer's retries rest after one has failed while its first tries fail too. New events don't: the
    first of them finds out whether it is over."""
    return min(LONGEST_WAIT_S, max(FIRST_WAIT_S, failing_s * (0.5 + rand() / 2)))


def probation(before: int, *, stopped: bool, handed_over: bool, quick: bool) -> int:
    """How many quick calls a consumer still has to make until it is trusted: after one that made it rest (`stopped`), that was given
    over, or that was delivered quickly."""
    if stopped:
        return PROBATION
    if handed_over:
        return PROBATION if before > RETURN else RETURN
    return max(0, before - 1) if quick else before


def is_short(queue: str, *, on_probation: bool, pace_ms: float, tried: bool) -> bool:
    """Whether a call gets the short time only: whoever shares workers with those that keep up, and whoever has to show first
    that it does. `tried`: an event of the call got no answer before; among the slow it has the whole time."""
    return queue == FAST or (on_probation and pace_ms < QUICK_MS and not tried)


def queue_of(now: str, *, on_probation: bool, pace_ms: float, backlog: bool) -> str:
    """Who keeps up shares workers only with those that do."""
    if on_probation or backlog or pace_ms >= SLOW_MS:
        return SLOW
    return FAST if pace_ms < QUICK_MS else now
