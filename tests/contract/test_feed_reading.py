"""What a feed reads of the log: everything it wants, in bounded pieces, and what retention has taken away is said."""

from __future__ import annotations

from app.events.feeds.model import Read
from app.events.sinks.base import Limits
from tests.support.feeds import DOWN, OK, OTHER, TOPIC, FakeSink, FeedBench

MANY = Limits(events=500, bytes=5 << 20, event_bytes=1 << 20, one_per_key=True)


def trim(feeds: FeedBench, before: int, topic: str = TOPIC) -> None:
    """As retention does: everything older than this sequence."""
    feeds.client.xtrim(feeds.keys.log(topic), minid=f"{before}-0", approximate=False)


def test_a_cursor_that_retention_has_overtaken_is_reported_and_goes_on_with_the_oldest(
    feeds: FeedBench,
) -> None:
    sink = feeds.feed()
    feeds.publish(2)
    feeds.work()
    feeds.store.pause("s1")
    feeds.publish(8)
    trim(feeds, 8)
    feeds.store.resume("s1")
    feeds.work()
    assert [(one.sequence, one.previous) for one in sink.taken[2:]] == [(8, 7), (9, 8), (10, 9)]
    [missed] = feeds.status().missed
    assert (missed.topic, missed.first, missed.last, missed.at_ms) == (TOPIC, 3, 7, feeds.now_ms)
    assert feeds.status().counters["missed"] == 5
    [told] = feeds.told()
    assert (told["eventName"], told["subscriptionId"], told["topic"]) == ("subscription-gap", "s1", TOPIC)
    assert (told["from"], told["to"]) == (3, 7)


def test_a_log_that_is_empty_by_now_is_a_gap_too(feeds: FeedBench) -> None:
    sink = feeds.feed()
    feeds.publish(4)
    feeds.client.delete(feeds.keys.log(TOPIC))
    assert feeds.work() == ["nothing"]
    assert [(one.first, one.last) for one in feeds.status().missed] == [(1, 4)]
    feeds.publish()
    feeds.work()
    assert [(one.sequence, one.previous) for one in sink.taken] == [(5, 4)]


def test_what_a_filter_has_let_by_is_not_missed_when_retention_takes_it(feeds: FeedBench) -> None:
    """Nobody wakes a feed for what it doesn't want: for weeks, it may be."""
    sink = feeds.feed(topics={TOPIC: ["asset-deleted"], OTHER: ["category-deleted"]})
    for last in (10, 20, 30):
        feeds.publish(10)
        feeds.publish(10, OTHER)
        assert feeds.machine.audit() == 1
        assert feeds.work() == ["nothing"]
        assert feeds.status().cursor == {TOPIC: last, OTHER: last}
        assert feeds.machine.audit() == 0
        for topic in (TOPIC, OTHER):
            trim(feeds, last - 2, topic)
    feeds.publish(name="asset-deleted")
    feeds.work()
    assert [(one.sequence, one.previous) for one in sink.taken] == [(31, 0)]
    assert (feeds.status().missed, feeds.told()) == ((), [])


def test_a_log_that_turns_over_between_two_audits_takes_nothing_from_a_filter_that_listens(
    feeds: FeedBench,
) -> None:
    sink = feeds.feed(topics={TOPIC: ["asset-deleted"], OTHER: ["category-deleted"]})
    for topic in (TOPIC, OTHER):
        feeds.publish(10, topic)
        trim(feeds, 9, topic)
    feeds.publish(name="asset-deleted")  # on the other topic nothing has woken it
    trim(feeds, 11)
    feeds.work()
    for topic in (TOPIC, OTHER):
        feeds.publish(10, topic)
        feeds.client.delete(feeds.keys.log(topic))
    assert feeds.machine.audit() == 1
    feeds.work()
    assert [(one.sequence, one.previous) for one in sink.taken] == [(11, 0)]
    assert (feeds.status().missed, feeds.status().cursor) == ((), {TOPIC: 21, OTHER: 20})


def test_what_a_filter_wanted_is_missed_when_it_is_gone(feeds: FeedBench) -> None:
    sink = feeds.feed(topics={TOPIC: ["asset-deleted"]})
    feeds.publish(5)
    feeds.publish(name="asset-deleted")
    feeds.publish(5)
    trim(feeds, 9)
    feeds.work()
    assert sink.taken == []
    assert [(one.first, one.last) for one in feeds.status().missed] == [(6, 8)]


def test_what_comes_while_a_worker_has_the_filter_is_no_gap_either(feeds: FeedBench) -> None:
    sink = feeds.feed(topics={TOPIC: ["asset-deleted"], OTHER: ["category-deleted"]})

    def meanwhile() -> None:
        if not sink.calls:
            feeds.publish(10, OTHER)
            feeds.publish(1, OTHER, "category-deleted")
            trim(feeds, 9, OTHER)

    sink.during = meanwhile
    feeds.publish(2, name="asset-deleted")
    feeds.work()
    assert [(one.topic, one.sequence) for one in sink.taken] == [(TOPIC, 1), (TOPIC, 2), (OTHER, 11)]
    assert feeds.status().missed == ()


def test_who_begins_with_the_oldest_has_missed_nothing(feeds: FeedBench) -> None:
    feeds.publish(5)
    trim(feeds, 4)
    sink = feeds.feed(start={TOPIC: 0})
    feeds.work()
    assert [(one.sequence, one.previous) for one in sink.taken] == [(4, 0), (5, 4)]
    assert feeds.status().missed == ()


def test_a_hole_in_the_log_is_no_gap(feeds: FeedBench) -> None:
    sink = feeds.feed()
    feeds.publish(1)
    feeds.client.incr(feeds.keys.log_sequence(TOPIC))  # of a script that broke off
    feeds.publish(1)
    feeds.work()
    assert [(one.sequence, one.previous) for one in sink.taken] == [(1, 0), (3, 1)]
    feeds.client.incr(feeds.keys.log_sequence(TOPIC))
    assert feeds.machine.audit() == 0
    feeds.publish()
    feeds.work()
    assert (sink.sequences, feeds.status().missed) == ([1, 3, 5], ())


def test_retention_that_overtakes_what_waits_for_a_retry_is_reported(feeds: FeedBench) -> None:
    sink = feeds.feed(ordered=False, in_flight=2)
    sink.say = lambda one: DOWN if one.sequence == 1 else OK
    feeds.publish(3)
    feeds.work()
    trim(feeds, 3)
    feeds.tick(2)
    feeds.work()
    assert [(one.first, one.last) for one in feeds.status().missed] == [(1, 1)]
    assert (feeds.status().open, sorted(sink.sequences)) == (0, [2, 3])
    feeds.is_settled()


def test_a_log_that_began_anew_is_delivered_from_its_start(feeds: FeedBench) -> None:
    sink = feeds.feed()
    feeds.publish(5)
    feeds.work()
    feeds.client.delete(feeds.keys.log(TOPIC), feeds.keys.log_sequence(TOPIC))
    feeds.publish(2)
    feeds.work()
    assert [(one.sequence, one.previous) for one in sink.taken[5:]] == [(1, 0), (2, 1)]


def test_a_log_that_began_anew_and_lost_its_beginning_is_delivered_from_what_there_is(
    feeds: FeedBench,
) -> None:
    sink = feeds.feed()
    feeds.publish(9)
    feeds.work()
    feeds.client.delete(feeds.keys.log(TOPIC), feeds.keys.log_sequence(TOPIC))
    feeds.publish(4)
    trim(feeds, 3)
    feeds.work()
    assert [(one.sequence, one.previous) for one in sink.taken[9:]] == [(3, 0), (4, 3)]
    assert (feeds.status().missed, feeds.told()) == ((), [])


def test_large_events_are_read_a_few_at_a_time_and_one_always_goes(feeds: FeedBench) -> None:
    sink = feeds.feed(sink=FakeSink(MANY))
    feeds.publish(30, pad=100_000, about=[*range(30)])
    feeds.messages()
    claimed = feeds.machine.claim("s1", 0, Read(500, 1 << 20, 0))
    assert claimed is not None
    assert len(claimed.items) == 10
    assert claimed.more
    feeds.tick(20)
    feeds.work()
    assert sink.sequences == [*range(1, 31)]
    feeds.publish(2, pad=900_000)
    feeds.messages()
    alone = feeds.machine.claim("s1", 0, Read(500, 1000, 0))
    assert alone is not None
    assert [item.delivery.sequence for item in alone.items] == [31]


def test_a_filter_that_lets_little_through_is_read_in_bounded_pieces(feeds: FeedBench) -> None:
    for _ in range(3):
        feeds.publish(1000)
    feeds.publish(name="asset-deleted")
    sink = feeds.feed(topics={TOPIC: ["asset-deleted"]}, start={TOPIC: 0})
    feeds.messages()
    claimed = feeds.machine.claim("s1", 0, Read(500, 1 << 20, 0))
    assert claimed is not None
    assert (claimed.items, claimed.more) == ([], True)
    assert 1000 <= claimed.position[TOPIC][0] < 1200
    feeds.tick(20)
    assert feeds.work() == ["listening"]
    assert sink.sequences == [3001]
    assert feeds.status().cursor == {TOPIC: 3001}


def test_a_filter_that_listens_goes_straight_to_what_it_wants(feeds: FeedBench) -> None:
    sink = feeds.feed(topics={TOPIC: ["asset-deleted"]})
    for _ in range(3):
        feeds.publish(1000)
    feeds.publish(name="asset-deleted")
    feeds.messages()
    claimed = feeds.machine.claim("s1", 0, Read(1, 1 << 20, 0))
    assert claimed is not None
    assert [item.delivery.sequence for item in claimed.items] == [3001]
    feeds.tick(20)
    feeds.work()
    assert (sink.sequences, feeds.status().missed) == ([3001], ())


def test_what_a_filter_passes_over_is_noted_before_retention_makes_a_gap_of_it(feeds: FeedBench) -> None:
    feeds.feed(topics={TOPIC: ["asset-deleted"]})
    feeds.publish(900)
    assert feeds.work() == []
    assert feeds.machine.audit() == 1
    assert feeds.work() == ["nothing"]
    feeds.publish(800)
    assert feeds.machine.audit() == 0, "the log has more than twice as much"
    for _ in range(5):
        feeds.publish(1000)
    assert feeds.machine.audit() == 1
    assert feeds.work() == ["listening"]
    assert feeds.status().cursor == {TOPIC: 6700}
    feeds.is_settled()


def test_no_topic_waits_for_the_backlog_of_another(feeds: FeedBench) -> None:
    feeds.feed(topics={TOPIC: (), OTHER: ()})
    feeds.publish(600)
    feeds.pass_time(1)
    feeds.publish(600, topic=OTHER)
    feeds.messages()
    claimed = feeds.machine.claim("s1", 0, Read(100, 1 << 20, 0))
    assert claimed is not None
    counts = {topic: sum(item.delivery.topic == topic for item in claimed.items) for topic in (TOPIC, OTHER)}
    assert counts == {TOPIC: 50, OTHER: 50}


def test_the_order_of_a_topic_is_kept_where_the_clock_went_back_between_its_events(feeds: FeedBench) -> None:
    sink = feeds.feed(topics={TOPIC: (), OTHER: ()})
    for step in (0, -7200, 3600):
        feeds.pass_time(step)
        feeds.publish(2)
        feeds.publish(2, topic=OTHER)
    feeds.tick(10)
    feeds.work()
    for topic in (TOPIC, OTHER):
        assert [one.sequence for one in sink.taken if one.topic == topic] == [1, 2, 3, 4, 5, 6]


def test_many_entities_fill_calls_and_few_keep_their_order(feeds: FeedBench) -> None:
    wide, narrow = feeds.feed("wide", sink=FakeSink(MANY)), feeds.feed("narrow", sink=FakeSink(MANY))
    narrow.limits = Limits(events=500, bytes=5 << 20, event_bytes=1 << 20, one_per_key=True)
    feeds.publish(1000, about=[*range(1000)])
    feeds.publish(60, about=[1, 2, 3])
    feeds.work()
    for sink in (wide, narrow):
        assert sorted(sink.sequences) == [*range(1, 1061)]
        for entity in ("1", "2", "3"):
            own = [one.sequence for one in sink.taken if one.entity == entity]
            assert own == sorted(own)
        assert all(len({one.entity for one in call}) == len(call) for call in sink.calls)
    assert max(len(call) for call in wide.calls) >= 200


def test_lag_says_how_many_are_behind_and_how_old_the_oldest_is(feeds: FeedBench) -> None:
    sink = feeds.feed()
    sink.say = lambda _: DOWN
    feeds.publish(3)
    feeds.work()
    status = feeds.status()
    assert status.lag_events == 3
    assert status.lag_seconds >= 0
    assert feeds.store.statuses(["s1", "none"]).keys() == {"s1"}
