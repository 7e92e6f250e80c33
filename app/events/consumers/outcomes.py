"""A call's events by what became of them. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from app.events.consumers.model import Item
from app.events.sinks.base import HANDED_OVER, Kind, Outcome, SinkError

DELAY_BOUNDS_MS: Final = (50, 100, 250, 500, 1000, 5000, 30_000, 300_000)
FailedItem = tuple[Item, SinkError]


@dataclass(frozen=True, slots=True)
class CallResult:
    """`unsent` are as they were before. `tried`: whether any event was sent; `latency_ms`: how long that
    took."""

    done: tuple[Item, ...]
    parked: tuple[FailedItem, ...]
    failed: tuple[FailedItem, ...]
    unsent: tuple[Item, ...]
    handed_over: tuple[Item, ...]
    tried: bool
    latency_ms: int

    @property
    def gone(self) -> SinkError | None:
        """The error with which the destination answered that it wants no more."""
        return next((error for _, error in self.failed if error.kind is Kind.GONE), None)

    @property
    def retry_after_s(self) -> float | None:
        """The longest that the far side has asked for."""
        return max((e.retry_after_s for _, e in self.failed if e.retry_after_s is not None), default=None)

    @property
    def finished(self) -> tuple[Item, ...]:
        """What was delivered, and what was refused for good."""
        return (*self.done, *(item for item, _ in self.parked))


def sort(items: Sequence[Item], outcomes: Sequence[Outcome]) -> CallResult:
    """By kind of error. An event that met a 410 failed like others; its destination is what has gone."""
    found: dict[str, list[Item]] = {"done": [], "unsent": [], "handed_over": []}
    parked: list[FailedItem] = []
    failed: list[FailedItem] = []
    for item, outcome in zip(items, outcomes, strict=True):
        error = outcome.error
        if error is None:
            found["done"].append(item)
        elif not outcome.tried:
            found["unsent"].append(item)
        elif error.code == HANDED_OVER:
            found["handed_over"].append(item)
        else:
            (parked if error.kind is Kind.REFUSED else failed).append((item, error))
    tried = [outcome.latency_ms for outcome in outcomes if outcome.tried]
    return CallResult(
        done=tuple(found["done"]),
        parked=tuple(parked),
        failed=tuple(failed),
        unsent=tuple(found["unsent"]),
        handed_over=tuple(found["handed_over"]),
        tried=bool(tried),
        latency_ms=max(tried, default=0),
    )
