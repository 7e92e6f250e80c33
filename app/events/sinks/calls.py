"""From a list of events to calls of the far side and back to an outcome for each event; the same for every
sink.

Parcels are put into calls as full as the limits allow. Of one order (an entity; for an ordered webhook
everything) a call carries at most one parcel, each later one goes into a later call, and none is sent after
one that has to be tried again.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from app.events.sinks.base import NOT_SENT, TOO_LARGE, Kind, Limits, Outcome, SinkError

WAITED: Final = Outcome(
    SinkError(
        NOT_SENT, "Not sent yet: an earlier one has to be tried again, or the time was used up.", Kind.RETRY
    )
)


@dataclass(frozen=True, slots=True)
class Parcel:
    """One event as the far side takes it. `size` counts as the far side counts; `order` None: any order
    will do."""

    content: Any
    size: int
    order: str | None


Call = Callable[[list[Any]], list[Outcome]]


def plan(parcels: Sequence[Parcel], limits: Limits) -> list[list[int]]:
    """The calls to make, one after the other, as positions of their parcels. Those too large for any call
    are left out."""
    calls: list[list[int]] = []
    room: list[int] = []
    last_of: dict[str, int] = {}
    first_open = 0  # every call before it is full
    for position, parcel in enumerate(parcels):
        if parcel.size > limits.event_bytes:
            continue
        at = first_open if parcel.order is None else max(first_open, last_of.get(parcel.order, -1) + 1)
        while at < len(calls) and (len(calls[at]) >= limits.events or room[at] < parcel.size):
            if at == first_open and len(calls[at]) >= limits.events:
                first_open += 1
            at += 1
        if at == len(calls):
            calls.append([])
            room.append(limits.bytes)
        calls[at].append(position)
        room[at] -= parcel.size
        if parcel.order is not None:
            last_of[parcel.order] = at
    return calls


def send(parcels: Sequence[Parcel], limits: Limits, call: Call, deadline: float) -> list[Outcome]:
    """Make the calls; `call` sends some contents and answers for each what became of it."""
    outcomes = [_too_large(p, limits) if p.size > limits.event_bytes else WAITED for p in parcels]
    failed: set[str] = set()
    slowest = 0.0
    for positions in plan(parcels, limits):
        started = time.monotonic()
        # A call that is begun without the time that calls take here would fail for no fault of the far side.
        if started + 2 * slowest >= deadline:
            break
        due = [at for at in positions if parcels[at].order not in failed]
        if not due:
            continue
        answers = call([parcels[at].content for at in due])
        slowest = max(slowest, time.monotonic() - started)
        for at, outcome in zip(due, answers, strict=True):
            outcomes[at] = outcome
            order = parcels[at].order
            if order is not None and _again(outcome):
                failed.add(order)
        if _hopeless(answers, limits):
            break
    return outcomes


def _again(outcome: Outcome) -> bool:
    return outcome.error is not None and outcome.error.kind is not Kind.REFUSED


def _hopeless(answers: Sequence[Outcome], limits: Limits) -> bool:
    """Whether the destination is in trouble, so that further calls would only fare the same."""
    if any(a.error is not None and a.error.kind is Kind.GONE for a in answers):
        return True
    return limits.events > 1 and all(_again(a) for a in answers)


def _too_large(parcel: Parcel, limits: Limits) -> Outcome:
    detail = f"The event takes {parcel.size:,} bytes; the destination takes {limits.event_bytes:,}."
    return Outcome(SinkError(TOO_LARGE, detail, Kind.REFUSED))
