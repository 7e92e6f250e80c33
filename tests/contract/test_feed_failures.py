"""What a feed does when its destination fails, refuses, is gone, or dies in the middle: it keeps its place."""

from __future__ import annotations

import pytest

from app.events.feeds.model import Ack, FeedState, Read
from app.events.sinks.base import Delivery, Kind, Limits, Outcome, SinkError
from tests.support.feeds import DOWN, GONE, OK, REFUSED, TOPIC, FakeSink, FeedBench

MANY = Limits(events=10, bytes=1 << 20, event_bytes=1 << 20, one_per_key=True)
ANY_ORDER = Limits(events=10, bytes=1 << 20, event_bytes=1 << 20, one_per_key=False)


def names(feeds: FeedBench) -> list[str]:
    return [event["eventName"] for event in feeds.told()]


def keep_failing(feeds: FeedBench, *, times: int, seconds: float = 301) -> None:
    for _ in range(times):
        feeds.work()
        feeds.tick(seconds)


def test_an_ordered_feed_stops_at_what_fails_and_goes_on_from_there(feeds: FeedBench) -> None:
    sink = feeds.feed()
    sink.say = lambda one: DOWN if one.sequence == 2 else OK
    feeds.publish(3)
    assert feeds.work() == ["resting"]
    assert (sink.sequences, feeds.field("queue")) == ([1], "deliveries-slow")
    feeds.is_settled()
    feeds.publish()
    assert feeds.work() == []  # it rests, whatever comes
    sink.say = lambda _: OK
    feeds.tick(0.4)
    assert feeds.work() == []
    feeds.tick(0.2)  # half of the first second: the tests' jitter
    assert feeds.work() == ["listening"]
    assert sink.sequences == [1, 2, 3, 4]
    assert [one.attempt for one in sink.taken] == [1, 2, 1, 1]
    assert (feeds.field("queue"), feeds.status().failures_in_a_row) == ("deliveries-slow", 0)
    assert names(feeds) == []
    assert [word for word, _ in feeds.journal()] == ["delivered", "failed", *["delivered"] * 3]
    feeds.publish(16)  # nineteen have gone through since
    feeds.work()
    assert feeds.field("queue") == "deliveries-slow"
    feeds.publish()
    feeds.work()
    assert feeds.field("queue") == "deliveries"


def test_the_waits_grow_and_a_retry_after_is_kept(feeds: FeedBench) -> None:
    sink = feeds.feed()
    sink.say = lambda _: DOWN
    feeds.publish()
    waits = []
    for _ in range(11):
        feeds.work()
        waits.append((feeds.status().next_try_ms or 0) - feeds.now_ms)
        feeds.tick(waits[-1] / 1000)
    assert waits == [500, 1000, 2000, 4000, 8000, 16000, 32000, 64000, 128000, 150000, 150000]
    sink.say = lambda _: Outcome(SinkError("throttled", "429", Kind.RETRY, retry_after_s=1800), 429)
    feeds.work()
    assert (feeds.status().next_try_ms or 0) - feeds.now_ms == 1_800_000


def test_failing_and_recovery_are_told_once(feeds: FeedBench) -> None:
    sink = feeds.feed()
    sink.say = lambda _: DOWN
    feeds.publish()
    keep_failing(feeds, times=4, seconds=10)
    assert (feeds.status().state, names(feeds)) == (FeedState.ACTIVE, [])
    keep_failing(feeds, times=4, seconds=40)
    assert (feeds.status().state, names(feeds)) == (FeedState.FAILING, ["subscription-failing"])
    assert feeds.told()[0]["subscriptionId"] == "s1"
    assert feeds.status().last_error is not None
    sink.say = lambda _: OK
    keep_failing(feeds, times=2)
    assert names(feeds) == ["subscription-failing", "subscription-recovered"]
    assert feeds.status().state is FeedState.ACTIVE


def test_who_fails_too_long_is_disabled_and_keeps_its_place(feeds: FeedBench) -> None:
    feeds.rebuild(disable_after_s=3600)
    sink = feeds.feed()
    sink.say = lambda _: DOWN
    feeds.publish(2)
    keep_failing(feeds, times=20)
    status = feeds.status()
    assert (status.state, status.reason) == (FeedState.DISABLED, "failing_too_long")
    assert names(feeds) == ["subscription-failing", "subscription-disabled"]
    feeds.publish()
    assert (feeds.work(), status.cursor, feeds.status().lag_events) == ([], {TOPIC: 0}, 3)
    feeds.is_settled()
    sink.say = lambda _: OK
    assert feeds.store.resume("s1")
    assert feeds.work() == ["listening"]
    assert sink.sequences == [1, 2, 3]


def test_time_alone_disables_nobody(feeds: FeedBench) -> None:
    sink = feeds.feed()
    sink.say = lambda _: DOWN
    feeds.publish()
    feeds.work()
    feeds.tick(365 * 86400)  # the clock was wrong, or no worker ran
    feeds.work()
    assert feeds.status().state is not FeedState.DISABLED


def test_a_destination_that_is_gone_disables_at_once(feeds: FeedBench) -> None:
    sink = feeds.feed()
    sink.say = lambda _: GONE
    feeds.publish(2)
    assert feeds.work() == ["stopped"]
    assert (feeds.status().reason, names(feeds)) == ("gone", ["subscription-disabled"])
    assert [word for word, _ in feeds.journal()] == ["disabled"]
    feeds.is_settled()


def test_what_is_refused_for_good_is_parked_and_the_rest_go_on(feeds: FeedBench) -> None:
    sink = feeds.feed()
    sink.say = lambda one: REFUSED if one.sequence == 2 else OK
    feeds.publish(3)
    assert feeds.work() == ["listening"]
    assert [(one.sequence, one.previous) for one in sink.taken] == [(1, 0), (3, 2)]
    [parked], following = feeds.store.parked("s1", 10)
    assert (parked.sequence, parked.code, parked.guid, following) == (2, "refused", "g2", None)
    assert parked.event is not None
    assert (feeds.status().parked, feeds.status().failures_in_a_row) == (1, 0)

    # Sent again, and refused again; then it is taken.
    assert feeds.store.retry_parked("s1") == 1
    assert feeds.work() == ["listening"]
    assert feeds.status().parked == 1
    sink.say = lambda _: OK
    assert feeds.store.retry_parked("s1", parked.key) == 1
    assert feeds.work() == ["listening"]
    again = sink.taken[-1]
    assert (again.sequence, again.previous, again.redelivery) == (2, 1, "parked")
    assert (feeds.status().parked, feeds.status().open) == (0, 0)
    assert feeds.store.retry_parked("s1", parked.key) == 0


def test_parked_events_can_be_given_up(feeds: FeedBench) -> None:
    sink = feeds.feed()
    sink.say = lambda _: REFUSED
    feeds.publish(5)
    feeds.work()
    found, following = feeds.store.parked("s1", 2)
    assert ([one.sequence for one in found], following) == ([1, 2], 2)
    assert feeds.store.discard_parked("s1", found[0].key) == 1
    assert feeds.store.discard_parked("s1") == 4
    assert (feeds.work(), feeds.status().parked) == ([], 0)


def test_a_destination_that_refuses_everything_is_disabled_before_it_fills_the_store(
    feeds: FeedBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    sink = feeds.feed()
    parked = feeds.keys.feed_part("s1", "parked")
    feeds.client.zadd(parked, {f"{TOPIC}|{number}": 1 for number in range(100_000, 110_000)})
    sink.say = lambda _: REFUSED
    feeds.publish(3)
    assert feeds.work() == ["stopped"]
    assert feeds.status().reason == "parked_full"


def test_of_a_batch_only_what_failed_is_sent_again_and_nothing_overtakes_its_entity(feeds: FeedBench) -> None:
    sink = feeds.feed(sink=FakeSink(MANY))
    sink.say = lambda one: DOWN if one.sequence == 2 else OK
    feeds.publish(6, about=[1, 2, 3])  # 1, 2, 3, 1, 2, 3
    assert feeds.work() == ["resting"]
    assert sink.sequences == [1, 3]  # one of an entity in a call
    assert feeds.status().cursor == {TOPIC: 1}
    sink.say = lambda _: OK
    feeds.tick(1)
    assert feeds.work() == ["listening"]
    assert sorted(sink.sequences) == [1, 2, 3, 4, 5, 6]
    assert sink.sequences.index(2) < sink.sequences.index(5)
    assert [one.previous for one in sorted(sink.taken, key=lambda one: one.sequence)] == [0, 1, 2, 3, 4, 5]
    assert feeds.client.exists(feeds.keys.feed_part("s1", "ahead")) == 0
    assert feeds.client.exists(feeds.keys.feed_part("s1", "attempts")) == 0


def test_what_was_delivered_and_not_written_down_comes_twice(feeds: FeedBench) -> None:
    sink = feeds.feed(sink=FakeSink(MANY))
    feeds.publish(3, about=[1, 2, 3])
    feeds.messages()
    dead = feeds.machine.claim("s1", 0, Read(10, 1 << 20, 10))
    assert dead is not None
    sink.send([item.delivery for item in dead.items], 0)
    feeds.tick(10)
    assert feeds.work() == ["listening"]
    assert sink.sequences == [1, 2, 3, 1, 2, 3]


def test_without_order_a_retry_holds_back_no_other(feeds: FeedBench) -> None:
    sink = feeds.feed(ordered=False, in_flight=4)
    sink.say = lambda one: DOWN if one.sequence == 2 and one.attempt < 3 else OK
    feeds.publish(5)
    assert feeds.work() == ["listening"]
    assert sorted(sink.sequences) == [1, 3, 4, 5]
    status = feeds.status()
    assert (status.open, status.cursor, status.lag_events) == (1, {TOPIC: 5}, 1)
    feeds.publish(2)
    feeds.work()
    assert sorted(sink.sequences) == [1, 3, 4, 5, 6, 7]
    for _ in range(3):
        feeds.tick(2)
        feeds.work()
    assert sorted(sink.sequences) == [1, 2, 3, 4, 5, 6, 7]
    late = next(one for one in sink.taken if one.sequence == 2)
    assert (late.previous, late.attempt, feeds.status().open) == (1, 3, 0)
    feeds.is_settled()


def test_without_order_a_dead_workers_events_are_sent_again(feeds: FeedBench) -> None:
    sink = feeds.feed(ordered=False, in_flight=3)
    feeds.publish(5)
    feeds.messages()
    dead = feeds.machine.claim("s1", 0, Read(4, 1 << 20, 4))
    assert dead is not None
    assert len(dead.items) == 4
    done = [item.member for item in dead.items[:2]]
    assert feeds.machine.ack(dead, 1, Ack(done=done, read=Read(0, 0, 0, hold=True))).going_on
    feeds.tick(10)
    assert feeds.work() == ["listening"]
    assert sorted(sink.sequences) == [3, 4, 5]
    assert feeds.status().open == 0


def test_without_order_a_dead_destination_is_asked_with_one_event_at_a_time(feeds: FeedBench) -> None:
    sink = feeds.feed(ordered=False, in_flight=4)
    sink.say = lambda _: DOWN
    feeds.publish(1000)
    for _ in range(20):
        feeds.work()
        feeds.tick(301)
    assert feeds.status().open <= 120  # of a thousand: nothing piles up
    before = len(sink.calls)
    feeds.work()
    assert len(sink.calls) - before <= 2
    sink.say = lambda _: OK
    for _ in range(5):
        feeds.tick(301)
        feeds.work()
    assert sorted(sink.sequences) == [*range(1, 1001)]
    feeds.is_settled()


def test_what_fails_in_one_turn_is_one_failure(feeds: FeedBench) -> None:
    sink = feeds.feed(ordered=False, in_flight=8)
    sink.say = lambda _: DOWN
    feeds.publish(8)
    feeds.work()
    status = feeds.status()
    assert (len(sink.calls), status.failures_in_a_row, status.open) == (8, 1, 8)
    assert (status.state, names(feeds)) == (FeedState.ACTIVE, [])
    assert (status.next_try_ms or 0) - feeds.now_ms == 500
    sink.say = lambda _: OK
    feeds.tick(1)
    feeds.work()
    assert sorted(sink.sequences) == [*range(1, 9)]


def test_without_order_one_event_that_never_goes_through_is_parked_at_last(feeds: FeedBench) -> None:
    feeds.rebuild(disable_after_s=3600)
    sink = feeds.feed(ordered=False, in_flight=2)

    def say(one: Delivery) -> Outcome:
        return DOWN if one.sequence == 1 else OK

    sink.say = say
    feeds.publish()
    for _ in range(40):
        feeds.publish()
        feeds.work()
        feeds.tick(301)
    status = feeds.status()
    assert (status.state, status.open, status.parked) == (FeedState.ACTIVE, 0, 1)


def test_batches_without_order_are_acknowledged_event_by_event(feeds: FeedBench) -> None:
    sink = feeds.feed(sink=FakeSink(ANY_ORDER), ordered=False)
    answers = {2: DOWN, 3: REFUSED}
    sink.say = lambda one: answers.get(one.sequence, OK)
    feeds.publish(5)
    feeds.work()
    assert (len(sink.calls[0]), sink.sequences) == (5, [1, 4, 5])
    status = feeds.status()
    assert (status.open, status.parked, status.counters["delivered"]) == (1, 1, 3)
    words = [(word, entry["events"]) for word, entry in feeds.journal()]
    assert words == [("delivered", 3), ("failed", 1), ("parked", 1)]
