"""How a receiver is seen from call to call."""

from __future__ import annotations

from dataclasses import replace

import pytest

from app.events.consumers.decision import PROBATION, RETURN
from app.events.consumers.health import FAILING, ReceiverHealth, after_call, after_stop, queued
from app.events.consumers.model import Item
from app.events.consumers.outcomes import CallResult
from app.events.sinks.base import Delivery, Kind, SinkError

NOW = 50_000
ONE = Item(Delivery("t", 1, 0, "n", "g", "e", "tenant", b"{}", 0))
DOWN = (ONE, SinkError("unavailable", "503", Kind.RETRY))
WELL = ReceiverHealth(0, None, 100.0, 0, "deliveries")
FAILED = ReceiverHealth(3, 20_000, 900.0, PROBATION, "deliveries-slow")
NOTHING = CallResult((), (), (), (), (), tried=False, latency_ms=0)
DELIVERED = replace(NOTHING, done=(ONE,), tried=True, latency_ms=100)
FAILURE = replace(NOTHING, failed=(DOWN,), tried=True, latency_ms=100)
BOTH = replace(DELIVERED, failed=(DOWN,))


@pytest.mark.parametrize(
    ("before", "result", "first_try", "failures", "since"),
    [
        (WELL, DELIVERED, True, 0, None),
        (WELL, FAILURE, True, 1, NOW),
        (WELL, FAILURE, False, 0, None),  # of an event that failed before: it says nothing of the receiver
        (FAILED, FAILURE, True, 4, 20_000),
        (replace(FAILED, counted=True), FAILURE, True, 3, 20_000),  # a turn's failures in a row count as one
        (FAILED, DELIVERED, True, 0, None),
        (replace(FAILED, counted=True), BOTH, True, 1, NOW),  # a success between them begins anew
        (FAILED, NOTHING, True, 3, 20_000),
    ],
)
def test_failures_in_a_row(
    before: ReceiverHealth, result: CallResult, first_try: bool, failures: int, since: int | None
) -> None:
    after = after_call(before, result, NOW, first_try=first_try)
    assert (after.failures, after.failing_since_ms) == (failures, since)
    assert after.counted == (failures > 0 and ((first_try and bool(result.failed)) or before.counted))


@pytest.mark.parametrize(
    ("before", "result", "pace_ms"),
    [
        (WELL, DELIVERED, 100),
        (WELL, replace(DELIVERED, latency_ms=200), 130),
        (FAILED, DELIVERED, 100),  # how long calls took while it failed says nothing about now
        (FAILED, FAILURE, 660),
        (FAILED, NOTHING, 900),
    ],
)
def test_the_pace_is_that_of_calls_that_were_made(
    before: ReceiverHealth, result: CallResult, pace_ms: float
) -> None:
    assert after_call(before, result, NOW, first_try=True).pace_ms == pytest.approx(pace_ms)


@pytest.mark.parametrize(
    ("result", "left"),
    [
        (DELIVERED, PROBATION - 1),
        (replace(DELIVERED, latency_ms=500), PROBATION),
        (BOTH, PROBATION),
        (FAILURE, PROBATION),
        (replace(NOTHING, handed_over=(ONE,), tried=True, latency_ms=1000), PROBATION),
    ],
)
def test_only_a_quick_call_without_a_failure_counts_for_trust(result: CallResult, left: int) -> None:
    assert after_call(FAILED, result, NOW, first_try=True).probation == left


def test_a_stop_begins_probation_and_probation_means_the_slow_queue() -> None:
    stopped = after_stop(WELL)
    assert stopped == replace(WELL, probation=PROBATION)
    assert queued(stopped, backlog=False).queue == "deliveries-slow"
    assert queued(WELL, backlog=True).queue == "deliveries-slow"
    assert queued(WELL, backlog=False) == WELL


@pytest.mark.parametrize(
    ("health", "alone"),
    [
        (WELL, False),
        (replace(WELL, failures=FAILING - 1), False),
        (replace(WELL, failures=FAILING), True),
        (replace(WELL, probation=RETURN), False),
        (replace(WELL, probation=RETURN + 1), True),
    ],
)
def test_one_call_at_a_time_shows_whether_a_receiver_is_well(health: ReceiverHealth, alone: bool) -> None:
    assert health.alone == alone


def test_how_long_nothing_went_through_is_in_seconds_of_the_servers_clock() -> None:
    assert (FAILED.failing_s(NOW), WELL.failing_s(NOW)) == (30.0, 0.0)
