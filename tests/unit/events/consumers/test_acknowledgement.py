"""What calls come to, as values: sorted, reported, and joined into one acknowledgement."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from app.events.consumers.acknowledgement import GOING_ON, Ack, CallReport, Place, Stop, joined, report
from app.events.consumers.decision import NO_RETRIES, Retries
from app.events.consumers.health import ReceiverHealth
from app.events.consumers.journal import entries
from app.events.consumers.model import Item, ReadLimits
from app.events.consumers.outcomes import CallResult, sort
from app.events.sinks.base import HANDED_OVER, NOT_SENT, Delivery, Kind, Outcome, SinkError

NOW = 10_000
OK = Outcome(None, 200, 5, "ok")
DOWN = Outcome(SinkError("unavailable", "503", Kind.RETRY, 7.0), 503, 9)
REFUSED = Outcome(SinkError("refused", "400", Kind.REFUSED), 400, 5)
GONE = Outcome(SinkError("gone", "410", Kind.GONE), 410, 5)
WAITED = Outcome(SinkError(NOT_SENT, "not sent", Kind.RETRY))
SLOW = Outcome(SinkError(HANDED_OVER, "no answer", Kind.RETRY), latency_ms=1000)
WELL = ReceiverHealth(0, None, 5.0, 0, "deliveries")


def item(sequence: int, *, attempt: int = 1, first_failed_ms: int | None = None, place: bool = True) -> Item:
    delivery = Delivery(
        "t", sequence, sequence - 1, "n", f"g{sequence}", "e", "tenant", b"{}", NOW - 60, attempt
    )
    return Item(delivery, f"t|{sequence}|0|" if place else "", first_failed_ms)


def result_of(*pairs: tuple[Item, Outcome]) -> CallResult:
    return sort([one for one, _ in pairs], [outcome for _, outcome in pairs])


def test_a_calls_events_are_sorted_by_what_became_of_them() -> None:
    items = [item(n) for n in range(6)]
    result = sort(items, [OK, DOWN, REFUSED, GONE, WAITED, SLOW])
    assert (result.done, result.unsent, result.handed_over) == ((items[0],), (items[4],), (items[5],))
    assert [one for one, _ in result.parked] == [items[2]]
    assert [one for one, _ in result.failed] == [items[1], items[3]]
    assert (result.gone, result.retry_after_s, result.latency_ms) == (GONE.error, 7.0, 1000)
    assert result.finished == (items[0], items[2])


def test_a_call_that_was_not_made_counts_nothing() -> None:
    made = report(result_of((item(1), WAITED)), NO_RETRIES, (), 0, NOW)
    assert made == CallReport(retry=(("t|1|0|", 0),))


def test_what_was_delivered_is_counted_and_forgotten() -> None:
    tried_before = item(2, attempt=2, first_failed_ms=1)
    made = report(result_of((item(1), OK), (tried_before, OK)), NO_RETRIES, (), 0, NOW)
    expected = {"calls": 1, "latencyMs": 5, "delivered": 2, "bytes": 4, "delayMs": 120, "delay:100": 2}
    assert made == CallReport(counts=expected, done=("t|1|0|", "t|2|0|"), forget=("t|2",), delivered=True)


def test_what_the_cursor_covers_has_no_place_in_open() -> None:
    result = result_of((item(1, place=False), OK), (item(2, place=False), WAITED))
    made = report(result, NO_RETRIES, (), 0, NOW)
    assert (made.done, made.retry) == ((), ())


def test_what_failed_is_noted_and_what_was_given_up_is_parked() -> None:
    failed, given_up = item(1), item(2, attempt=16, first_failed_ms=5)
    result = result_of((failed, DOWN), (given_up, DOWN))
    why = SinkError("unavailable", "Tried 16 times.", Kind.REFUSED)
    retries = Retries((("t|1|0|", 500),), ((given_up, why),), rest_ms=3000)
    made = report(result, retries, (), 1, NOW)
    assert made.counts == {"calls": 1, "latencyMs": 9, "failures": 2, "parked": 1}
    assert (made.attempts, made.retry) == ((("t|1", 1, NOW),), (("t|1|0|", 500),))
    assert (made.done, made.forget) == (("t|2|0|",), ("t|2",))
    [(key, text)] = made.park
    noted = {"code": "unavailable", "detail": "Tried 16 times.", "previous": 1, "name": "n", "guid": "g2"}
    assert (key, json.loads(text)) == ("t|2", noted)
    assert (made.failure, made.failed_calls, made.retry_rest_ms) == (("unavailable", "503"), 1, 3000)


def test_a_call_that_was_handed_over_is_no_try_and_its_events_go_on_at_once() -> None:
    made = report(result_of((item(1), SLOW)), NO_RETRIES, (), 0, NOW)
    assert (made.attempts, made.retry, made.failure) == ((("t|1", 0, NOW),), (("t|1|0|", 0),), None)


def test_reports_are_joined_in_their_order() -> None:
    first = CallReport(counts={"calls": 1, "bytes": 2}, done=("a",), failure=("x", "1"), failed_calls=1)
    second = CallReport(counts={"calls": 1}, done=("b",), delivered=True, retry_rest_ms=5)
    third = CallReport(failure=("y", "2"), failed_calls=1)
    ack = joined([first, second, third], WELL, WELL, given_back=[item(9)])
    assert ack == Ack(
        CallReport(
            counts={"calls": 2, "bytes": 2},
            done=("a", "b"),
            retry=(("t|9|0|", 0),),
            delivered=True,
            failure=("y", "2"),
            failed_calls=1,
            retry_rest_ms=5,
        )
    )


def test_a_report_alone_is_taken_as_it_is() -> None:
    report_of_one = CallReport(counts={"calls": 1})
    assert joined([report_of_one], WELL, WELL).calls is report_of_one
    assert joined([], WELL, WELL) == Ack()


def test_only_what_changed_of_a_receivers_health_is_written() -> None:
    after = replace(WELL, pace_ms=7.0, queue="deliveries-slow")
    read, place, stop = ReadLimits(1, 1, 1), Place({"t": (3, 2)}, ("t|5",)), Stop(4, "gone")
    ack = joined([], WELL, after, place=place, stop=stop, read=read)
    assert ack == Ack(place=place, stop=stop, read=read, pace_ms=7.0, queue="deliveries-slow")


@pytest.mark.parametrize(
    ("one", "other", "both"),
    [
        (GOING_ON, GOING_ON, GOING_ON),
        (Stop(5), GOING_ON, Stop(5)),
        (Stop(5), Stop(3), Stop(5)),
        (Stop(0), GOING_ON, Stop(0)),
        (Stop(5, "gone"), Stop(None, "failing_too_long"), Stop(5, "failing_too_long")),
        (Stop(None, "gone"), Stop(7), Stop(7, "gone")),
    ],
)
def test_of_two_stops_the_longer_rest_and_the_later_reason_count(one: Stop, other: Stop, both: Stop) -> None:
    assert one.merge(other) == both
    assert both.stops == (both != GOING_ON)


def test_a_call_of_many_is_one_entry_for_each_way_it_went() -> None:
    items = [item(n) for n in range(1, 31)]
    outcomes = [OK] * 25 + [DOWN] * 4 + [WAITED]
    delivered, failed = entries(items, outcomes, {"method": "POST"}, 900)
    assert (delivered.outcome, delivered.events, delivered.next_ms) == ("delivered", 25, None)
    assert (failed.outcome, failed.events, failed.next_ms) == ("failed", 4, 900)
    entry = json.loads(delivered.text())
    assert entry["sequences"] == [f"t:{n}" for n in range(1, 21)]
    assert "sequences" not in json.loads(entries(items[:1], [OK], {}, None)[0].text())
