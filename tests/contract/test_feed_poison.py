"""An unordered feed of which some events always fail: they wait, and in the end are parked, and everything else goes through."""

from __future__ import annotations

import pytest

from app.events.feeds.decide import MOST_TRIES
from app.events.feeds.model import Ack, FeedState, Read
from app.events.sinks.base import Kind, Outcome, SinkError
from tests.support.feeds import DOWN, OK, OTHER, TOPIC, FeedBench

PLENTY = Read(50, 1 << 20, 50)


def let_wait(feeds: FeedBench, count: int, seconds: float) -> list[int]:
    """So many events as they stand after a first try that failed, due in so many seconds; their sequences."""
    feeds.store.pause("s1")
    numbers = feeds.publish(count)
    _put(feeds, numbers, seconds)
    feeds.client.hset(feeds.keys.feed_part("s1", "cursor"), TOPIC, numbers[-1])
    feeds.store.resume("s1")
    feeds.work()
    return numbers


def crowd(feeds: FeedBench, count: int) -> None:
    """So many that nobody looks at for a day."""
    _put(feeds, [*range(10**6, 10**6 + count)], 86_400)


def _put(feeds: FeedBench, numbers: list[int], seconds: float) -> None:
    open_, attempts = feeds.keys.feed_part("s1", "open"), feeds.keys.feed_part("s1", "attempts")
    due = feeds.now_ms + int(seconds * 1000)
    feeds.client.zadd(open_, {f"{TOPIC}|{number}|{number - 1}|": due for number in numbers})
    feeds.client.hset(attempts, mapping={f"{TOPIC}|{number}": f"1|{feeds.now_ms}" for number in numbers})


def fail_first_tries(feeds: FeedBench, times: int) -> None:
    feeds.client.hset(
        feeds.keys.feed("s1"), mapping={"failures": times, "failingSince": feeds.now_ms - 60_000}
    )


def test_new_events_go_through_however_many_wait_for_a_retry(feeds: FeedBench) -> None:
    sink = feeds.feed(ordered=False, in_flight=4)
    crowd(feeds, 4500)
    feeds.publish(20)
    assert feeds.work() == ["listening"]
    feeds.store.pause("s1")
    feeds.publish(20)
    feeds.store.resume("s1")
    assert feeds.work() == ["listening"]
    assert sorted(sink.sequences) == [*range(1, 41)]
    assert feeds.status().open == 2001  # as many as are looked at
    feeds.is_settled()


def test_a_feed_with_many_retries_is_woken_by_what_is_new_and_by_what_is_due_only(feeds: FeedBench) -> None:
    feeds.feed(ordered=False, in_flight=4)
    feeds.publish()
    feeds.work()
    crowd(feeds, 2500)
    before = int(feeds.field("wakes"))
    for _ in range(30):
        feeds.tick(1)
        feeds.work()
    assert int(feeds.field("wakes")) == before
    feeds.publish()
    feeds.work()
    feeds.tick(1)
    feeds.work()
    assert int(feeds.field("wakes")) == before + 1


@pytest.mark.parametrize(("waiting", "read"), [(1999, 4), (2000, 1), (3999, 1)])
def test_while_first_tries_fail_few_new_events_join_the_many_that_wait(
    feeds: FeedBench, waiting: int, read: int
) -> None:
    feeds.feed(ordered=False, in_flight=4)
    crowd(feeds, waiting)
    fail_first_tries(feeds, 1)
    feeds.publish(20)
    feeds.messages()
    claimed = feeds.machine.claim("s1", 0, PLENTY)
    assert claimed is not None
    assert (len(claimed.items), claimed.waiting) == (read, waiting)


def test_a_full_window_rests_until_something_is_due(feeds: FeedBench) -> None:
    sink = feeds.feed(ordered=False, in_flight=4)
    sink.say = lambda _: DOWN
    [due] = let_wait(feeds, 1, 300)
    crowd(feeds, 3999)
    fail_first_tries(feeds, 1)
    feeds.publish(20)
    assert feeds.work() == ["nothing"]
    feeds.is_settled()
    before = int(feeds.field("wakes"))
    for _ in range(29):
        feeds.tick(10)
        feeds.publish()
        assert feeds.work() == []
    assert (feeds.status().next_try_ms or 0) == feeds.now_ms + 10_000
    assert int(feeds.field("wakes")) == before
    feeds.tick(10)
    assert feeds.work() == ["resting"]
    assert [one.sequence for call in sink.calls for one in call] == [due]
    sink.say = lambda _: OK
    feeds.tick(400)
    feeds.work()
    assert sorted(sink.sequences) == [*range(1, 51)]  # a retry went through: it is over
    feeds.is_settled()


def test_what_is_due_takes_half_of_what_is_read_at_most(feeds: FeedBench) -> None:
    feeds.feed(ordered=False, in_flight=4)
    feeds.store.pause("s1")
    let_wait(feeds, 30, 300)
    feeds.store.pause("s1")
    feeds.publish(30, pad=100_000)
    feeds.tick(400)
    feeds.store.resume("s1")
    feeds.messages()
    claimed = feeds.machine.claim("s1", 0, Read(50, 1 << 20, 10))
    assert claimed is not None
    again = [item for item in claimed.items if item.again]
    assert (len(again), len(claimed.items) - len(again)) == (10, 10)


def test_large_events_that_wait_for_a_retry_leave_room_for_a_large_new_one(feeds: FeedBench) -> None:
    sink = feeds.feed(ordered=False, in_flight=4)
    sink.say = lambda _: DOWN
    feeds.publish(4, pad=900_000)
    feeds.work()
    feeds.store.pause("s1")
    [new] = feeds.publish(pad=900_000)
    feeds.tick(400)
    feeds.store.resume("s1")
    feeds.client.hset(feeds.keys.feed("s1"), "failures", "0")
    feeds.messages("deliveries-slow")
    claimed = feeds.machine.claim("s1", 0, Read(50, 500_000, 50))
    assert claimed is not None
    assert [item.delivery.sequence for item in claimed.items if not item.again] == [new]
    assert len(claimed.items) == 2


def test_events_that_always_fail_are_parked_after_hours_and_never_make_the_feed_fail(
    feeds: FeedBench,
) -> None:
    sink = feeds.feed(ordered=False, in_flight=5)
    sink.say = lambda one: DOWN if one.sequence % 5 == 0 and one.sequence <= 100 else OK
    feeds.publish(100)
    feeds.work()
    feeds.publish()
    feeds.work()
    assert len(sink.taken) == 81
    for _ in range(30):
        feeds.tick(1)
        feeds.work()
    assert (feeds.status().open, feeds.status().failures_in_a_row, feeds.status().parked) == (20, 0, 0)
    assert feeds.status().last_error is not None
    for _ in range(140):
        feeds.tick(60)
        feeds.work()
    status = feeds.status()
    assert (status.state, status.open, status.parked, feeds.told()) == (FeedState.ACTIVE, 0, 20, [])
    tries = [one.sequence for call in sink.calls for one in call]
    assert {tries.count(sequence) for sequence in range(5, 101, 5)} == {MOST_TRIES}
    parked, _ = feeds.store.parked("s1", 1)
    assert parked[0].code == "unavailable"
    assert "16 times" in parked[0].detail
    assert feeds.client.exists(feeds.keys.feed_part("s1", "attempts")) == 0


def test_a_retry_that_asks_for_a_rest_rests_alone(feeds: FeedBench) -> None:
    sink = feeds.feed(ordered=False, in_flight=2)
    asked = Outcome(SinkError("throttled", "429", Kind.RETRY, retry_after_s=600), 429)
    sink.say = lambda one: OK if one.sequence > 1 else asked if one.attempt > 1 else DOWN
    feeds.publish(2)
    feeds.work()
    feeds.tick(2)
    feeds.work()
    feeds.publish()
    assert feeds.work() == ["listening"]
    assert sorted(sink.sequences) == [2, 3]
    feeds.tick(500)
    feeds.work()
    assert len(sink.calls) == 4


def test_where_so_many_wait_an_event_is_parked_sooner(feeds: FeedBench) -> None:
    sink = feeds.feed(ordered=False, in_flight=4)
    crowd(feeds, 2000)
    sink.say = lambda one: DOWN if one.sequence == 2 else OK
    feeds.publish(3)
    feeds.work()
    assert (feeds.status().parked, sorted(sink.sequences)) == (1, [1, 3])
    assert feeds.client.zcard(feeds.keys.feed_part("s1", "open")) == 2000


def test_how_many_wait_is_known_within_a_turn(feeds: FeedBench) -> None:
    sink = feeds.feed(ordered=False, in_flight=1)
    crowd(feeds, 1990)
    sink.say = lambda one: DOWN if one.sequence % 2 == 0 else OK
    feeds.publish(60)
    feeds.work()
    assert (feeds.status().parked, len(sink.taken)) == (20, 30)
    assert feeds.client.zcard(feeds.keys.feed_part("s1", "open")) == 2000


def test_while_nothing_goes_through_an_event_isnt_parked_for_its_tries(feeds: FeedBench) -> None:
    sink = feeds.feed(ordered=False, in_flight=2)
    sink.say = lambda _: DOWN
    feeds.publish()
    for _ in range(MOST_TRIES * 2):
        feeds.work()
        feeds.tick(301)
    status = feeds.status()
    assert (status.open, status.parked) == (1, 0)
    assert len(sink.calls) >= MOST_TRIES


def test_a_feed_on_which_nothing_new_comes_is_told_to_fail_after_ten_minutes(feeds: FeedBench) -> None:
    sink = feeds.feed(ordered=False, in_flight=2)
    sink.say = lambda _: DOWN
    feeds.publish()
    while feeds.now_ms - (feeds.status().failing_since_ms or feeds.now_ms) < 500_000:
        feeds.work()
        feeds.tick(20)
    assert (feeds.status().state, feeds.status().failures_in_a_row) == (FeedState.ACTIVE, 1)
    for _ in range(20):
        feeds.work()
        feeds.tick(20)
    assert [one["eventName"] for one in feeds.told()] == ["subscription-failing"]


def test_a_new_event_finds_out_at_once_whether_a_receiver_is_well_while_retries_rest(
    feeds: FeedBench,
) -> None:
    sink = feeds.feed(ordered=False, in_flight=2)
    sink.say = lambda one: DOWN if one.sequence == 2 else OK
    feeds.publish(2)
    feeds.work()
    for _ in range(60):
        feeds.tick(10)
        feeds.work()
    calls = len(sink.calls)
    assert calls < 30, "the retries rest the longer, the longer nothing goes through"
    feeds.publish()
    assert feeds.work() == ["listening"]
    assert sorted(sink.sequences) == [1, 3]


def test_a_dead_receiver_is_asked_by_what_is_new(feeds: FeedBench) -> None:
    """What waits for a retry may be what is never taken."""
    sink = feeds.feed(ordered=False, in_flight=20)
    sink.say = lambda _: DOWN
    let_wait(feeds, 10, 0.5)
    fail_first_tries(feeds, 8)
    feeds.pass_time(1)
    [new] = feeds.publish()
    assert feeds.work() == ["resting"]
    assert [one.sequence for call in sink.calls for one in call] == [new]
    assert feeds.status().failures_in_a_row == 9


def test_a_retry_that_fails_while_first_tries_do_makes_the_others_rest(feeds: FeedBench) -> None:
    sink = feeds.feed(ordered=False, in_flight=2)
    sink.say = lambda _: DOWN
    let_wait(feeds, 10, 0.5)
    fail_first_tries(feeds, 1)
    feeds.tick(1)
    assert feeds.work() == ["listening"]
    assert len(sink.calls) == 1
    feeds.tick(44)  # three quarters of the minute for which nothing has gone through
    assert feeds.work() == []
    feeds.tick(2)
    feeds.work()
    assert len(sink.calls) == 2
    sink.say = lambda _: OK
    feeds.publish()
    feeds.work()
    feeds.tick(10)
    feeds.work()
    assert sorted(sink.sequences) == [*range(1, 12)]


def test_retries_that_fail_make_no_first_try_the_last(feeds: FeedBench) -> None:
    sink = feeds.feed(ordered=False, in_flight=1)
    sink.say = lambda one: DOWN if one.sequence <= 9 else OK

    def publish() -> None:
        if len(sink.calls) == 6:
            feeds.publish(2)  # the first of them is never taken

    let_wait(feeds, 8, 0.5)
    sink.during = publish
    feeds.tick(1)
    assert feeds.work() == ["listening"]
    assert sink.sequences == [10]


def test_a_clock_that_is_set_back_ends_the_rest_of_retries(feeds: FeedBench) -> None:
    sink = feeds.feed(ordered=False, topics={TOPIC: (), OTHER: ()})
    sink.say = lambda _: DOWN
    feeds.publish()
    feeds.messages()
    claimed = feeds.machine.claim("s1", 0, PLENTY)
    assert claimed is not None
    member = claimed.items[0].member
    word = Ack(retry=[(member, 0)], failure=("x", "y"), failed_calls=1, retry_rest_ms=200_000)
    assert feeds.machine.ack(claimed, 1, word).word == "listening"
    feeds.tick()
    sink.say = lambda _: OK
    feeds.tick(100)
    assert feeds.work() == []
    feeds.tick(-3600)
    feeds.tick(1)
    assert feeds.work() == ["listening"]
    assert sink.sequences == [1]
