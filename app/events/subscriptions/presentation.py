"""How a subscription is doing, in plain sentences. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from app.events.consumers.model import ConsumerState, ConsumerStatus, Missed
from app.events.subscriptions.model import SubscriptionView
from app.platform.clock import from_ms, rfc3339

_REASONS: Final = {
    "gone": "its destination answered 410: it doesn't want any more",
    "failing_too_long": "it has failed for longer than MEDIAOPS_WEBHOOK_DISABLE_AFTER_H",
    "parked_full": "its destination has refused so many events that no more can be parked",
}


def sentences(view: SubscriptionView) -> Iterator[str]:
    """What it is, how it stands, and what a person may do about it."""
    config, status, sink = view.config, view.status, view.config.sink
    target = sink.get("url") or sink.get("topicArn") or sink.get("streamName")
    topics = ", ".join(one.topic for one in config.topics)
    name = f" ({config.name})" if config.name else ""
    yield f"Subscription {config.id}{name} delivers {topics} to {sink['type']} {target}."
    yield _state(status)
    if status.lag_events:
        age = f"the oldest was published {status.lag_seconds:.0f} s ago"
        yield f"It is {status.lag_events} events behind; {age}."
    elif status.state is ConsumerState.ACTIVE:
        yield "Everything that it wants was delivered or parked."
    if status.parked:
        yield f"{status.parked} events were refused for good and are parked: retry or discard them."
    for gap in status.missed:
        yield f"Events {_span(gap)} were removed by the log's retention before they were delivered."
    replay = status.replay
    if replay and replay.stage == "running":
        progress = f"{replay.done} of {replay.total} events"
        yield f"A replay since {_at(replay.since_ms)} is under way: {progress}."
    if replay:
        reaches = replay.reaches_back_to_ms
        spans = map(_span, replay.missed)
        yield from lost(replay.missed_events, spans, None if reaches is None else _at(reaches))


def lost(count: int, spans: Iterable[str], reaches_back_to: str | None) -> Iterator[str]:
    """What a replay couldn't deliver because the log doesn't have it any more. `spans`: such as "4 to 9 of
    a-topic"."""
    if count:
        gone = f"The replay has missed {count} events that the log's retention had removed"
        yield f"{gone}: {', '.join(spans)}."
    if reaches_back_to:
        yield f"The log went back to {reaches_back_to} only when the replay began."


def _span(gap: Missed) -> str:
    return f"{gap.first} to {gap.last} of {gap.topic}"


def _at(ms: int) -> str:
    return rfc3339(from_ms(ms))


def _state(status: ConsumerStatus) -> str:
    error = status.last_error
    why = f"{error.code}: {error.detail}" if error else "no reason was noted"
    following = _at(status.next_try_ms) if status.next_try_ms else None
    match status.state:
        case ConsumerState.PAUSED:
            by = f" by {status.reason}" if status.reason else ""
            return f"It was paused{by}; a resume goes on where it stopped."
        case ConsumerState.DISABLED:
            reason = _REASONS.get(status.reason, status.reason)
            return f"It is disabled: {reason} (last error {why}). Its place is kept; a resume goes on there."
        case ConsumerState.FAILING:
            since = "" if status.failing_since_ms is None else f" since {_at(status.failing_since_ms)}"
            next_try = f" The next try is at {following}." if following else ""
            return f"It has failed {status.failures_in_a_row} times in a row{since} ({why}).{next_try}"
    if following:
        return f"The last attempt failed ({why}); the next try is at {following}."
    return "It is active."
