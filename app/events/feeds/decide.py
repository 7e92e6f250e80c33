"""What follows from an answer: pure functions of values, the whole policy of delivering events."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from app.events.feeds.model import FAST, SLOW
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
_NEWEST: Final = 0.3  # weight of the last call in the pace

Random = Callable[[], float]  # 0 ≤ x < 1


class Action(StrEnum):
    DELIVERED = "delivered"
    RETRY = "retry"
    PARK = "park"  # this event for good; the others go on
    DISABLE = "disable"  # the subscription, its place kept


@dataclass(frozen=True, slots=True)
class Decision:
    """`wait_s`: not before, of a retry. `code`: why, of what ends in a person's hands."""

    action: Action
    wait_s: float = 0.0
    code: str = ""


def decide(
    error: SinkError | None, failures: int, failing_s: float, disable_after_s: float, rand: Random
) -> Decision:
    """`failures` in a row, this one counted, and for how long, of whatever is to be decided about: an ordered feed as a
    whole, or one event of an unordered one."""
    if error is None:
        return Decision(Action.DELIVERED)
    if error.kind is Kind.GONE:
        return Decision(Action.DISABLE, code=error.code)
    if error.kind is Kind.REFUSED:
        return Decision(Action.PARK, code=error.code)
    if failing_s >= disable_after_s and failures >= LEAST_FAILURES:
        return Decision(Action.DISABLE, code="failing_too_long")
    return Decision(Action.RETRY, wait_s(failures, error.retry_after_s, rand))


def wait_s(failures: int, retry_after_s: float | None, rand: Random) -> float:
    """Exponential from 1 s to 5 min with full jitter, so that those who fail together don't come back together; the far
    side's Retry-After is kept, up to an hour."""
    longest: float = min(LONGEST_WAIT_S, FIRST_WAIT_S * 2.0 ** min(max(0, failures - 1), 16))
    asked = min(retry_after_s or 0.0, LONGEST_RETRY_AFTER_S)
    return max(SHORTEST_WAIT_S, asked, rand() * longest)


def pace(before_ms: float, call_ms: float) -> float:
    """How long calls take, smoothed."""
    return call_ms if before_ms <= 0 else before_ms + _NEWEST * (call_ms - before_ms)


def queue_of(now: str, *, failing: bool, pace_ms: float, backlog: bool) -> str:
    """Who keeps up shares workers only with those that do."""
    if failing or backlog or pace_ms >= SLOW_MS:
        return SLOW
    return FAST if pace_ms < SLOW_MS / 2 else now
