"""How a destination is: paused, behind an open breaker, resting, recovering or closed; and what waits for it. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from app.platform.clock import from_ms


class DestinationState(StrEnum):
    """`paused` by an operator; `open`: its breaker is; `resting` because the far side has asked for it; `recovering`
    while the failed table is released."""

    PAUSED = "paused"
    OPEN = "open"
    RESTING = "resting"
    RECOVERING = "recovering"
    CLOSED = "closed"


@dataclass(frozen=True, slots=True)
class Condition:
    """`reason` is the code of what has opened the breaker, `detail` its text. `not_before`: the end of the rest."""

    name: str
    state: DestinationState = DestinationState.CLOSED
    reason: str | None = None
    detail: str | None = None
    opened_at: datetime | None = None
    probed_at: datetime | None = None
    next_probe_at: datetime | None = None
    times_opened: int = 0
    not_before: datetime | None = None
    recovering_from: datetime | None = None
    paused_by: str | None = None
    paused_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class DestinationStatus(Condition):
    """With how many requests wait for a place, are live, and have failed."""

    runnable: int = 0
    live: int = 0
    failed: int = 0
    max_in_flight: int = 0


def condition(name: str, stored: Mapping[bytes, bytes], now_ms: int) -> Condition:
    """`stored`: the destination's hash (docs/data-model.md)."""

    def text(field: bytes) -> str | None:
        return stored.get(field, b"").decode() or None

    def time(field: bytes) -> datetime | None:
        return from_ms(int(stored[field])) if field in stored else None

    return Condition(
        name=name,
        state=_state(stored, now_ms),
        reason=text(b"reason"),
        detail=text(b"detail"),
        opened_at=time(b"openedAt"),
        probed_at=time(b"probedAt"),
        next_probe_at=time(b"nextProbeAt"),
        times_opened=int(stored.get(b"opened", b"0")),
        not_before=time(b"notBefore") if _rests(stored, now_ms) else None,
        recovering_from=time(b"recoveringFrom"),
        paused_by=text(b"pausedBy"),
        paused_at=time(b"paused"),
    )


def _state(stored: Mapping[bytes, bytes], now_ms: int) -> DestinationState:
    if b"paused" in stored:
        return DestinationState.PAUSED
    if b"breaker" in stored:
        return DestinationState.OPEN
    if _rests(stored, now_ms):
        return DestinationState.RESTING
    return DestinationState.RECOVERING if b"recoveringFrom" in stored else DestinationState.CLOSED


def _rests(stored: Mapping[bytes, bytes], now_ms: int) -> bool:
    return int(stored.get(b"notBefore", b"0")) > now_ms
