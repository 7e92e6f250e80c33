"""What follows from an answer: the whole policy of delivering events, as pure functions of values."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from app.events.consumers.model import FAST, SLOW, Item
from app.events.sinks.base import Kind, SinkError

FIRST_WAIT_S: Final = 1.0
LONGEST_WAIT_S: Final = 300.0
SHORTEST_WAIT_S: Final = 0.1
LONGEST_RETRY_AFTER_S: Final = 3600.0
# So many failures in a row, at least, before time alone disables a subscription: a clock that jumps, or
# workers that were away for days, must not.
LEAST_FAILURES: Final = 10
# Calls that take so long belong to the slow; they come back once they take half of it.
SLOW_MS: Final = 1000.0
QUICK_MS: Final = SLOW_MS / 2
_NEWEST: Final = 0.3  # weight of the last call in the pace

# An event that fails while others go through is tried so often, at growing distance, in some two hours; and
# less often where so many others wait for a retry like it, so that what is new never has to wait for them.
MOST_TRIES: Final = 16
LONGEST_EVENT_WAIT_S: Final = 3600.0
CROWD: Final = 1000
TRIES_IN_A_CROWD: Final = 4
MOST_WAITING: Final = 2000

# Quick calls that are asked of a consumer that has failed before it is trusted again: the first ones one at
# a time.
PROBATION: Final = 20
RETURN: Final = 10  # and of one that was only handed over

Random = Callable[[], float]  # 0 ≤ x < 1


class Action(StrEnum):
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
    error: SinkError,
    failures: int,
    failing_s: float,
    disable_after_s: float,
    rand: Random,
    held_s: float = 0.0,
) -> DeliveryDecision:
    """About an ordered consumer as a whole, or one event of an unordered one. `failures`: how many in a
    row, this one counted; `failing_s`: for how long; `held_s`: how long the call took. A receiver that
    hangs holds a worker's slot, so its consumer rests longer than it held the slot, and longer each time."""
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
    """About one event of an unordered consumer that has failed `tries` times, this one counted: it is tried
    again for itself, or parked. `well`: the consumer's last first try went through; `waiting`: how many of
    its events wait for a retry."""
    if well and tries >= tries_of(waiting):
        return DeliveryDecision(Action.PARK, code=error.code)
    decision = decide_consumer(error, tries, failing_s, disable_after_s, rand)
    if decision.action is Action.DISABLE and error.kind is not Kind.GONE:
        return DeliveryDecision(Action.PARK, code=error.code)
    if decision.action is Action.RETRY and well:
        return DeliveryDecision(Action.RETRY, wait_s(tries, error.retry_after_s, rand, LONGEST_EVENT_WAIT_S))
    return decision


@dataclass(frozen=True, slots=True)
class Retries:
    """What was decided about a call's events, each for itself. `waits`: (place in `open`, ms until the next
    try); `given_up`: parked after too many tries, and why; `rest_ms`: so long no event of the consumer is
    tried again."""

    waits: tuple[tuple[str, int], ...] = ()
    given_up: tuple[tuple[Item, SinkError], ...] = ()
    rest_ms: int | None = None

    @property
    def next_ms(self) -> int | None:
        """The last of the waits."""
        return self.waits[-1][1] if self.waits else None


NO_RETRIES: Final = Retries()


def retries_of(
    failed: Sequence[tuple[Item, SinkError]],
    now_ms: int,
    disable_after_s: float,
    rand: Random,
    *,
    well: bool,
    waiting: int,
) -> Retries:
    """About each of a call's events that failed, out of any order: see `decide_event`."""
    waits: list[tuple[str, int]] = []
    given_up: list[tuple[Item, SinkError]] = []
    for item, error in failed:
        tries = item.delivery.attempt
        failing_s = (now_ms - (item.first_failed_ms or now_ms)) / 1000
        decision = decide_event(error, tries, failing_s, disable_after_s, rand, well=well, waiting=waiting)
        if decision.action is Action.PARK:
            detail = f"{error.detail} Tried {tries} times; others went through."
            given_up.append((item, SinkError(error.code, detail, Kind.REFUSED)))
        else:
            waits.append((item.member, int(decision.wait_s * 1000)))
    return Retries(tuple(waits), tuple(given_up))


def tries_of(waiting: int) -> int:
    """How often an event is tried before it is parked."""
    if waiting >= MOST_WAITING:
        return 1
    return TRIES_IN_A_CROWD if waiting >= CROWD else MOST_TRIES


def wait_s(failures: int, retry_after_s: float | None, rand: Random, most_s: float = LONGEST_WAIT_S) -> float:
    """Exponential from 1 s to 5 min with full jitter, so that consumers which fail together don't come back
    together. A Retry-After of the far side is kept, up to an hour."""
    longest: float = min(most_s, FIRST_WAIT_S * 2.0 ** min(max(0, failures - 1), 16))
    asked = min(retry_after_s or 0.0, LONGEST_RETRY_AFTER_S)
    return max(SHORTEST_WAIT_S, asked, rand() * longest)


def pace(before_ms: float, call_ms: float) -> float:
    """How long calls take, smoothed."""
    return call_ms if before_ms <= 0 else before_ms + _NEWEST * (call_ms - before_ms)


def retry_rest_s(failing_s: float, rand: Random) -> float:
    """How long an unordered consumer's retries rest after one has failed while its first tries fail too.
    New events don't: the first of them finds out whether it is over."""
    return min(LONGEST_WAIT_S, max(FIRST_WAIT_S, failing_s * (0.5 + rand() / 2)))


def probation(before: int, *, stopped: bool, handed_over: bool, quick: bool) -> int:
    """How many quick calls a consumer still has to make until it is trusted: after a call that made it rest
    (`stopped`), that was handed over, or that was delivered quickly."""
    if stopped:
        return PROBATION
    if handed_over:
        return PROBATION if before > RETURN else RETURN
    return max(0, before - 1) if quick else before


def is_short(queue: str, *, on_probation: bool, pace_ms: float, tried: bool) -> bool:
    """Whether a call gets the short time only: a consumer in the fast queue does, and one on probation that
    seems quick. `tried`: an event of the call got no answer before; in the slow queue it has the whole
    time."""
    return queue == FAST or (on_probation and pace_ms < QUICK_MS and not tried)


def queue_of(now: str, *, on_probation: bool, pace_ms: float, backlog: bool) -> str:
    """The queue of the next wake-up: consumers that keep up share workers only with others that do."""
    if on_probation or backlog or pace_ms >= SLOW_MS:
        return SLOW
    return FAST if pace_ms < QUICK_MS else now
