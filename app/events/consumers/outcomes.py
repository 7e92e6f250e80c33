"""What a call's outcomes come to: which events are done, parked or to be tried again, what is counted, and the delivery log.

Pure, but for adding to the `Ack` that the caller sends.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from app.events.consumers.model import Ack, Item
from app.events.sinks.base import HANDED_OVER, Kind, Outcome, SinkError

DELAY_BOUNDS_MS: Final = (50, 100, 250, 500, 1000, 5000, 30_000, 300_000)
_LISTED: Final = 20  # events that an entry of the delivery log names one by one


@dataclass(slots=True)
class Sorted:
    """A call's events by what became of them. `unsent` are as they were before."""

    done: list[Item] = field(default_factory=list)
    parked: list[tuple[Item, SinkError]] = field(default_factory=list)
    failed: list[tuple[Item, SinkError]] = field(default_factory=list)
    unsent: list[Item] = field(default_factory=list)
    handed_over: list[Item] = field(default_factory=list)
    gone: SinkError | None = None

    @property
    def retry_after_s(self) -> float | None:
        """The longest that the far side has asked for."""
        return max((e.retry_after_s for _, e in self.failed if e.retry_after_s is not None), default=None)


def sort(items: Sequence[Item], outcomes: Sequence[Outcome]) -> Sorted:
    """By kind of error. An event that met a 410 failed like others; its destination is what has gone."""
    found = Sorted()
    for item, outcome in zip(items, outcomes, strict=True):
        error = outcome.error
        if error is None:
            found.done.append(item)
        elif not outcome.tried:
            found.unsent.append(item)
        elif error.code == HANDED_OVER:
            found.handed_over.append(item)
        elif error.kind is Kind.REFUSED:
            found.parked.append((item, error))
        else:
            found.failed.append((item, error))
            if error.kind is Kind.GONE:
                found.gone = error
    return found


def account(ack: Ack, found: Sorted, outcomes: Sequence[Outcome], now_ms: int) -> None:
    """Count a call, note the tries of what failed, and park what was refused."""
    latency = max((outcome.latency_ms for outcome in outcomes), default=0)
    _count(ack, "calls", 1)
    _count(ack, "latencyMs", latency)
    for item in found.done:
        delay = max(0, now_ms - item.delivery.at_ms)
        _count(ack, "delivered", 1)
        _count(ack, "bytes", len(item.delivery.event))
        _count(ack, "delayMs", delay)
        _count(ack, f"delay:{_bound(delay)}", 1)
        if item.first_failed_ms is not None:
            ack.forget.append(item.key)
    for item, error in found.parked:
        park(ack, item, error)
    for item in found.handed_over:
        # Not a try yet, but whoever sends it again has to know of it.
        ack.attempts.append((item.key, item.delivery.attempt - 1, item.first_failed_ms or now_ms))
    for item, _ in found.failed:
        _count(ack, "failures", 1)
        ack.attempts.append((item.key, item.delivery.attempt, item.first_failed_ms or now_ms))
    if found.done:
        ack.delivered = True
    if found.failed:
        error = found.failed[-1][1]
        ack.failure = (error.code, error.detail)


def park(ack: Ack, item: Item, error: SinkError) -> None:
    """This event leaves the order: a person decides about it."""
    why = {
        "code": error.code,
        "detail": error.detail,
        "previous": item.delivery.previous,
        "name": item.delivery.event_name,
        "guid": item.delivery.guid,
    }
    ack.park.append((item.key, json.dumps(why)))
    _count(ack, "parked", 1)
    if item.first_failed_ms is not None:
        ack.forget.append(item.key)


def entries(
    items: Sequence[Item],
    outcomes: Sequence[Outcome],
    request: Mapping[str, Any],
    next_ms: int | None,
) -> list[tuple[str, dict[str, Any]]]:
    """Of the delivery log, each with its outcome in a word: one entry for the events of a call that fared alike, so that a
    call of five hundred doesn't fill it."""
    alike: dict[tuple[str, str], list[tuple[Item, Outcome]]] = {}
    for item, outcome in zip(items, outcomes, strict=True):
        if outcome.tried:
            alike.setdefault((_word(outcome), outcome.error.code if outcome.error else ""), []).append(
                (item, outcome)
            )
    return [
        (word, _entry(some, request, next_ms if word == "failed" else None))
        for (word, _), some in alike.items()
    ]


def line(outcome: str, entry: Mapping[str, Any]) -> dict[str, Any]:
    """An entry as the members of a log line: without the answer, which may be long and isn't ours."""
    error = entry["error"] or {}
    return {
        "outcome": outcome,
        "topic": entry["topic"],
        "sequence": entry["sequence"],
        "event_name": entry["eventName"],
        "guid": entry["guid"],
        "attempt": entry["attempt"],
        "redelivery": entry["redelivery"],
        "events": entry["events"],
        "status": entry["status"],
        "ms": entry["latencyMs"],
        "code": error.get("code"),
        "next_try_ms": entry["nextTryInMs"],
    }


def _word(outcome: Outcome) -> str:
    if outcome.error is None:
        return "delivered"
    if outcome.error.code == HANDED_OVER:
        return "handed_over"
    return {Kind.RETRY: "failed", Kind.REFUSED: "parked", Kind.GONE: "disabled"}[outcome.error.kind]


def _entry(
    some: Sequence[tuple[Item, Outcome]], request: Mapping[str, Any], next_ms: int | None
) -> dict[str, Any]:
    (first, outcome) = some[0]
    error = outcome.error
    entry: dict[str, Any] = {
        "topic": first.delivery.topic,
        "sequence": first.delivery.sequence,
        "eventName": first.delivery.event_name,
        "guid": first.delivery.guid,
        "attempt": first.delivery.attempt,
        "redelivery": first.delivery.redelivery,
        "events": len(some),
        "request": dict(request),
        "status": outcome.status,
        "latencyMs": outcome.latency_ms,
        "answer": outcome.answer,
        "error": None if error is None else {"code": error.code, "detail": error.detail},
        "nextTryInMs": next_ms,
    }
    if len(some) > 1:
        entry["sequences"] = [f"{one.delivery.topic}:{one.delivery.sequence}" for one, _ in some[:_LISTED]]
    return entry


def _count(ack: Ack, name: str, by: int) -> None:
    ack.counts[name] = ack.counts.get(name, 0) + by


def _bound(delay_ms: int) -> str:
    return next((str(bound) for bound in DELAY_BOUNDS_MS if delay_ms <= bound), "inf")
