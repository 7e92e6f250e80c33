"""What a worker writes down about its calls. Pure: each part of a turn is a value of its own, and `joined` makes one
acknowledgement of them, which `claims` hands to `lua/ack.lua`.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import TypeVar

from app.events.consumers.decision import Retries
from app.events.consumers.health import ReceiverHealth
from app.events.consumers.model import Item, Position, ReadLimits
from app.events.consumers.outcomes import DELAY_BOUNDS_MS, CallResult, FailedItem

T = TypeVar("T")
Retry = tuple[str, int]  # place in the consumer's `open` set, ms until the next try
Attempts = tuple[str, int, int]  # key of an event, how often it was tried, when it failed first (ms)


@dataclass(frozen=True, slots=True)
class CallReport:
    """What became of one call's events. `done`: places in `open` that are over; `forget`: keys whose attempts are over;
    `park`: (key, why as JSON); `failure`: (code, detail) of the last that failed; `failed_calls`: 1 where it is one more
    failure in a row; `journal`: (outcome, entry of the delivery log as JSON); `retry_rest_ms`: of all retries."""

    counts: Mapping[str, int] = field(default_factory=dict)
    done: Sequence[str] = ()
    retry: Sequence[Retry] = ()
    attempts: Sequence[Attempts] = ()
    forget: Sequence[str] = ()
    park: Sequence[tuple[str, str]] = ()
    delivered: bool = False
    failure: tuple[str, str] | None = None
    failed_calls: int = 0
    journal: Sequence[tuple[str, str]] = ()
    retry_rest_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Place:
    """How far an ordered consumer has come. `ahead`: keys of what was delivered beyond the cursor; None: unchanged."""

    cursor: Position = field(default_factory=dict)
    ahead: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class Stop:
    """Why a consumer begins no further call: it rests, or is disabled for this reason (a code). Neither: it goes on."""

    rest_ms: int | None = None
    disable: str | None = None

    @property
    def stops(self) -> bool:
        return self.rest_ms is not None or self.disable is not None

    def merge(self, other: Stop) -> Stop:
        """Both: the longer rest, the later reason."""
        rests = [one.rest_ms for one in (self, other) if one.rest_ms is not None]
        return Stop(max(rests, default=None), other.disable or self.disable)


GOING_ON = Stop()


@dataclass(frozen=True, slots=True)
class Ack(CallReport):
    """The reports of a worker's calls since its last acknowledgement, and how to go on: `read` more, `rest_ms`, or neither:
    let the consumer go. The others as in `Place`, `Stop` and `ReceiverHealth`; None: unchanged."""

    cursor: Position = field(default_factory=dict)
    ahead: Sequence[str] | None = None
    disable: str | None = None
    pace_ms: float | None = None
    probation: int | None = None
    queue: str | None = None
    read: ReadLimits | None = None
    rest_ms: int | None = None


def report(result: CallResult, retries: Retries, *, failed_calls: int, now_ms: int) -> CallReport:
    """What a call comes to, but for the delivery log. `retries`: what was decided about events for themselves."""
    parked = (*result.parked, *retries.given_up)
    given_up = {item.key for item, _ in retries.given_up}
    # What was handed over is no try yet, but whoever sends it again has to know of it.
    attempts = [(item, item.delivery.attempt - 1) for item in result.handed_over]
    attempts += [(item, item.delivery.attempt) for item, _ in result.failed if item.key not in given_up]
    over = (*result.done, *(item for item, _ in parked))
    last = result.failed[-1][1] if result.failed else None
    return CallReport(
        counts=_counts(result, len(parked), now_ms),
        done=tuple(item.member for item in over if item.member),
        retry=(*at_once((*result.unsent, *result.handed_over)), *retries.waits),
        attempts=tuple((item.key, tries, item.first_failed_ms or now_ms) for item, tries in attempts),
        forget=tuple(item.key for item in over if item.first_failed_ms is not None),
        park=tuple(_parked(one) for one in parked),
        delivered=bool(result.done),
        failure=None if last is None else (last.code, last.detail),
        failed_calls=failed_calls,
        retry_rest_ms=retries.rest_ms,
    )


def _counts(result: CallResult, parked: int, now_ms: int) -> Mapping[str, int]:
    delays = [max(0, now_ms - item.delivery.at_ms) for item in result.done]
    counts = Counter(f"delay:{_bound(delay)}" for delay in delays)
    if result.tried:
        counts.update(calls=1, latencyMs=result.latency_ms)
    if result.done:
        size = sum(len(item.delivery.event) for item in result.done)
        counts.update(delivered=len(result.done), bytes=size, delayMs=sum(delays))
    for name, count in (("failures", len(result.failed)), ("parked", parked)):
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
    place: Place | None = None,
    stop: Stop = GOING_ON,
    read: ReadLimits | None = None,
    given_back: Iterable[Item] = (),
) -> Ack:
    """One acknowledgement of the calls since the last one. `before`, `after`: how the receiver was and is seen;
    `given_back`: events that this worker has and doesn't begin any more, which go back as they were."""
    counts: Counter[str] = Counter()
    for report in reports:
        counts.update(report.counts)
    place = place or Place()
    return Ack(
        cursor=place.cursor,
        ahead=place.ahead,
        done=_all(report.done for report in reports),
        retry=[*_all(report.retry for report in reports), *at_once(given_back)],
        attempts=_all(report.attempts for report in reports),
        forget=_all(report.forget for report in reports),
        park=_all(report.park for report in reports),
        counts=counts,
        journal=_all(report.journal for report in reports),
        delivered=any(report.delivered for report in reports),
        failure=_last(report.failure for report in reports),
        failed_calls=max((report.failed_calls for report in reports), default=0),
        disable=stop.disable,
        pace_ms=_changed(before.pace_ms, after.pace_ms),
        probation=_changed(before.probation, after.probation),
        queue=_changed(before.queue, after.queue),
        read=read,
        rest_ms=stop.rest_ms,
        retry_rest_ms=_last(report.retry_rest_ms for report in reports),
    )


def at_once(items: Iterable[Item]) -> tuple[Retry, ...]:
    """Events as they were: to be sent without a wait."""
    return tuple((item.member, 0) for item in items if item.member)


def _all(parts: Iterable[Iterable[T]]) -> list[T]:
    return list(chain.from_iterable(parts))


def _last(values: Iterable[T | None]) -> T | None:
    """The last one that there is."""
    found = None
    for value in values:
        found = found if value is None else value
    return found


def _changed(before: T, after: T) -> T | None:
    return None if after == before else after
