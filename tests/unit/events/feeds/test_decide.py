from __future__ import annotations

import pytest

from app.events.feeds.decide import Action, Decision, decide, pace, queue_of, wait_s
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
        (None, 0, 0, Decision(Action.DELIVERED)),
        (None, 50, 99 * DAY, Decision(Action.DELIVERED)),
        (RETRY, 1, 0, Decision(Action.RETRY, 0.5)),
        (RETRY, 4, 60, Decision(Action.RETRY, 4.0)),
        (RETRY, 30, DAY, Decision(Action.RETRY, 150.0)),
        (ASKED, 1, 0, Decision(Action.RETRY, 90.0)),
        (ASKED, 30, DAY, Decision(Action.RETRY, 150.0)),
        (LONG, 1, 0, Decision(Action.RETRY, 3600.0)),
        (REFUSED, 1, 0, Decision(Action.PARK, code="refused")),
        (REFUSED, 99, 99 * DAY, Decision(Action.PARK, code="refused")),
        (GONE, 1, 0, Decision(Action.DISABLE, code="gone")),
        (RETRY, 10, 3 * DAY, Decision(Action.DISABLE, code="failing_too_long")),
        (RETRY, 10, 3 * DAY - 1, Decision(Action.RETRY, 150.0)),
        (RETRY, 9, 3 * DAY, Decision(Action.RETRY, 128.0)),  # time alone doesn't
        (ASKED, 99, 4 * DAY, Decision(Action.DISABLE, code="failing_too_long")),
    ],
)
def test_what_follows_from_an_answer(
    error: SinkError | None, failures: int, failing_s: float, expected: Decision
) -> None:
    assert decide(error, failures, failing_s, 3 * DAY, lambda: 0.5) == expected


@pytest.mark.parametrize("failures", [0, 1, 2, 9, 17, 1000, 10**9])
@pytest.mark.parametrize("chance", [0.0, 0.3, 0.999999])
def test_a_wait_is_never_nothing_and_never_more_than_five_minutes(failures: int, chance: float) -> None:
    assert 0.1 <= wait_s(failures, None, lambda: chance) <= 300


@pytest.mark.parametrize(
    ("now", "failing", "pace_ms", "backlog", "queue"),
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
    now: str, failing: bool, pace_ms: float, backlog: bool, queue: str
) -> None:
    assert queue_of(now, failing=failing, pace_ms=pace_ms, backlog=backlog) == queue


def test_one_slow_call_doesnt_make_a_feed_slow_and_some_do() -> None:
    smoothed = pace(0, 20)
    assert smoothed == 20
    smoothed = pace(smoothed, 2000)
    assert smoothed < 1000
    for _ in range(3):
        smoothed = pace(smoothed, 2000)
    assert smoothed > 1000
