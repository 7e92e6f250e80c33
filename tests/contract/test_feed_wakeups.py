"""A feed's wake-ups: at most one is outstanding, none is lost for good, and one worker at a time has the feed."""

from __future__ import annotations

from app.events.feeds.model import Ack, Read
from tests.support.feeds import OTHER, TOPIC, FeedBench

READ = Read(50, 1 << 20, 50)


def test_many_entries_make_one_wake_up_and_the_worker_takes_them_all(feeds: FeedBench) -> None:
    sink = feeds.feed()
    feeds.publish(3)
    feeds.publish(2)
    assert feeds.messages() == ["s1"]
    assert feeds.runner.run("s1") == "listening"
    assert sink.sequences == [1, 2, 3, 4, 5]
    assert [one.previous for one in sink.taken] == [0, 1, 2, 3, 4]
    feeds.is_settled()
    feeds.publish()
    assert feeds.messages() == ["s1"]


def test_what_is_published_while_a_worker_has_the_feed_needs_no_wake_up(feeds: FeedBench) -> None:
    sink = feeds.feed()
    feeds.publish()
    feeds.messages()
    sink.during = lambda: None if len(sink.calls) > 2 else (feeds.publish(), None)[1]
    assert feeds.runner.run("s1") == "listening"
    assert sink.sequences == [1, 2, 3, 4]
    assert feeds.messages() == []


def test_a_filter_wakes_for_its_names_only_and_its_chain_leaves_the_others_out(feeds: FeedBench) -> None:
    sink = feeds.feed(topics={TOPIC: ["asset-deleted"]})
    feeds.publish(2)
    assert feeds.messages() == []
    assert feeds.status().lag_events == 0
    feeds.publish(name="asset-deleted")
    assert feeds.messages() == ["s1"]
    feeds.publish(3)
    feeds.publish(name="asset-deleted")
    feeds.runner.run("s1")
    assert [(one.sequence, one.previous) for one in sink.taken] == [(3, 0), (7, 3)]
    assert feeds.status().cursor == {TOPIC: 7}


def test_a_feed_of_two_topics_is_woken_by_either_and_once_by_both(feeds: FeedBench) -> None:
    sink = feeds.feed(topics={TOPIC: (), OTHER: ()})
    feeds.publish()
    feeds.publish(topic=OTHER)
    assert feeds.messages() == ["s1"]
    feeds.runner.run("s1")
    assert [(one.topic, one.sequence) for one in sink.taken] == [(TOPIC, 1), (OTHER, 1)]
    feeds.publish(topic=OTHER)
    assert feeds.work() == ["listening"]
    feeds.is_settled()


def test_a_second_message_for_the_same_feed_finds_it_taken(feeds: FeedBench) -> None:
    feeds.feed()
    feeds.publish()
    assert feeds.machine.claim("s1", 0, READ) is not None
    assert feeds.machine.claim("s1", 0, READ) is None
    assert feeds.runner.run("s1") == "nothing"


def test_a_message_that_comes_twice_does_nothing_the_second_time(feeds: FeedBench) -> None:
    sink = feeds.feed()
    feeds.publish()
    assert [feeds.runner.run("s1"), feeds.runner.run("s1")] == ["listening", "nothing"]
    assert sink.sequences == [1]
    assert feeds.runner.run("unknown") == "nothing"


def test_a_lost_wake_up_is_made_good_by_the_tick(feeds: FeedBench) -> None:
    sink = feeds.feed()
    feeds.publish()
    feeds.messages()  # popped by a worker that died
    feeds.tick(4)
    assert feeds.messages() == []
    feeds.tick(2)
    assert feeds.work() == ["listening"]
    assert sink.sequences == [1]


def test_a_wake_up_that_still_waits_in_its_queue_isnt_sent_again(feeds: FeedBench) -> None:
    feeds.feed()
    feeds.publish()
    for _ in range(5):
        feeds.tick(6)
    assert feeds.messages() == ["s1"]


def test_what_a_dead_worker_had_goes_on_after_its_lease(feeds: FeedBench) -> None:
    sink = feeds.feed()
    feeds.publish(2)
    feeds.messages()
    dead = feeds.machine.claim("s1", 0, READ)
    assert dead is not None
    feeds.tick(5)
    assert feeds.messages() == []
    assert feeds.machine.renew([("s1", dead.token)]) == [True]
    feeds.tick(5)
    assert feeds.messages() == []
    feeds.tick(5)
    assert feeds.work() == ["listening"]
    assert sink.sequences == [1, 2]
    assert feeds.machine.renew([("s1", dead.token)]) == [False]
    late = feeds.machine.ack(dead, 1, Ack(cursor={TOPIC: (1, 1)}, delivered=True, counts={"delivered": 1}))
    assert (late.going_on, late.word) == (False, "lost")
    assert feeds.status().cursor == {TOPIC: 2}
    assert feeds.status().counters["reclaims"] == 1
    feeds.is_settled()


def test_an_acknowledgement_that_is_repeated_counts_once_and_loses_nothing(feeds: FeedBench) -> None:
    sink = feeds.feed()
    feeds.publish(2)
    feeds.messages()
    claimed = feeds.machine.claim("s1", 0, READ)
    assert claimed is not None
    word = Ack(cursor={TOPIC: (1, 1)}, delivered=True, counts={"delivered": 1}, read=READ)
    assert feeds.machine.ack(claimed, 1, word).going_on
    again = feeds.machine.ack(claimed, 1, word)  # the answer to the first was lost
    assert (again.going_on, again.word) == (False, "repeated")
    assert feeds.status().counters["delivered"] == 1
    assert feeds.work() == ["listening"]
    assert sink.sequences == [2]


def test_the_clock_of_the_server_set_back_an_hour_delays_nothing_by_more_than_a_lease(
    feeds: FeedBench,
) -> None:
    for name in ("taken", "awake", "idle", "resting"):
        feeds.feed(name)
    feeds.publish()
    feeds.messages()
    feeds.runner.run("idle")
    dead = feeds.machine.claim("taken", 0, READ)
    resting = feeds.machine.claim("resting", 0, READ)
    assert dead is not None
    assert resting is not None
    feeds.machine.ack(resting, 1, Ack(rest_ms=60_000, failure=("x", "y"), failed_calls=1))
    feeds.tick()
    feeds.pass_time(-3600)
    feeds.publish()
    for _ in range(10):
        feeds.tick(1)
        feeds.work()
    for name in ("taken", "awake", "idle", "resting"):
        assert feeds.sinks.sinks[name].sequences == [1, 2], name
        feeds.is_settled(name)


def test_the_audit_mends_a_feed_that_stands_nowhere(feeds: FeedBench) -> None:
    sink = feeds.feed()
    feeds.client.delete(feeds.keys.listening(TOPIC))  # as a script that broke off might leave it
    feeds.publish()
    assert feeds.messages() == []
    assert feeds.machine.audit() == 1
    assert feeds.work() == ["listening"]
    assert sink.sequences == [1]
    feeds.client.hset(feeds.keys.feed("s1"), "wake", "1")
    assert feeds.machine.audit() == 1
    feeds.tick(6)
    assert feeds.work() == ["nothing"]
    feeds.is_settled()
    assert feeds.machine.audit() == 0


def test_a_backlog_is_worked_off_in_slices_by_the_workers_for_that(feeds: FeedBench) -> None:
    feeds.rebuild(slice_s=0.0)
    sink = feeds.feed()
    feeds.publish(3)
    assert feeds.messages() == ["s1"]
    assert feeds.runner.run("s1") == "awake"
    assert (feeds.messages(), feeds.messages("deliveries-slow")) == ([], ["s1"])
    feeds.rebuild(slice_s=60.0)
    assert feeds.runner.run("s1") == "listening"
    assert sink.sequences == [1, 2, 3]
    feeds.publish()
    assert feeds.messages() == ["s1"]
