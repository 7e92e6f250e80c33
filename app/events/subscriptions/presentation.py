"""How a subscription is doing, in plain sentences. Pure: from what the API shows of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

View = Mapping[str, Any]

_REASONS: Final = {
    "gone": "its destination answered 410: it doesn't want any more",
    "failing_too_long": "it has failed for longer than MEDIAOPS_WEBHOOK_DISABLE_AFTER_H",
    "parked_full": "its destination has refused so many events that no more can be parked",
}


def sentences(view: View) -> Iterator[str]:
    """What it is, how it stands, and what a person may do about it."""
    sink = view["sink"]
    target = sink.get("url") or sink.get("topicArn") or sink.get("streamName")
    topics = ", ".join(one["topic"] for one in view["topics"])
    name = f" ({view['name']})" if view["name"] else ""
    yield f"Subscription {view['id']}{name} delivers {topics} to {sink['type']} {target}."
    yield _state(view)
    lag = view["lag"]
    if lag["events"]:
        yield f"It is {lag['events']} events behind; the oldest was published {lag['seconds']:.0f} s ago."
    elif view["state"] == "active":
        yield "Everything that it wants was delivered or parked."
    if view["parked"]:
        yield f"{view['parked']} events were refused for good and are parked: retry or discard them."
    for gap in view["missed"]:
        yield (
            f"Events {gap['from']} to {gap['to']} of {gap['topic']} were removed by the log's retention before they were "
            "delivered."
        )
    replay = view["replay"]
    if replay and replay["state"] == "running":
        yield f"A replay since {replay['since']} is under way: {replay['done']} of {replay['total']} events."
    if replay:
        yield from lost_of(replay)


def lost_of(replay: View) -> Iterator[str]:
    """What a replay couldn't deliver because the log doesn't have it any more."""
    if replay.get("missedEvents"):
        spans = ", ".join(f"{gap['from']} to {gap['to']} of {gap['topic']}" for gap in replay["missed"])
        yield f"The replay has missed {replay['missedEvents']} events that the log's retention had removed: {spans}."
    if replay.get("reachesBackTo"):
        yield f"The log went back to {replay['reachesBackTo']} only when the replay began."


def _state(view: View) -> str:
    error = view["lastError"] or {}
    why = f"{error.get('code')}: {error.get('detail')}" if error else "no reason was noted"
    match view["state"]:
        case "paused":
            by = f" by {view['reason']}" if view["reason"] else ""
            return f"It was paused{by}; a resume goes on where it stopped."
        case "disabled":
            reason = _REASONS.get(view["reason"], view["reason"])
            return f"It is disabled: {reason} (last error {why}). Its place is kept; a resume goes on there."
        case "failing":
            following = f" The next try is at {view['nextTryAt']}." if view["nextTryAt"] else ""
            return f"It has failed {view['failuresInARow']} times in a row since {view['failingSince']} ({why}).{following}"
    if view["nextTryAt"]:
        return f"The last attempt failed ({why}); the next try is at {view['nextTryAt']}."
    return "It is active."
