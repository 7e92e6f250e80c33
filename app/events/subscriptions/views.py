"""How the answers about a subscription look. Pure."""

from __future__ import annotations

import json
from typing import Any

from app.events.consumers.model import ConsumerState, ConsumerStatus, Failure, Missed, Parked, Progress
from app.events.sinks.base import Outcome
from app.events.subscriptions.model import Subscription, shown_config
from app.platform.clock import from_ms, rfc3339

_RUNNING = frozenset(
    {ConsumerState.ACTIVE, ConsumerState.FAILING, ConsumerState.PAUSED, ConsumerState.DISABLED}
)


def shown(subscription: Subscription, status: ConsumerStatus, *, whole: bool) -> dict[str, Any]:
    """What its owner wrote, and how it is doing."""
    return {
        **shown_config(subscription, whole=whole),
        "state": status.state.value,
        "reason": status.reason or None,
        "lag": {"events": status.lag_events, "seconds": round(status.lag_seconds, 3)},
        "counters": dict(status.counters),
        "cursor": dict(status.cursor),
        "open": status.open,
        "parked": status.parked,
        "missed": [_missed(one) for one in status.missed],
        "failingSince": instant(status.failing_since_ms),
        "failuresInARow": status.failures_in_a_row,
        "lastError": _failure(status.last_error),
        "nextTryAt": instant(status.next_try_ms),
        "lastDeliveredAt": instant(status.last_delivered_ms),
        "replay": operation(status.replay) if status.replay else None,
    }


def operation(progress: Progress) -> dict[str, Any]:
    """A replay. It is running until it is done or cancelled; `waiting` says why it stands still meanwhile."""
    running = progress.state in _RUNNING
    standing = progress.state in (ConsumerState.PAUSED, ConsumerState.DISABLED)
    return {
        "id": progress.id,
        "state": "running" if running else progress.state.value,
        "waiting": progress.state.value if standing else None,
        "done": progress.done,
        "total": progress.total,
        "since": instant(progress.since_ms),
        "startedAt": instant(progress.started_ms),
        "endedAt": instant(progress.ended_ms),
        "lastError": _failure(progress.failure),
        "missedEvents": progress.missed_events,
        "missed": [_missed(one) for one in progress.missed],
        "reachesBackTo": instant(progress.reaches_back_to_ms),
    }


def parked_entry(one: Parked) -> dict[str, Any]:
    """A parked event; `event` null: the log doesn't have it any more."""
    return {
        "id": one.key.replace("|", ":"),
        "topic": one.topic,
        "sequence": one.sequence,
        "eventName": one.event_name or None,
        "guid": one.guid or None,
        "parkedAt": instant(one.parked_ms),
        "error": {"code": one.code, "detail": one.detail},
        "event": None if one.event is None else json.loads(one.event),
    }


def parked_key(shown_id: str) -> str:
    """The inverse of a parked event's id."""
    return shown_id.replace(":", "|")


def tested(outcome: Outcome, request: dict[str, Any]) -> dict[str, Any]:
    """What became of a test event."""
    error = outcome.error
    return {
        "delivered": error is None,
        "status": outcome.status,
        "latencyMs": outcome.latency_ms,
        "request": request,
        "answer": outcome.answer,
        "error": None if error is None else {"code": error.code, "detail": error.detail},
    }


def instant(ms: int | None) -> str | None:
    """A time as the API writes it."""
    return None if ms is None else rfc3339(from_ms(ms))


def _missed(one: Missed) -> dict[str, Any]:
    return {"topic": one.topic, "from": one.first, "to": one.last, "foundAt": instant(one.at_ms)}


def _failure(one: Failure | None) -> dict[str, Any] | None:
    return None if one is None else {"code": one.code, "detail": one.detail, "at": instant(one.at_ms)}
