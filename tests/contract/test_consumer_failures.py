"""What a consumer does when its destination fails, refuses, is gone, or dies in the middle: it keeps its place."""

from __future__ import annotations

import pytest

from app.events.consumers.acknowledgement import Ack, CallReport
from app.events.consumers.model import ConsumerState, ReadLimits
from app.events.sinks.base import Delivery, Kind, Limits, Outcome, SinkError
from tests.support.consumers import DOWN, GONE, OK, REFUSED, TOPIC, ConsumerBench, FakeSink

MANY = Limits(events=10, bytes=1 << 20, event_bytes=1 << 20, one_per_key=True)
ANY_ORDER = Limits(events=10, bytes=1 << 20, event_bytes=1 << 20, one_per_key=False)


def names(consumers: ConsumerBench) -> list[str]:
    return [event["eventName"] for event in consumers.told()]


def keep_failing(consumers: ConsumerBench, *, times: int, seconds: float = 301) -> None:
    for _ in range(times):
        consumers.work()
        consumers.tick(seconds)


def test_an_ordered_consumer_stops_at_what_fails_and_goes_on_from_there(consumers: ConsumerBench) -> None:
    sink = consumers.consumer()
    sink.say = lambda one: DOWN if one.sequence == 2 else OK
    consumers.publish(3)
    assert consumers.work() == ["resting"]
    assert (sink.sequences, consumers.field("queue")) == ([1], "deliveries-slow")
    consumers.stands_in_one_place()
    consumers.publish()
    assert consumers.work() == []  # it rests, whatever comes
    sink.say = lambda _: OK
    consumers.tick(0.4)
    assert consumers.work() == []
    consumers.tick(0.2)  # half of the first second: the tests' jitter
    assert consumers.work() == ["listening"]
    assert sink.sequences == [1, 2, 3, 4]
    assert consumers.status().next_try_ms is None
    assert [one.attempt for one in sink.taken] == [1, 2, 1, 1]
    assert (consumers.field("queue"), consumers.status().failures_in_a_row) == ("deliveries-slow", 0)
    assert names(consumers) == []
    assert [word for word, _ in consumers.journal()] == ["delivered", "failed", *["delivered"] * 3]
    consumers.publish(16)  # nineteen have gone through since
    consumers.work()
    assert consumers.field("queue") == "deliveries-slow"
    consumers.publish()
    consumers.work()
    assert consumers.field("queue") == "deliveries"


def test_the_waits_grow_and_a_retry_after_is_kept(consumers: ConsumerBench) -> None:
    sink = consumers.consumer()
    sink.say = lambda _: DOWN
    consumers.publish()
    waits = []
    for _ in range(11):
        consumers.work()
        waits.append((consumers.status().next_try_ms or 0) - consumers.now_ms)
        consumers.tick(waits[-1] / 1000)
    assert waits == [500, 1000, 2000, 4000, 8000, 16000, 32000, 64000, 128000, 150000, 150000]
    sink.say = lambda _: Outcome(SinkError("throttled", "429", Kind.RETRY, retry_after_s=1800), 429)
    consumers.work()
    assert (consumers.status().next_try_ms or 0) - consumers.now_ms == 1_800_000


def test_failing_and_recovery_are_told_once(consumers: ConsumerBench) -> None:
    sink = consumers.consumer()
    sink.say = lambda _: DOWN
    consumers.publish()
    keep_failing(consumers, times=4, seconds=10)
    assert (consumers.status().state, names(consumers)) == (ConsumerState.ACTIVE, [])
    keep_failing(consumers, times=4, seconds=40)
    assert (consumers.status().state, names(consumers)) == (ConsumerState.FAILING, ["subscription-failing"])
    assert consumers.told()[0]["subscriptionId"] == "s1"
    assert consumers.status().last_error is not None
    sink.say = lambda _: OK
    keep_failing(consumers, times=2)
    assert names(consumers) == ["subscription-failing", "subscription-recovered"]
    assert consumers.status().state is ConsumerState.ACTIVE


@pytest.mark.parametrize(("seconds", "told"), [(59.999, []), (60, ["subscription-failing"])])
def test_a_minute_of_failing_is_told_however_few_the_calls(
    consumers: ConsumerBench, seconds: float, told: list[str]
) -> None:
    sink = consumers.consumer()
    sink.say = lambda _: DOWN
    consumers.publish()
    consumers.work()
    consumers.tick(seconds)
    consumers.work()
    assert names(consumers) == told


def test_who_fails_too_long_is_disabled_and_keeps_its_place(consumers: ConsumerBench) -> None:
    consumers.rebuild(disable_after_s=3600)
    sink = consumers.consumer()
    sink.say = lambda _: DOWN
    consumers.publish(2)
    keep_failing(consumers, times=20)
    status = consumers.status()
    assert (status.state, status.reason) == (ConsumerState.DISABLED, "failing_too_long")
    assert names(consumers) == ["subscription-failing", "subscription-disabled"]
    consumers.publish()
    assert (consumers.work(), status.cursor, consumers.status().lag_events) == ([], {TOPIC: 0}, 3)
    consumers.stands_in_one_place()
    sink.say = lambda _: OK
    assert consumers.store.resume("s1")
    assert consumers.work() == ["listening"]
    assert sink.sequences == [1, 2, 3]


def test_time_alone_disables_nobody(consumers: ConsumerBench) -> None:
    sink = consumers.consumer()
    sink.say = lambda _: DOWN
    consumers.publish()
    consumers.work()
    consumers.tick(365 * 86400)  # the clock was wrong, or no worker ran
    consumers.work()
    assert consumers.status().state is not ConsumerState.DISABLED


def test_a_destination_that_is_gone_disables_at_once(consumers: ConsumerBench) -> None:
    sink = consumers.consumer()
    sink.say = lambda _: GONE
    consumers.publish(2)
    assert consumers.work() == ["stopped"]
    assert (consumers.status().reason, names(consumers)) == ("gone", ["subscription-disabled"])
    assert [word for word, _ in consumers.journal()] == ["disabled"]
    consumers.stands_in_one_place()


def test_what_is_refused_for_good_is_parked_and_the_rest_go_on(consumers: ConsumerBench) -> None:
    sink = consumers.consumer()
    sink.say = lambda one: REFUSED if one.sequence == 2 else OK
    consumers.publish(3)
    assert consumers.work() == ["listening"]
    assert [(one.sequence, one.previous) for one in sink.taken] == [(1, 0), (3, 2)]
    [parked], following = consumers.store.parked("s1", 10)
    assert (parked.sequence, parked.error.code, parked.guid, following) == (2, "refused", "g2", None)
    assert parked.event is not None
    assert (consumers.status().parked, consumers.status().failures_in_a_row) == (1, 0)

    # Sent again, and refused again; then it is taken.
    assert consumers.store.retry_parked("s1") == 1
    assert consumers.work() == ["listening"]
    assert consumers.status().parked == 1
    sink.say = lambda _: OK
    assert consumers.store.retry_parked("s1", parked.id) == 1
    assert consumers.work() == ["listening"]
    again = sink.taken[-1]
    assert (again.sequence, again.previous, again.redelivery) == (2, 1, "parked")
    assert (consumers.status().parked, consumers.status().open) == (0, 0)
    assert consumers.store.retry_parked("s1", parked.id) == 0


def test_parked_events_can_be_given_up(consumers: ConsumerBench) -> None:
    sink = consumers.consumer()
    sink.say = lambda _: REFUSED
    consumers.publish(5)
    consumers.work()
    found, following = consumers.store.parked("s1", 2)
    assert ([one.sequence for one in found], following) == ([1, 2], 2)
    assert consumers.store.discard_parked("s1", found[0].id) == 1
    assert consumers.store.discard_parked("s1") == 4
    assert (consumers.work(), consumers.status().parked) == ([], 0)


def test_a_destination_that_refuses_everything_is_disabled_before_it_fills_the_store(
    consumers: ConsumerBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    sink = consumers.consumer()
    parked = consumers.keys.consumer_part("s1", "parked")
    consumers.client.zadd(parked, {f"{TOPIC}|{number}": 1 for number in range(100_000, 110_000)})
    sink.say = lambda _: REFUSED
    consumers.publish(3)
    assert consumers.work() == ["stopped"]
    assert consumers.status().reason == "parked_full"


def test_of_a_batch_only_what_failed_is_sent_again_and_nothing_overtakes_its_entity(
    consumers: ConsumerBench,
) -> None:
    sink = consumers.consumer(sink=FakeSink(MANY))
    sink.say = lambda one: DOWN if one.sequence == 2 else OK
    consumers.publish(6, about=[1, 2, 3])  # 1, 2, 3, 1, 2, 3
    assert consumers.work() == ["resting"]
    assert sink.sequences == [1, 3]  # one of an entity in a call
    assert consumers.status().cursor == {TOPIC: 1}
    sink.say = lambda _: OK
    consumers.tick(1)
    assert consumers.work() == ["listening"]
    assert sorted(sink.sequences) == [1, 2, 3, 4, 5, 6]
    assert sink.sequences.index(2) < sink.sequences.index(5)
    assert [one.previous for one in sorted(sink.taken, key=lambda one: one.sequence)] == [0, 1, 2, 3, 4, 5]
    assert consumers.client.exists(consumers.keys.consumer_part("s1", "ahead")) == 0
    assert consumers.client.exists(consumers.keys.consumer_part("s1", "attempts")) == 0


def test_what_was_delivered_and_not_written_down_comes_twice(consumers: ConsumerBench) -> None:
    sink = consumers.consumer(sink=FakeSink(MANY))
    consumers.publish(3, about=[1, 2, 3])
    consumers.messages()
    dead = consumers.claims.claim("s1", 0, ReadLimits(10, 1 << 20, 10))
    assert dead is not None
    sink.send([item.delivery for item in dead.items], 0)
    consumers.tick(10)
    assert consumers.work() == ["listening"]
    assert sink.sequences == [1, 2, 3, 1, 2, 3]


def test_without_order_a_retry_holds_back_no_other(consumers: ConsumerBench) -> None:
    sink = consumers.consumer(ordered=False, in_flight=4)
    sink.say = lambda one: DOWN if one.sequence == 2 and one.attempt < 3 else OK
    consumers.publish(5)
    assert consumers.work() == ["listening"]
    assert sorted(sink.sequences) == [1, 3, 4, 5]
    status = consumers.status()
    assert (status.open, status.cursor, status.lag_events) == (1, {TOPIC: 5}, 1)
    consumers.publish(2)
    consumers.work()
    assert sorted(sink.sequences) == [1, 3, 4, 5, 6, 7]
    for _ in range(3):
        consumers.tick(2)
        consumers.work()
    assert sorted(sink.sequences) == [1, 2, 3, 4, 5, 6, 7]
    late = next(one for one in sink.taken if one.sequence == 2)
    assert (late.previous, late.attempt, consumers.status().open) == (1, 3, 0)
    consumers.stands_in_one_place()


def test_without_order_a_dead_workers_events_are_sent_again(consumers: ConsumerBench) -> None:
    sink = consumers.consumer(ordered=False, in_flight=3)
    consumers.publish(5)
    consumers.messages()
    dead = consumers.claims.claim("s1", 0, ReadLimits(4, 1 << 20, 4))
    assert dead is not None
    assert len(dead.items) == 4
    done = [item.member for item in dead.items[:2]]
    assert consumers.claims.ack(
        dead, 1, Ack(CallReport(done=done), read=ReadLimits(0, 0, 0, keep=True))
    ).going_on
    consumers.tick(10)
    assert consumers.work() == ["listening"]
    assert sorted(sink.sequences) == [3, 4, 5]
    assert consumers.status().open == 0


def test_without_order_a_dead_destination_is_asked_with_one_event_at_a_time(consumers: ConsumerBench) -> None:
    sink = consumers.consumer(ordered=False, in_flight=4)
    sink.say = lambda _: DOWN
    consumers.publish(1000)
    for _ in range(20):
        consumers.work()
        consumers.tick(301)
    assert consumers.status().open <= 120  # of a thousand: nothing piles up
    before = len(sink.calls)
    consumers.work()
    assert len(sink.calls) - before <= 2
    sink.say = lambda _: OK
    for _ in range(5):
        consumers.tick(301)
        consumers.work()
    assert sorted(sink.sequences) == [*range(1, 1001)]
    consumers.stands_in_one_place()


def test_what_fails_in_one_turn_is_one_failure(consumers: ConsumerBench) -> None:
    sink = consumers.consumer(ordered=False, in_flight=8)
    sink.say = lambda _: DOWN
    consumers.publish(8)
    consumers.work()
    status = consumers.status()
    assert (len(sink.calls), status.failures_in_a_row, status.open) == (8, 1, 8)
    assert (status.state, names(consumers)) == (ConsumerState.ACTIVE, [])
    assert (status.next_try_ms or 0) - consumers.now_ms == 500
    sink.say = lambda _: OK
    consumers.tick(1)
    consumers.work()
    assert sorted(sink.sequences) == [*range(1, 9)]


def test_without_order_one_event_that_never_goes_through_is_parked_at_last(consumers: ConsumerBench) -> None:
    consumers.rebuild(disable_after_s=3600)
    sink = consumers.consumer(ordered=False, in_flight=2)

    def say(one: Delivery) -> Outcome:
        return DOWN if one.sequence == 1 else OK

    sink.say = say
    consumers.publish()
    for _ in range(40):
        consumers.publish()
        consumers.work()
        consumers.tick(301)
    status = consumers.status()
    assert (status.state, status.open, status.parked) == (ConsumerState.ACTIVE, 0, 1)


def test_batches_without_order_are_acknowledged_event_by_event(consumers: ConsumerBench) -> None:
    sink = consumers.consumer(sink=FakeSink(ANY_ORDER), ordered=False)
    answers = {2: DOWN, 3: REFUSED}
    sink.say = lambda one: answers.get(one.sequence, OK)
    consumers.publish(5)
    consumers.work()
    assert (len(sink.calls[0]), sink.sequences) == (5, [1, 4, 5])
    status = consumers.status()
    assert (status.open, status.parked, status.counters["delivered"]) == (1, 1, 3)
    words = [(word, entry["events"]) for word, entry in consumers.journal()]
    assert words == [("delivered", 3), ("failed", 1), ("parked", 1)]
