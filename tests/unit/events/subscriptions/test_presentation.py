"""A subscription in plain sentences, and among the destinations."""

from __future__ import annotations

from typing import Any

import pytest

from app.events.consumers.model import ConsumerState, ConsumerStatus, Failure, Missed, ReplayProgress
from app.events.subscriptions.destinations import as_destination
from app.events.subscriptions.model import Subscription, SubscriptionView, TopicFilter
from app.events.subscriptions.presentation import lost, sentences
from app.platform.clock import parse_time, to_ms

AT, AT_MS = "2026-11-21T19:31:00Z", to_ms(parse_time("2026-11-21T19:31:00Z"))
ERROR = Failure("timeout", "No answer in time.", AT_MS)
GAP = Missed("asset-operations", 4, 9, AT_MS)
FAILING = {
    "state": ConsumerState.FAILING, "failures_in_a_row": 7, "failing_since_ms": AT_MS, "last_error": ERROR,
    "next_try_ms": AT_MS,
}  # fmt: skip


def view(**changes: Any) -> SubscriptionView:
    config = Subscription(
        id="5", name=None, topics=(TopicFilter("asset-operations"),), ordered=True, in_flight=1, start="now",
        sink={"type": "kinesis", "streamName": "events"}, revision=1, created_ms=0, updated_ms=0,
    )  # fmt: skip
    values: dict[str, Any] = {
        "id": "5", "state": ConsumerState.ACTIVE, "reason": "", "lag_events": 0, "lag_seconds": 0.0, "open": 0,
        "parked": 0, "counters": {}, "delays": {}, "cursor": {}, "missed": (), "failing_since_ms": None,
        "failures_in_a_row": 0, "last_error": None, "next_try_ms": None, "last_delivered_ms": None, "replay": None,
    }  # fmt: skip
    return SubscriptionView(config, ConsumerStatus(**values | changes))


def replay(state: ConsumerState, **more: Any) -> ReplayProgress:
    return ReplayProgress("r", state, 1, 8, AT_MS, AT_MS, None, None, **more)


@pytest.mark.parametrize(
    ("changes", "parts"),
    [
        ({}, ("delivers asset-operations to kinesis events", "is active", "Everything")),
        ({"lag_events": 3, "lag_seconds": 61.5}, ("3 events behind", "62 s ago")),
        ({"last_error": ERROR, "next_try_ms": AT_MS}, ("timeout: No answer in time.", AT)),
        (FAILING, ("7 times in a row", "timeout", f"next try is at {AT}")),
        ({"state": ConsumerState.PAUSED, "reason": "ops"}, ("paused by ops", "resume")),
        (
            {"state": ConsumerState.DISABLED, "reason": "gone", "last_error": ERROR},
            ("410", "place is kept"),
        ),
        ({"parked": 2}, ("2 events were refused",)),
        ({"missed": (GAP,)}, ("Events 4 to 9 of asset-operations",)),
        ({"replay": replay(ConsumerState.PAUSED)}, ("1 of 8", AT)),
        (
            {"replay": replay(ConsumerState.DONE, missed=(GAP,), missed_events=6, reaches_back_to_ms=AT_MS)},
            ("replay has missed 6 events", "4 to 9 of asset-operations", f"back to {AT} only"),
        ),
    ],
)
def test_what_it_says(changes: dict[str, Any], parts: tuple[str, ...]) -> None:
    text = " ".join(sentences(view(**changes)))
    assert all(part in text for part in parts), text


def test_a_replay_that_has_lost_nothing_says_nothing_of_it() -> None:
    assert list(lost(0, (), None)) == []
    text = " ".join(sentences(view(replay=replay(ConsumerState.DONE))))
    assert "replay" not in text


@pytest.mark.parametrize(
    ("changes", "state", "reason"),
    [
        ({}, "closed", None),
        (FAILING, "open", "timeout"),
        ({"last_error": ERROR, "next_try_ms": AT_MS}, "resting", None),
        ({"state": ConsumerState.PAUSED, "reason": "ops"}, "paused", None),
        ({"state": ConsumerState.DISABLED, "reason": "gone", "last_error": ERROR}, "disabled", "gone"),
    ],
)
def test_what_it_is_among_the_destinations(changes: dict[str, Any], state: str, reason: str | None) -> None:
    shown = as_destination(view(**changes))
    assert (shown["name"], shown["state"], shown["reason"]) == ("sub:5", state, reason)
    assert shown["pausedBy"] == ("ops" if state == "paused" else None)
