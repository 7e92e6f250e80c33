"""Subscriptions among the destinations that operators see, pause and resume: `sub:{id}`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from app.events.consumers.model import ConsumerState
from app.events.subscriptions.model import SubscriptionView
from app.events.subscriptions.service import MAX_SUBSCRIPTIONS, SubscriptionService
from app.platform.clock import from_ms, rfc3339

PREFIX: Final = "sub:"
# A subscription that fails has stopped calling but for one call after each rest: what a breaker calls open.
_STATES: Final[Mapping[ConsumerState, str]] = {ConsumerState.ACTIVE: "closed", ConsumerState.FAILING: "open"}
_IN_TROUBLE: Final = (ConsumerState.FAILING, ConsumerState.DISABLED)


def destinations(subscriptions: SubscriptionService) -> list[Mapping[str, Any]]:
    """All of them."""
    return [as_destination(one) for one in subscriptions.page(MAX_SUBSCRIPTIONS, whole=False).items]


def switch(subscriptions: SubscriptionService, name: str, verb: str, actor: str) -> Mapping[str, Any]:
    """Pause or resume the one of this name. Raises NotFound."""
    subscription_id = name.removeprefix(PREFIX)
    (subscriptions.pause if verb == "pause" else subscriptions.resume)(subscription_id, actor)
    return as_destination(subscriptions.get(subscription_id, whole=False))


def as_destination(view: SubscriptionView) -> Mapping[str, Any]:
    """A subscription with the members that the API shows of every destination."""
    status = view.status
    error = status.last_error if status.state in _IN_TROUBLE else None
    paused = status.state is ConsumerState.PAUSED
    reason = status.reason if status.state in _IN_TROUBLE else ""
    resting = status.state is ConsumerState.ACTIVE and status.next_try_ms is not None
    return {
        "name": f"{PREFIX}{view.id}",
        "state": "resting" if resting else _STATES.get(status.state, status.state.value),
        "reason": reason or (error.code if error else None),
        "detail": error.detail if error else None,
        "openedAt": _instant(status.failing_since_ms),
        "notBefore": _instant(status.next_try_ms),
        "pausedBy": (status.reason or None) if paused else None,
        "pausedAt": None,
        "runnable": status.lag_events,
        "live": status.open,
        "failed": status.parked,
        "maxInFlight": view.config.in_flight,
    }


def _instant(ms: int | None) -> str | None:
    return None if ms is None else rfc3339(from_ms(ms))
