"""What a worker writes down about its calls. Pure: each part of a turn is a value of its own, and `joined`
makes one acknowledgement of them, which `claims` hands to `lua/ack.lua`.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain
from typing import Final, TypeVar

from app.events.consumers.decision import Retries
from app.events.consumers.health import ReceiverHealth
from app.events.consumers.model import Item, Position, ReadLimits
from app.events.consumers.outcomes import DELAY_BOUNDS_MS, CallResult, FailedItem

T = TypeVar("T")
Retry = tuple[str, int]  # place in the consumer's `open` set, ms until the next try
Journal = Sequence[tuple[str, str]]  # (outcome, entry of the delivery log as JSON)
Attempts = tuple[str, int, int]  # key of an event, how often it was tried, when it failed first (ms)


@dataclass(frozen=True, slots=True)
class CallReport:
    """What became of one call's events. `done`: places in `open` that are over; `forget`: keys whose
    attempts are over; `park`: (key, why as JSON); `failure`: (code, detail) of the last that failed;
    `failed_calls`: 1 where it is one more failure in a row; `retry_rest_ms`: of all retries."""

    counts: Mapping[str, int] = field(default_factory=dict)
    done: Sequence[str] = ()
    retry: Sequence[Retry] = ()
    attempts: Sequence[Attempts] = ()
    forget: Sequence[str] = ()
    park: Sequence[tuple[str, str]] = ()
    delivered: bool = False
    failure: tuple[str, str] | None = None
    failed_calls: int = 0
    journal: Journal = ()
    retry_rest_ms: int | None = None


NO_CALLS: Final = CallReport()


@dataclass(frozen=True, slots=True)
class Place:
    """How far an ordered consumer has come. `ahead`: keys of what was delivered beyond the cursor; None:
    unchanged."""

    cursor: Position = field(default_factory=dict)
    ahead: Sequence[str] | None = None


NO_PLACE: Final = Place()


@dataclass(frozen=True, slots=True)
class Stop:
    """Why a consumer begins no further call: it rests, or is disabled for this reason (a code). Neither: it
    goes on."""

    rest_ms: int | None = None
    disable: str | None = None

    @property
    def stops(self) -> bool:
        return self.rest_ms is not None or self.disable is not None

    def merge(self, other: Stop) -> Stop:
        """Both: the longer rest, the later reason."""
        rests = [one.rest_ms for one in (self, other) if one.rest_ms is not None]
        return Stop(max(rests, default=None), other.disable or self.disable)


GOING_ON: Final = Stop()


@dataclass(frozen=True, slots=True)
class Ack:
    """What became of a worker's calls since its last acknowledgement, and how to go on: `read` more, stop, or
    neither: let the consumer go. `pace_ms`, `probation`, `queue`: of the receiver's health; None: unchanged."""

    calls: CallReport = NO_CALLS
    place: Place = NO_PLACE
    stop: Stop = GOING_ON
    read: ReadLimits | None = None
    pace_ms: float | None = None
    probation: int | None = None
    queue: str | None = None


def report(
    call: CallResult, retries: Retries, journal: Journal, failed_calls: int, now_ms: int
) -> CallReport:
    """What a call comes to. `retries`: what was decided about events for themselves."""
    parked = (*call.parked, *retries.given_up)
    given_up = {item.key for item, _ in retries.given_up}
    # What was handed over is no try yet, but the worker that sends it again has to know of it.
    attempts = [(item, item.delivery.attempt - 1) for item in call.handed_over]
    attempts += [(item, item.delivery.attempt) for item, _ in call.failed if item.key not in given_up]
    over = (*call.done, *(item for item, _ in parked))
    last = call.failed[-1][1] if call.failed else None
    return CallReport(
        counts=_counts(call, len(parked), now_ms),
        done=tuple(item.member for item in over if item.member),
        retry=(*at_once((*call.unsent, *call.handed_over)), *retries.waits),
        attempts=tuple((item.key, tries, item.first_failed_ms or now_ms) for item, tries in attempts),
        forget=tuple(item.key for item in over if item.first_failed_ms is not None),
        park=tuple(_parked(one) for one in parked),
        delivered=bool(call.done),
        failure=None if last is None else (last.code, last.detail),
        failed_calls=failed_calls,
        journal=journal,
        retry_rest_ms=retries.rest_ms,
    )


def _counts(call: CallResult, parked: int, now_ms: int) -> Mapping[str, int]:
    counts: dict[str, int] = {}
    if call.tried:
        counts |= {"calls": 1, "latencyMs": call.latency_ms}
    if call.done:
        delays = [max(0, now_ms - item.delivery.at_ms) for item in call.done]
        size = sum(len(item.delivery.event) for item in call.done)
        counts |= {"delivered": len(call.done), "bytes": size, "delayMs": sum(delays)}
        for name in (f"delay:{_bound(delay)}" for delay in delays):
            counts[name] = counts.get(name, 0) + 1
    for name, count in (("failures", len(call.failed)), ("parked", parked)):
        if count:
            counts[name] = count
    return counts


def _bound(delay_ms: int) -> str:
    return next((str(bound) for bound in DELAY_BOUNDS_MS if delay_ms <= bound), "inf")


def _parked(one: FailedItem) -> tuple[str, str]:
    """This event leaves the order: a person decides about it."""
    item, error = one
    why = {
        "code": error.code,
        "detail": error.detail,
        "previous": item.delivery.previous,
        "name": item.delivery.event_name,
        "guid": item.delivery.guid,
    }
    return item.key, json.dumps(why)


def joined(
    reports: Sequence[CallReport],
    before: ReceiverHealth,
    after: ReceiverHealth,
    *,
    place: Place = NO_PLACE,
    stop: Stop = GOING_ON,
    read: ReadLimits | None = None,
    given_back: Sequence[Item] = (),
) -> Ack:
    """One acknowledgement of the calls since the last one. `before`, `after`: how the receiver was and is
    seen; `given_back`: events that this worker has and doesn't begin any more, which go back as they were."""
    calls = reports[0] if len(reports) == 1 else _merged(reports)
    if given_back:
        calls = replace(calls, retry=(*calls.retry, *at_once(given_back)))
    pace_ms = _changed(before.pace_ms, after.pace_ms)
    probation, queue = _changed(before.probation, after.probation), _changed(before.queue, after.queue)
    return Ack(calls, place, stop, read, pace_ms, probation, queue)


def _merged(reports: Sequence[CallReport]) -> CallReport:
    """Of calls in their order; of what can be said once, the last."""
    counts: Counter[str] = Counter()
    for one in reports:
        counts.update(one.counts)
    return CallReport(
        counts=counts,
        done=_all(one.done for one in reports),
        retry=_all(one.retry for one in reports),
        attempts=_all(one.attempts for one in reports),
        forget=_all(one.forget for one in reports),
        park=_all(one.park for one in reports),
        delivered=any(one.delivered for one in reports),
        failure=_last(one.failure for one in reports),
        failed_calls=max((one.failed_calls for one in reports), default=0),
        journal=_all(one.journal for one in reports),
        retry_rest_ms=_last(one.retry_rest_ms for one in reports),
    )


def at_once(items: Iterable[Item]) -> tuple[Retry, ...]:
    """Events as they were: to be sent without a wait."""
    return tuple((item.member, 0) for item in items if item.member)


def _all(parts: Iterable[Iterable[T]]) -> tuple[T, ...]:
    return tuple(chain.from_iterable(parts))


def _last(values: Iterable[T | None]) -> T | None:
    """The last one that there is."""
    found = None
    for value in values:
        found = found if value is None else value
    return found


def _changed(before: T, after: T) -> T | None:
    return None if after == before else after
