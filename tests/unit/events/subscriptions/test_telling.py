"""A subscription in plain sentences."""

from __future__ import annotations

from typing import Any

import pytest

from app.events.subscriptions.destinations import as_destination
from app.events.subscriptions.presentation import sentences

ERROR = {"code": "timeout", "detail": "No answer in time.", "at": "2026-11-21T19:30:00Z"}
AT = "2026-11-21T19:31:00Z"


def view(**changes: Any) -> dict[str, Any]:
    return {
        "id": "5", "name": None, "topics": [{"topic": "asset-operations"}], "inFlight": 1, "open": 0,
        "sink": {"type": "kinesis", "streamName": "events"}, "state": "active", "reason": None,
        "lag": {"events": 0, "seconds": 0}, "parked": 0, "missed": [], "failingSince": None, "failuresInARow": 0,
        "lastError": None, "nextTryAt": None, "replay": None,
    } | changes  # fmt: skip


FAILING = {"state": "failing", "failuresInARow": 7, "failingSince": AT, "lastError": ERROR, "nextTryAt": AT}


@pytest.mark.parametrize(
    ("changes", "parts"),
    [
        ({}, ("delivers asset-operations to kinesis events", "is active", "Everything")),
        ({"lag": {"events": 3, "seconds": 61.5}}, ("3 events behind", "62 s ago")),
        ({"lastError": ERROR, "nextTryAt": AT}, ("timeout: No answer in time.", AT)),
        (FAILING, ("7 times in a row", "timeout", f"next try is at {AT}")),
        ({"state": "paused", "reason": "ops"}, ("paused by ops", "resume")),
        ({"state": "disabled", "reason": "gone", "lastError": ERROR}, ("410", "place is kept")),
        ({"parked": 2}, ("2 events were refused",)),
        (
            {"missed": [{"topic": "asset-operations", "from": 4, "to": 9, "foundAt": AT}]},
            ("Events 4 to 9 of asset-operations",),
        ),
        ({"replay": {"state": "running", "since": AT, "done": 1, "total": 8}}, ("1 of 8",)),
        (
            {
                "replay": {
                    "state": "done",
                    "missedEvents": 6,
                    "reachesBackTo": AT,
                    "missed": [{"topic": "asset-operations", "from": 4, "to": 9, "foundAt": AT}],
                }
            },
            ("replay has missed 6 events", "4 to 9 of asset-operations", f"back to {AT} only"),
        ),
    ],
)
def test_what_it_says(changes: dict[str, Any], parts: tuple[str, ...]) -> None:
    text = " ".join(sentences(view(**changes)))
    assert all(part in text for part in parts), text


@pytest.mark.parametrize(
    ("changes", "state", "reason"),
    [
        ({}, "closed", None),
        (FAILING, "open", "timeout"),
        ({"lastError": ERROR, "nextTryAt": AT}, "resting", None),
        ({"state": "paused", "reason": "ops"}, "paused", None),
        ({"state": "disabled", "reason": "gone", "lastError": ERROR}, "disabled", "gone"),
    ],
)
def test_what_it_is_among_the_destinations(changes: dict[str, Any], state: str, reason: str | None) -> None:
    shown = as_destination(view(**changes))
    assert (shown["name"], shown["state"], shown["reason"]) == ("sub:5", state, reason)
