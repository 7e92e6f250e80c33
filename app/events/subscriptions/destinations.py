"""Subscriptions among the destinations that operators see, pause and resume: `sub:{id}`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from app.events.subscriptions.service import MAX_SUBSCRIPTIONS, SubscriptionService

PREFIX: Final = "sub:"
# A subscription that fails has stopped calling but for one call after each rest: what a breaker calls open.
_STATES: Final[Mapping[str, str]] = {"active": "closed", "failing": "open"}


def destinations(subscriptions: SubscriptionService) -> list[dict[str, Any]]:
    """All of them."""
    return [as_destination(one) for one in subscriptions.page(MAX_SUBSCRIPTIONS, whole=False).items]


def switch(subscriptions: SubscriptionService, name: str, verb: str, actor: str) -> dict[str, Any]:
    """Pause or resume the one of this name. Raises NotFound."""
    subscription_id = name.removeprefix(PREFIX)
    (subscriptions.pause if verb == "pause" else subscriptions.resume)(subscription_id, actor)
    return as_destination(subscriptions.get(subscription_id, whole=False))


def as_destination(view: Mapping[str, Any]) -> dict[str, Any]:
    """From a subscription as the API shows it, with the members of every destination."""
    error = view["lastError"] or {}
    troubled = view["state"] in ("failing", "disabled")
    paused = view["state"] == "paused"
    resting = view["state"] == "active" and view["nextTryAt"] is not None
    return {
        "name": f"{PREFIX}{view['id']}",
        "state": "resting" if resting else _STATES.get(view["state"], view["state"]),
        "reason": (view["reason"] or error.get("code")) if troubled else None,
        "detail": error.get("detail") if troubled else None,
        "openedAt": view["failingSince"],
        "notBefore": view["nextTryAt"],
        "pausedBy": view["reason"] if paused else None,
        "pausedAt": None,
        "runnable": view["lag"]["events"],
        "live": view["open"],
        "failed": view["parked"],
        "maxInFlight": view["inFlight"],
    }
