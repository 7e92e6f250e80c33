"""What a consumer reads of the log: everything it wants, in bounded pieces, and what retention has taken away is said."""

from __future__ import annotations

import time

import pytest

from app.events.consumers.model import ReadLimits
from app.events.sinks.base import Limits
from tests.support.consumers import DOWN, OK, OTHER, START_MS, TOPIC, ConsumerBench, FakeSink

MANY = Limits(events=500, bytes=5 << 20, event_bytes=1 << 20, one_per_key=True)


def trim(consumers: ConsumerBench, before: int, topic: str = TOPIC) -> None:
    """As retention does: everything older than this sequence."""
    consumers.client.xtrim(consumers.keys.log(topic), minid=f"{before}-0", approximate=False)


def test_a_cursor_that_retention_has_overtaken_is_reported_and_goes_on_with_the_oldest(
    consumers: ConsumerBench,
) -> None:
    sink = consumers.consumer()
    consumers.publish(2)
    consumers.work()
    consumers.store.pause("s1")
    consumers.publish(8)
    trim(consumers, 8)
    consumers.store.resume("s1")
    consumers.work()
    assert [(one.sequence, one.previous) for one in sink.taken[2:]] == [(8, 7), (9, 8), (10, 9)]
    [missed] = consumers.status().missed
    assert (missed.topic, missed.first, missed.last, missed.at_ms) == (TOPIC, 3, 7, consumers.now_ms)
    assert consumers.status().counters["missed"] == 5
    [told] = consumers.told()
    assert (told["eventName"], told["subscriptionId"], told["topic"]) == ("subscription-gap", "s1", TOPIC)
    assert (told["from"], told["to"]) == (3, 7)


def test_a_log_that_is_empty_by_now_is_a_gap_too(consumers: ConsumerBench) -> None:
    sink = consumers.consumer()
    consumers.publish(4)
    consumers.client.delete(consumers.keys.log(TOPIC))
    assert consumers.work() == ["nothing"]
    assert [(one.first, one.last) for one in consumers.status().missed] == [(1, 4)]
    consumers.publish()
    consumers.work()
    assert [(one.sequence, one.previous) for one in sink.taken] == [(5, 4)]


def test_what_a_filter_has_let_by_is_not_missed_when_retention_takes_it(consumers: ConsumerBench) -> None:
    """Nobody wakes a consumer for what it doesn't want: for weeks, it may be."""
    sink = consumers.consumer(topics={TOPIC: ["asset-deleted"], OTHER: ["category-deleted"]})
    for last in (10, 20, 30):
        consumers.publish(10)
        consumers.publish(10, OTHER)
        assert consumers.ticks.audit() == 1
        assert consumers.work() == ["nothing"]
        assert consumers.status().cursor == {TOPIC: last, OTHER: last}
        assert consumers.ticks.audit() == 0
        for topic in (TOPIC, OTHER):
            trim(consumers, last - 2, topic)
    consumers.publish(name="asset-deleted")
    consumers.work()
    assert [(one.sequence, one.previous) for one in sink.taken] == [(31, 0)]
    assert (consumers.status().missed, consumers.told()) == ((), [])


def test_a_log_that_turns_over_between_two_audits_takes_nothing_from_a_filter_that_listens(
    consumers: ConsumerBench,
) -> None:
    sink = consumers.consumer(topics={TOPIC: ["asset-deleted"], OTHER: ["category-deleted"]})
    for topic in (TOPIC, OTHER):
        consumers.publish(10, topic)
        trim(consumers, 9, topic)
    consumers.publish(name="asset-deleted")  # on the other topic nothing has woken it
    trim(consumers, 11)
    consumers.work()
    for topic in (TOPIC, OTHER):
        consumers.publish(10, topic)
        consumers.client.delete(consumers.keys.log(topic))
    assert consumers.ticks.audit() == 1
    consumers.work()
    assert [(one.sequence, one.previous) for one in sink.taken] == [(11, 0)]
    assert (consumers.status().missed, consumers.status().cursor) == ((), {TOPIC: 21, OTHER: 20})


def test_what_a_filter_wanted_is_missed_when_it_is_gone(consumers: ConsumerBench) -> None:
    sink = consumers.consumer(topics={TOPIC: ["asset-deleted"]})
    consumers.publish(5)
    consumers.publish(name="asset-deleted")
    consumers.publish(5)
    trim(consumers, 9)
    consumers.work()
    assert sink.taken == []
    assert [(one.first, one.last) for one in consumers.status().missed] == [(6, 8)]


def test_what_comes_while_a_worker_has_the_filter_is_no_gap_either(consumers: ConsumerBench) -> None:
    sink = consumers.consumer(topics={TOPIC: ["asset-deleted"], OTHER: ["category-deleted"]})

    def meanwhile() -> None:
        if not sink.calls:
            consumers.publish(10, OTHER)
            consumers.publish(1, OTHER, "category-deleted")
            trim(consumers, 9, OTHER)

    sink.during = meanwhile
    consumers.publish(2, name="asset-deleted")
    consumers.work()
    assert [(one.topic, one.sequence) for one in sink.taken] == [(TOPIC, 1), (TOPIC, 2), (OTHER, 11)]
    assert consumers.status().missed == ()


def test_who_begins_with_the_oldest_has_missed_nothing(consumers: ConsumerBench) -> None:
    consumers.publish(5)
    trim(consumers, 4)
    sink = consumers.consumer(start={TOPIC: 0})
    consumers.work()
    assert [(one.sequence, one.previous) for one in sink.taken] == [(4, 0), (5, 4)]
    assert consumers.status().missed == ()


def test_a_hole_in_the_log_is_no_gap(consumers: ConsumerBench) -> None:
    sink = consumers.consumer()
    consumers.publish(1)
    consumers.client.incr(consumers.keys.log_sequence(TOPIC))  # of a script that broke off
    consumers.publish(1)
    consumers.work()
    assert [(one.sequence, one.previous) for one in sink.taken] == [(1, 0), (3, 1)]
    consumers.client.incr(consumers.keys.log_sequence(TOPIC))
    assert consumers.ticks.audit() == 0
    consumers.publish()
    consumers.work()
    assert (sink.sequences, consumers.status().missed) == ([1, 3, 5], ())


def test_retention_that_overtakes_what_waits_for_a_retry_is_reported(consumers: ConsumerBench) -> None:
    sink = consumers.consumer(ordered=False, in_flight=2)
    sink.say = lambda one: DOWN if one.sequence == 1 else OK
    consumers.publish(3)
    consumers.work()
    trim(consumers, 3)
    consumers.tick(2)
    consumers.work()
    assert [(one.first, one.last) for one in consumers.status().missed] == [(1, 1)]
    assert (consumers.status().open, sorted(sink.sequences)) == (0, [2, 3])
    consumers.stands_in_one_place()


def test_a_log_that_began_anew_is_delivered_from_its_start(consumers: ConsumerBench) -> None:
    sink = consumers.consumer()
    consumers.publish(5)
    consumers.work()
    consumers.client.delete(consumers.keys.log(TOPIC), consumers.keys.log_sequence(TOPIC))
    consumers.publish(2)
    consumers.work()
    assert [(one.sequence, one.previous) for one in sink.taken[5:]] == [(1, 0), (2, 1)]


def test_a_filter_s_chain_begins_anew_with_the_log(consumers: ConsumerBench) -> None:
    sink = consumers.consumer(topics={TOPIC: ["asset-created"]})
    consumers.publish(2)
    consumers.work()
    consumers.client.delete(consumers.keys.log(TOPIC), consumers.keys.log_sequence(TOPIC))
    consumers.publish(1, name="asset-deleted")
    consumers.ticks.audit()
    consumers.work()
    consumers.publish(1)
    consumers.work()
    assert (sink.taken[-1].sequence, sink.taken[-1].previous) == (2, 0)


def test_of_many_gaps_the_newest_are_named(consumers: ConsumerBench) -> None:
    consumers.consumer()
    for _ in range(22):
        consumers.store.pause("s1")
        trim(consumers, consumers.publish(2)[-1])
        consumers.store.resume("s1")
        consumers.work()
    missed = consumers.status().missed
    assert [one.first for one in missed] == list(range(5, 45, 2))
    assert consumers.status().counters["missed"] == 22


def test_a_log_that_began_anew_and_lost_its_beginning_is_delivered_from_what_there_is(
    consumers: ConsumerBench,
) -> None:
    sink = consumers.consumer()
    consumers.publish(9)
    consumers.work()
    consumers.client.delete(consumers.keys.log(TOPIC), consumers.keys.log_sequence(TOPIC))
    consumers.publish(4)
    trim(consumers, 3)
    consumers.work()
    assert [(one.sequence, one.previous) for one in sink.taken[9:]] == [(3, 0), (4, 3)]
    assert (consumers.status().missed, consumers.told()) == ((), [])


def test_large_events_are_read_a_few_at_a_time_and_one_always_goes(consumers: ConsumerBench) -> None:
    sink = consumers.consumer(sink=FakeSink(MANY))
    consumers.publish(30, pad=100_000, about=[*range(30)])
    consumers.messages()
    claimed = consumers.claims.claim("s1", 0, ReadLimits(500, 1 << 20, 0))
    assert claimed is not None
    assert len(claimed.items) == 10
    assert claimed.more
    consumers.tick(20)
    consumers.work()
    assert sink.sequences == [*range(1, 31)]
    consumers.publish(2, pad=900_000)
    consumers.messages()
    alone = consumers.claims.claim("s1", 0, ReadLimits(500, 1000, 0))
    assert alone is not None
    assert [item.delivery.sequence for item in alone.items] == [31]


def test_a_filter_that_lets_little_through_is_read_in_bounded_pieces(consumers: ConsumerBench) -> None:
    for _ in range(3):
        consumers.publish(1000)
    consumers.publish(name="asset-deleted")
    sink = consumers.consumer(topics={TOPIC: ["asset-deleted"]}, start={TOPIC: 0})
    consumers.messages()
    claimed = consumers.claims.claim("s1", 0, ReadLimits(500, 1 << 20, 0))
    assert claimed is not None
    assert (claimed.items, claimed.more) == ((), True)
    assert 1000 <= claimed.position[TOPIC][0] < 1200
    consumers.tick(20)
    assert consumers.work() == ["listening"]
    assert sink.sequences == [3001]
    assert consumers.status().cursor == {TOPIC: 3001}


def test_a_filter_that_listens_goes_straight_to_what_it_wants(consumers: ConsumerBench) -> None:
    sink = consumers.consumer(topics={TOPIC: ["asset-deleted"]})
    for _ in range(3):
        consumers.publish(1000)
    consumers.publish(name="asset-deleted")
    consumers.messages()
    claimed = consumers.claims.claim("s1", 0, ReadLimits(1, 1 << 20, 0))
    assert claimed is not None
    assert [item.delivery.sequence for item in claimed.items] == [3001]
    consumers.tick(20)
    consumers.work()
    assert (sink.sequences, consumers.status().missed) == ([3001], ())


def test_what_a_filter_passes_over_is_noted_before_retention_makes_a_gap_of_it(
    consumers: ConsumerBench,
) -> None:
    consumers.consumer(topics={TOPIC: ["asset-deleted"]})
    consumers.publish(900)
    assert consumers.work() == []
    assert consumers.ticks.audit() == 1
    assert consumers.work() == ["nothing"]
    consumers.publish(800)
    assert consumers.ticks.audit() == 0, "the log has more than twice as much"
    for _ in range(5):
        consumers.publish(1000)
    assert consumers.ticks.audit() == 1
    assert consumers.work() == ["listening"]
    assert consumers.status().cursor == {TOPIC: 6700}
    consumers.stands_in_one_place()


def test_no_topic_waits_for_the_backlog_of_another(consumers: ConsumerBench) -> None:
    consumers.consumer(topics={TOPIC: (), OTHER: ()})
    consumers.publish(600)
    consumers.pass_time(1)
    consumers.publish(600, topic=OTHER)
    consumers.messages()
    claimed = consumers.claims.claim("s1", 0, ReadLimits(100, 1 << 20, 0))
    assert claimed is not None
    counts = {topic: sum(item.delivery.topic == topic for item in claimed.items) for topic in (TOPIC, OTHER)}
    assert counts == {TOPIC: 50, OTHER: 50}


def test_the_order_of_a_topic_is_kept_where_the_clock_went_back_between_its_events(
    consumers: ConsumerBench,
) -> None:
    sink = consumers.consumer(topics={TOPIC: (), OTHER: ()})
    for step in (0, -7200, 3600):
        consumers.pass_time(step)
        consumers.publish(2)
        consumers.publish(2, topic=OTHER)
    consumers.tick(10)
    consumers.work()
    for topic in (TOPIC, OTHER):
        assert [one.sequence for one in sink.taken if one.topic == topic] == [1, 2, 3, 4, 5, 6]


def test_many_entities_fill_calls_and_few_keep_their_order(consumers: ConsumerBench) -> None:
    wide, narrow = (
        consumers.consumer("wide", sink=FakeSink(MANY)),
        consumers.consumer("narrow", sink=FakeSink(MANY)),
    )
    narrow.limits = Limits(events=500, bytes=5 << 20, event_bytes=1 << 20, one_per_key=True)
    consumers.publish(1000, about=[*range(1000)])
    consumers.publish(60, about=[1, 2, 3])
    consumers.work()
    for sink in (wide, narrow):
        assert sorted(sink.sequences) == [*range(1, 1061)]
        for entity in ("1", "2", "3"):
            own = [one.sequence for one in sink.taken if one.entity == entity]
            assert own == sorted(own)
        assert all(len({one.entity for one in call}) == len(call) for call in sink.calls)
    assert max(len(call) for call in wide.calls) >= 200


def test_lag_says_how_many_are_behind_and_how_old_the_oldest_is(consumers: ConsumerBench) -> None:
    sink = consumers.consumer()
    sink.say = lambda _: DOWN
    consumers.publish(3)
    consumers.work()
    status = consumers.status()
    assert status.lag_events == 3
    assert status.lag_seconds == pytest.approx(time.time() - START_MS / 1000, abs=60), "by the server's clock"
    assert consumers.store.statuses(["s1", "none"]).keys() == {"s1"}
