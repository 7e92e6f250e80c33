from __future__ import annotations

import heapq
import random

import pytest

from app.events.consumers.decision import (
    MOST_TRIES,
    PROBATION,
    RETURN,
    Action,
    DeliveryDecision,
    decide_consumer,
    decide_event,
    is_short,
    pace,
    probation,
    queue_of,
    retry_rest_s,
    tries_of,
    wait_s,
)
from app.events.sinks.base import Kind, SinkError

DAY = 86400.0
RETRY = SinkError("unavailable", "503", Kind.RETRY)
ASKED = SinkError("throttled", "429", Kind.RETRY, retry_after_s=90)
LONG = SinkError("throttled", "429", Kind.RETRY, retry_after_s=7 * DAY)
REFUSED = SinkError("refused", "400", Kind.REFUSED)
GONE = SinkError("gone", "410", Kind.GONE)


@pytest.mark.parametrize(
    ("error", "failures", "failing_s", "expected"),
    [
        (RETRY, 1, 0, DeliveryDecision(Action.RETRY, 0.5)),
        (RETRY, 4, 60, DeliveryDecision(Action.RETRY, 4.0)),
        (RETRY, 30, DAY, DeliveryDecision(Action.RETRY, 150.0)),
        (ASKED, 1, 0, DeliveryDecision(Action.RETRY, 90.0)),
        (ASKED, 30, DAY, DeliveryDecision(Action.RETRY, 150.0)),
        (LONG, 1, 0, DeliveryDecision(Action.RETRY, 3600.0)),
        (REFUSED, 1, 0, DeliveryDecision(Action.PARK, code="refused")),
        (REFUSED, 99, 99 * DAY, DeliveryDecision(Action.PARK, code="refused")),
        (GONE, 1, 0, DeliveryDecision(Action.DISABLE, code="gone")),
        (RETRY, 10, 3 * DAY, DeliveryDecision(Action.DISABLE, code="failing_too_long")),
        (RETRY, 10, 3 * DAY - 1, DeliveryDecision(Action.RETRY, 150.0)),
        (RETRY, 9, 3 * DAY, DeliveryDecision(Action.RETRY, 128.0)),  # time alone doesn't
        (ASKED, 99, 4 * DAY, DeliveryDecision(Action.DISABLE, code="failing_too_long")),
    ],
)
def test_what_follows_from_an_answer(
    error: SinkError, failures: int, failing_s: float, expected: DeliveryDecision
) -> None:
    assert decide_consumer(error, failures, failing_s, 3 * DAY, lambda: 0.5) == expected


@pytest.mark.parametrize(
    ("error", "tries", "well", "waiting", "expected"),
    [
        (RETRY, 1, True, 0, DeliveryDecision(Action.RETRY, 0.5)),
        (RETRY, 12, True, 0, DeliveryDecision(Action.RETRY, 1024.0)),  # others go through: this one can wait
        (RETRY, 15, True, 999, DeliveryDecision(Action.RETRY, 1800.0)),
        (RETRY, 16, True, 0, DeliveryDecision(Action.PARK, code="unavailable")),
        (
            RETRY,
            12,
            False,
            0,
            DeliveryDecision(Action.RETRY, 150.0),
        ),  # nothing goes through: it isn't this one
        (RETRY, 99, False, 5000, DeliveryDecision(Action.RETRY, 150.0)),
        (RETRY, 3, True, 1000, DeliveryDecision(Action.RETRY, 2.0)),
        (RETRY, 4, True, 1000, DeliveryDecision(Action.PARK, code="unavailable")),
        (RETRY, 1, True, 2000, DeliveryDecision(Action.PARK, code="unavailable")),
        (ASKED, 1, True, 0, DeliveryDecision(Action.RETRY, 90.0)),
        (GONE, 1, False, 0, DeliveryDecision(Action.DISABLE, code="gone")),
    ],
)
def test_what_follows_for_one_event_where_order_doesnt_matter(
    error: SinkError, tries: int, well: bool, waiting: int, expected: DeliveryDecision
) -> None:
    found = decide_event(error, tries, DAY, 3 * DAY, lambda: 0.5, well=well, waiting=waiting)
    assert found == expected


@pytest.mark.parametrize("well", [True, False])
def test_an_event_that_failed_for_as_long_as_would_disable_its_subscription_is_parked(well: bool) -> None:
    found = decide_event(RETRY, 10, 3 * DAY, 3 * DAY, lambda: 0.5, well=well, waiting=0)
    assert found == DeliveryDecision(Action.PARK, code="unavailable")


def test_an_events_tries_are_spread_over_hours_unless_many_wait_like_it() -> None:
    waits = [wait_s(tries, None, lambda: 0.5, 3600.0) for tries in range(1, tries_of(0))]
    assert len(waits) == MOST_TRIES - 1
    assert 1.5 * 3600 <= sum(waits) <= 4 * 3600
    assert [tries_of(waiting) for waiting in (0, 999, 1000, 1999, 2000, 10**6)] == [16, 16, 4, 4, 1, 1]


@pytest.mark.parametrize(("failing_s", "rest_s"), [(0, 1), (15, 11.25), (100, 75), (10**6, 300)])
def test_retries_rest_the_longer_the_longer_nothing_goes_through(failing_s: float, rest_s: float) -> None:
    assert retry_rest_s(failing_s, lambda: 0.5) == rest_s


@pytest.mark.parametrize(("failures", "rest_s"), [(1, 15), (2, 30), (5, 75), (10, 150), (99, 300)])
def test_who_hangs_rests_longer_than_it_held_a_slot(failures: int, rest_s: float) -> None:
    assert decide_consumer(RETRY, failures, 60, 3 * DAY, lambda: 0.5, held_s=15).wait_s == rest_s


@pytest.mark.parametrize(
    ("before", "stopped", "handed_over", "quick", "after"),
    [
        (0, False, False, True, 0),
        (0, False, True, False, RETURN),
        (RETURN, False, True, False, RETURN),
        (3, False, True, False, RETURN),
        (RETURN + 1, False, True, False, PROBATION),  # a relapse of one that had failed
        (0, True, False, False, PROBATION),
        (RETURN, True, True, False, PROBATION),
        (PROBATION, False, False, True, PROBATION - 1),
        (PROBATION, False, False, False, PROBATION),  # delivered, and slowly
        (1, False, False, True, 0),
    ],
)
def test_trust_is_lost_at_once_and_comes_back_call_by_call(
    before: int, stopped: bool, handed_over: bool, quick: bool, after: int
) -> None:
    assert probation(before, stopped=stopped, handed_over=handed_over, quick=quick) == after


@pytest.mark.parametrize(
    ("queue", "on_probation", "pace_ms", "tried", "short"),
    [
        ("deliveries", False, 5, False, True),
        ("deliveries", False, 5, True, True),
        ("deliveries", True, 900, False, True),
        ("deliveries-slow", True, 5, False, True),
        ("deliveries-slow", True, 5, True, False),  # no answer in the short time once: now the whole
        ("deliveries-slow", True, 500, False, False),
        ("deliveries-slow", False, 5, False, False),  # a backlog, a replay
    ],
)
def test_who_has_the_short_time_only(
    queue: str, on_probation: bool, pace_ms: float, tried: bool, short: bool
) -> None:
    assert is_short(queue, on_probation=on_probation, pace_ms=pace_ms, tried=tried) == short


def test_hanging_receivers_leave_most_slots_of_the_slow_to_others_before_long() -> None:
    """300 that hang for 15 s at every call, on 100 slots, in the order of their wake-ups."""
    chance = random.Random(1).random
    free, busy = [0.0] * 100, 0.0
    wakes = [(0.0, 0, number) for number in range(300)]
    heapq.heapify(wakes)
    while wakes[0][0] < 900:
        due, failures, number = heapq.heappop(wakes)
        began = max(due, heapq.heappop(free))
        heapq.heappush(free, began + 15)
        busy += max(0.0, min(900, began + 15) - max(600, began))
        rest = decide_consumer(RETRY, failures + 1, began, 3 * DAY, chance, held_s=15).wait_s
        heapq.heappush(wakes, (began + 15 + rest, failures + 1, number))
    assert busy / (300 * 100) < 0.5, "share of the slots held, after ten minutes"


@pytest.mark.parametrize("failures", [0, 1, 2, 9, 17, 1000, 10**9])
@pytest.mark.parametrize("chance", [0.0, 0.3, 0.999999])
def test_a_wait_is_never_nothing_and_never_more_than_five_minutes(failures: int, chance: float) -> None:
    assert 0.1 <= wait_s(failures, None, lambda: chance) <= 300


@pytest.mark.parametrize(
    ("now", "on_probation", "pace_ms", "backlog", "queue"),
    [
        ("deliveries", False, 5, False, "deliveries"),
        ("deliveries", True, 5, False, "deliveries-slow"),
        ("deliveries", False, 1000, False, "deliveries-slow"),
        ("deliveries", False, 5, True, "deliveries-slow"),
        ("deliveries-slow", False, 5, False, "deliveries"),
        ("deliveries-slow", False, 700, False, "deliveries-slow"),  # not to and fro
        ("deliveries", False, 700, False, "deliveries"),
        ("deliveries-slow", True, 5, False, "deliveries-slow"),
    ],
)
def test_who_keeps_up_shares_workers_only_with_those_that_do(
    now: str, on_probation: bool, pace_ms: float, backlog: bool, queue: str
) -> None:
    assert queue_of(now, on_probation=on_probation, pace_ms=pace_ms, backlog=backlog) == queue


def test_one_slow_call_doesnt_make_a_consumer_slow_and_some_do() -> None:
    smoothed = pace(0, 20)
    assert smoothed == 20
    smoothed = pace(smoothed, 2000)
    assert smoothed < 1000
    for _ in range(3):
        smoothed = pace(smoothed, 2000)
    assert smoothed > 1000
