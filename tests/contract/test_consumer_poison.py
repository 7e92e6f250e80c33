"""An unordered consumer of which some events always fail: they wait, and in the end are parked, and everything else goes through."""

from __future__ import annotations

import pytest

from app.events.consumers.acknowledgement import Ack, CallReport
from app.events.consumers.decision import MOST_TRIES
from app.events.consumers.model import ConsumerState, ReadLimits
from app.events.sinks.base import Kind, Outcome, SinkError
from tests.support.consumers import DOWN, OK, OTHER, TOPIC, ConsumerBench

PLENTY = ReadLimits(50, 1 << 20, 50)


def let_wait(consumers: ConsumerBench, count: int, seconds: float) -> list[int]:
    """So many events as they stand after a first try that failed, due in so many seconds; their sequences."""
    consumers.store.pause("s1")
    numbers = consumers.publish(count)
    _put(consumers, numbers, seconds)
    consumers.client.hset(consumers.keys.consumer_part("s1", "cursor"), TOPIC, numbers[-1])
    consumers.store.resume("s1")
    consumers.work()
    return numbers


def crowd(consumers: ConsumerBench, count: int) -> None:
    """So many that nobody looks at for a day."""
    _put(consumers, [*range(10**6, 10**6 + count)], 86_400)


def _put(consumers: ConsumerBench, numbers: list[int], seconds: float) -> None:
    open_, attempts = (
        consumers.keys.consumer_part("s1", "open"),
        consumers.keys.consumer_part("s1", "attempts"),
    )
    due = consumers.now_ms + int(seconds * 1000)
    consumers.client.zadd(open_, {f"{TOPIC}|{number}|{number - 1}|": due for number in numbers})
    consumers.client.hset(
        attempts, mapping={f"{TOPIC}|{number}": f"1|{consumers.now_ms}" for number in numbers}
    )


def fail_first_tries(consumers: ConsumerBench, times: int) -> None:
    consumers.client.hset(
        consumers.keys.consumer("s1"), mapping={"failures": times, "failingSince": consumers.now_ms - 60_000}
    )


def test_new_events_go_through_however_many_wait_for_a_retry(consumers: ConsumerBench) -> None:
    sink = consumers.consumer(ordered=False, in_flight=4)
    crowd(consumers, 4500)
    consumers.publish(20)
    assert consumers.work() == ["listening"]
    consumers.store.pause("s1")
    consumers.publish(20)
    consumers.store.resume("s1")
    assert consumers.work() == ["listening"]
    assert sorted(sink.sequences) == [*range(1, 41)]
    assert consumers.status().open == 2001  # as many as are looked at
    consumers.stands_in_one_place()


def test_a_consumer_with_many_retries_is_woken_by_what_is_new_and_by_what_is_due_only(
    consumers: ConsumerBench,
) -> None:
    consumers.consumer(ordered=False, in_flight=4)
    consumers.publish()
    consumers.work()
    crowd(consumers, 2500)
    before = int(consumers.field("wakes"))
    for _ in range(30):
        consumers.tick(1)
        consumers.work()
    assert int(consumers.field("wakes")) == before
    consumers.publish()
    consumers.work()
    consumers.tick(1)
    consumers.work()
    assert int(consumers.field("wakes")) == before + 1


@pytest.mark.parametrize(("waiting", "read"), [(1999, 4), (2000, 1), (3999, 1)])
def test_while_first_tries_fail_few_new_events_join_the_many_that_wait(
    consumers: ConsumerBench, waiting: int, read: int
) -> None:
    consumers.consumer(ordered=False, in_flight=4)
    crowd(consumers, waiting)
    fail_first_tries(consumers, 1)
    consumers.publish(20)
    consumers.messages()
    claimed = consumers.claims.claim("s1", 0, PLENTY)
    assert claimed is not None
    assert (len(claimed.items), claimed.waiting) == (read, waiting)


def test_a_full_window_rests_until_something_is_due(consumers: ConsumerBench) -> None:
    sink = consumers.consumer(ordered=False, in_flight=4)
    sink.say = lambda _: DOWN
    [due] = let_wait(consumers, 1, 300)
    crowd(consumers, 3999)
    fail_first_tries(consumers, 1)
    consumers.publish(20)
    assert consumers.work() == ["nothing"]
    consumers.stands_in_one_place()
    before = int(consumers.field("wakes"))
    for _ in range(29):
        consumers.tick(10)
        consumers.publish()
        assert consumers.work() == []
    assert (consumers.status().next_try_ms or 0) == consumers.now_ms + 10_000
    assert int(consumers.field("wakes")) == before
    consumers.tick(10)
    assert consumers.work() == ["resting"]
    assert [one.sequence for call in sink.calls for one in call] == [due]
    sink.say = lambda _: OK
    consumers.tick(400)
    consumers.work()
    assert sorted(sink.sequences) == [*range(1, 51)]  # a retry went through: it is over
    consumers.stands_in_one_place()


def test_what_is_due_takes_half_of_what_is_read_at_most(consumers: ConsumerBench) -> None:
    consumers.consumer(ordered=False, in_flight=4)
    consumers.store.pause("s1")
    let_wait(consumers, 30, 300)
    consumers.store.pause("s1")
    consumers.publish(30, pad=100_000)
    consumers.tick(400)
    consumers.store.resume("s1")
    consumers.messages()
    claimed = consumers.claims.claim("s1", 0, ReadLimits(50, 1 << 20, 10))
    assert claimed is not None
    again = [item for item in claimed.items if item.again]
    assert (len(again), len(claimed.items) - len(again)) == (10, 10)


def test_large_events_that_wait_for_a_retry_leave_room_for_a_large_new_one(consumers: ConsumerBench) -> None:
    sink = consumers.consumer(ordered=False, in_flight=4)
    sink.say = lambda _: DOWN
    consumers.publish(4, pad=900_000)
    consumers.work()
    consumers.store.pause("s1")
    [new] = consumers.publish(pad=900_000)
    consumers.tick(400)
    consumers.store.resume("s1")
    consumers.client.hset(consumers.keys.consumer("s1"), "failures", "0")
    consumers.messages("deliveries-slow")
    claimed = consumers.claims.claim("s1", 0, ReadLimits(50, 500_000, 50))
    assert claimed is not None
    assert [item.delivery.sequence for item in claimed.items if not item.again] == [new]
    assert len(claimed.items) == 2


def test_events_that_always_fail_are_parked_after_hours_and_never_make_the_consumer_fail(
    consumers: ConsumerBench,
) -> None:
    sink = consumers.consumer(ordered=False, in_flight=5)
    sink.say = lambda one: DOWN if one.sequence % 5 == 0 and one.sequence <= 100 else OK
    consumers.publish(100)
    consumers.work()
    consumers.publish()
    consumers.work()
    assert len(sink.taken) == 81
    for _ in range(30):
        consumers.tick(1)
        consumers.work()
    assert (consumers.status().open, consumers.status().failures_in_a_row, consumers.status().parked) == (
        20,
        0,
        0,
    )
    assert consumers.status().last_error is not None
    for _ in range(140):
        consumers.tick(60)
        consumers.work()
    status = consumers.status()
    assert (status.state, status.open, status.parked, consumers.told()) == (ConsumerState.ACTIVE, 0, 20, [])
    tries = [one.sequence for call in sink.calls for one in call]
    assert {tries.count(sequence) for sequence in range(5, 101, 5)} == {MOST_TRIES}
    parked, _ = consumers.store.parked("s1", 1)
    assert parked[0].error.code == "unavailable"
    assert "16 times" in parked[0].error.detail
    assert consumers.client.exists(consumers.keys.consumer_part("s1", "attempts")) == 0


def test_a_retry_that_asks_for_a_rest_rests_alone(consumers: ConsumerBench) -> None:
    sink = consumers.consumer(ordered=False, in_flight=2)
    asked = Outcome(SinkError("throttled", "429", Kind.RETRY, retry_after_s=600), 429)
    sink.say = lambda one: OK if one.sequence > 1 else asked if one.attempt > 1 else DOWN
    consumers.publish(2)
    consumers.work()
    consumers.tick(2)
    consumers.work()
    consumers.publish()
    assert consumers.work() == ["listening"]
    assert sorted(sink.sequences) == [2, 3]
    consumers.tick(500)
    consumers.work()
    assert len(sink.calls) == 4


def test_where_so_many_wait_an_event_is_parked_sooner(consumers: ConsumerBench) -> None:
    sink = consumers.consumer(ordered=False, in_flight=4)
    crowd(consumers, 2000)
    sink.say = lambda one: DOWN if one.sequence == 2 else OK
    consumers.publish(3)
    consumers.work()
    assert (consumers.status().parked, sorted(sink.sequences)) == (1, [1, 3])
    assert consumers.client.zcard(consumers.keys.consumer_part("s1", "open")) == 2000


def test_how_many_wait_is_known_within_a_turn(consumers: ConsumerBench) -> None:
    sink = consumers.consumer(ordered=False, in_flight=1)
    crowd(consumers, 1990)
    sink.say = lambda one: DOWN if one.sequence % 2 == 0 else OK
    consumers.publish(60)
    consumers.work()
    assert (consumers.status().parked, len(sink.taken)) == (20, 30)
    assert consumers.client.zcard(consumers.keys.consumer_part("s1", "open")) == 2000


def test_while_nothing_goes_through_an_event_isnt_parked_for_its_tries(consumers: ConsumerBench) -> None:
    sink = consumers.consumer(ordered=False, in_flight=2)
    sink.say = lambda _: DOWN
    consumers.publish()
    for _ in range(MOST_TRIES * 2):
        consumers.work()
        consumers.tick(301)
    status = consumers.status()
    assert (status.open, status.parked) == (1, 0)
    assert len(sink.calls) >= MOST_TRIES


def test_a_consumer_on_which_nothing_new_comes_is_told_to_fail_after_ten_minutes(
    consumers: ConsumerBench,
) -> None:
    sink = consumers.consumer(ordered=False, in_flight=2)
    sink.say = lambda _: DOWN
    consumers.publish()
    while consumers.now_ms - (consumers.status().failing_since_ms or consumers.now_ms) < 500_000:
        consumers.work()
        consumers.tick(20)
    assert (consumers.status().state, consumers.status().failures_in_a_row) == (ConsumerState.ACTIVE, 1)
    for _ in range(20):
        consumers.work()
        consumers.tick(20)
    assert [one["eventName"] for one in consumers.told()] == ["subscription-failing"]


def test_a_new_event_finds_out_at_once_whether_a_receiver_is_well_while_retries_rest(
    consumers: ConsumerBench,
) -> None:
    sink = consumers.consumer(ordered=False, in_flight=2)
    sink.say = lambda one: DOWN if one.sequence == 2 else OK
    consumers.publish(2)
    consumers.work()
    for _ in range(60):
        consumers.tick(10)
        consumers.work()
    calls = len(sink.calls)
    assert calls < 30, "the retries rest the longer, the longer nothing goes through"
    consumers.publish()
    assert consumers.work() == ["listening"]
    assert sorted(sink.sequences) == [1, 3]


def test_a_dead_receiver_is_asked_by_what_is_new(consumers: ConsumerBench) -> None:
    """What waits for a retry may be what is never taken."""
    sink = consumers.consumer(ordered=False, in_flight=20)
    sink.say = lambda _: DOWN
    let_wait(consumers, 10, 0.5)
    fail_first_tries(consumers, 8)
    consumers.pass_time(1)
    [new] = consumers.publish()
    assert consumers.work() == ["resting"]
    assert [one.sequence for call in sink.calls for one in call] == [new]
    assert consumers.status().failures_in_a_row == 9


def test_a_retry_that_fails_while_first_tries_do_makes_the_others_rest(consumers: ConsumerBench) -> None:
    sink = consumers.consumer(ordered=False, in_flight=2)
    sink.say = lambda _: DOWN
    let_wait(consumers, 10, 0.5)
    fail_first_tries(consumers, 1)
    consumers.tick(1)
    assert consumers.work() == ["listening"]
    assert len(sink.calls) == 1
    consumers.tick(44)  # three quarters of the minute for which nothing has gone through
    assert consumers.work() == []
    consumers.tick(2)
    consumers.work()
    assert len(sink.calls) == 2
    sink.say = lambda _: OK
    consumers.publish()
    consumers.work()
    consumers.tick(10)
    consumers.work()
    assert sorted(sink.sequences) == [*range(1, 12)]


def test_retries_that_fail_make_no_first_try_the_last(consumers: ConsumerBench) -> None:
    sink = consumers.consumer(ordered=False, in_flight=1)
    sink.say = lambda one: DOWN if one.sequence <= 9 else OK

    def publish() -> None:
        if len(sink.calls) == 6:
            consumers.publish(2)  # the first of them is never taken

    let_wait(consumers, 8, 0.5)
    sink.during = publish
    consumers.tick(1)
    assert consumers.work() == ["listening"]
    assert sink.sequences == [10]


def test_a_clock_that_is_set_back_ends_the_rest_of_retries(consumers: ConsumerBench) -> None:
    sink = consumers.consumer(ordered=False, topics={TOPIC: (), OTHER: ()})
    sink.say = lambda _: DOWN
    consumers.publish()
    consumers.messages()
    claimed = consumers.claims.claim("s1", 0, PLENTY)
    assert claimed is not None
    member = claimed.items[0].member
    word = Ack(CallReport(retry=[(member, 0)], failure=("x", "y"), failed_calls=1, retry_rest_ms=200_000))
    assert consumers.claims.ack(claimed, 1, word).word == "listening"
    consumers.tick()
    sink.say = lambda _: OK
    consumers.tick(100)
    assert consumers.work() == []
    consumers.tick(-3600)
    consumers.tick(1)
    assert consumers.work() == ["listening"]
    assert sink.sequences == [1]
