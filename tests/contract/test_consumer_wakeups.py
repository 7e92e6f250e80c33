"""A consumer's wake-ups: at most one is outstanding, none is lost for good, and one worker at a time has the consumer."""

from __future__ import annotations

from app.events.consumers.acknowledgement import Ack, CallReport, Place, Stop
from app.events.consumers.model import ReadLimits
from tests.support.consumers import OTHER, TOPIC, ConsumerBench

READ = ReadLimits(50, 1 << 20, 50)
DELIVERED = CallReport(delivered=True, counts={"delivered": 1})


def test_many_entries_make_one_wake_up_and_the_worker_takes_them_all(consumers: ConsumerBench) -> None:
    sink = consumers.consumer()
    consumers.publish(3)
    consumers.publish(2)
    assert consumers.messages() == ["s1"]
    assert consumers.runner.run("s1") == "listening"
    assert sink.sequences == [1, 2, 3, 4, 5]
    assert [one.previous for one in sink.taken] == [0, 1, 2, 3, 4]
    consumers.stands_in_one_place()
    consumers.publish()
    assert consumers.messages() == ["s1"]


def test_what_is_published_while_a_worker_has_the_consumer_needs_no_wake_up(consumers: ConsumerBench) -> None:
    sink = consumers.consumer()
    consumers.publish()
    consumers.messages()
    sink.during = lambda: None if len(sink.calls) > 2 else (consumers.publish(), None)[1]
    assert consumers.runner.run("s1") == "listening"
    assert sink.sequences == [1, 2, 3, 4]
    assert consumers.messages() == []


def test_a_filter_wakes_for_its_names_only_and_its_chain_leaves_the_others_out(
    consumers: ConsumerBench,
) -> None:
    sink = consumers.consumer(topics={TOPIC: ["asset-deleted"]})
    consumers.publish(2)
    assert consumers.messages() == []
    assert consumers.status().lag_events == 0
    consumers.publish(name="asset-deleted")
    assert consumers.messages() == ["s1"]
    consumers.publish(3)
    consumers.publish(name="asset-deleted")
    consumers.runner.run("s1")
    assert [(one.sequence, one.previous) for one in sink.taken] == [(3, 0), (7, 3)]
    assert consumers.status().cursor == {TOPIC: 7}


def test_a_consumer_of_two_topics_is_woken_by_either_and_once_by_both(consumers: ConsumerBench) -> None:
    sink = consumers.consumer(topics={TOPIC: (), OTHER: ()})
    consumers.publish()
    consumers.publish(topic=OTHER)
    assert consumers.messages() == ["s1"]
    consumers.runner.run("s1")
    assert [(one.topic, one.sequence) for one in sink.taken] == [(TOPIC, 1), (OTHER, 1)]
    consumers.publish(topic=OTHER)
    assert consumers.work() == ["listening"]
    consumers.stands_in_one_place()


def test_a_second_message_for_the_same_consumer_finds_it_taken(consumers: ConsumerBench) -> None:
    consumers.consumer()
    consumers.publish()
    assert consumers.claims.claim("s1", 0, READ) is not None
    assert consumers.claims.claim("s1", 0, READ) is None
    assert consumers.runner.run("s1") == "nothing"


def test_a_message_that_comes_twice_does_nothing_the_second_time(consumers: ConsumerBench) -> None:
    sink = consumers.consumer()
    consumers.publish()
    assert [consumers.runner.run("s1"), consumers.runner.run("s1")] == ["listening", "nothing"]
    assert sink.sequences == [1]
    assert consumers.runner.run("unknown") == "nothing"


def test_a_lost_wake_up_is_made_good_by_the_tick(consumers: ConsumerBench) -> None:
    sink = consumers.consumer()
    consumers.publish()
    consumers.messages()  # popped by a worker that died
    consumers.tick(4)
    assert consumers.messages() == []
    consumers.tick(2)
    assert consumers.work() == ["listening"]
    assert sink.sequences == [1]


def test_a_wake_up_that_still_waits_in_its_queue_isnt_sent_again(consumers: ConsumerBench) -> None:
    consumers.consumer()
    consumers.publish()
    for _ in range(5):
        consumers.tick(6)
    assert consumers.messages() == ["s1"]


def test_what_a_dead_worker_had_goes_on_after_its_lease(consumers: ConsumerBench) -> None:
    sink = consumers.consumer()
    consumers.publish(2)
    consumers.messages()
    dead = consumers.claims.claim("s1", 0, READ)
    assert dead is not None
    consumers.tick(5)
    assert consumers.messages() == []
    assert consumers.claims.renew([("s1", dead.token)]) == [True]
    consumers.tick(5)
    assert consumers.messages() == []
    consumers.tick(5)
    assert consumers.work() == ["listening"]
    assert sink.sequences == [1, 2]
    assert consumers.claims.renew([("s1", dead.token)]) == [False]
    late = consumers.claims.ack(dead, 1, Ack(DELIVERED, Place({TOPIC: (1, 1)})))
    assert (late.going_on, late.word) == (False, "lost")
    assert consumers.status().cursor == {TOPIC: 2}
    assert consumers.status().counters["reclaims"] == 1
    consumers.stands_in_one_place()


def test_an_acknowledgement_that_is_repeated_counts_once_and_loses_nothing(consumers: ConsumerBench) -> None:
    sink = consumers.consumer()
    consumers.publish(2)
    consumers.messages()
    claimed = consumers.claims.claim("s1", 0, READ)
    assert claimed is not None
    word = Ack(DELIVERED, Place({TOPIC: (1, 1)}), read=READ)
    assert consumers.claims.ack(claimed, 1, word).going_on
    again = consumers.claims.ack(claimed, 1, word)  # the answer to the first was lost
    assert (again.going_on, again.word) == (False, "repeated")
    assert consumers.status().counters["delivered"] == 1
    assert consumers.work() == ["listening"]
    assert sink.sequences == [2]


def test_who_goes_on_has_a_whole_lease_again(consumers: ConsumerBench) -> None:
    consumers.consumer()
    consumers.publish(2)
    consumers.messages()
    claimed = consumers.claims.claim("s1", 0, READ)
    assert claimed is not None
    consumers.pass_time(5)
    word = Ack(DELIVERED, Place({TOPIC: (1, 1)}), read=READ)
    assert consumers.claims.ack(claimed, 1, word).going_on
    consumers.tick(5)  # longer than a lease, since the claim
    assert consumers.claims.ack(claimed, 2, Ack(DELIVERED, Place({TOPIC: (2, 2)}))).word == "listening"


def test_the_clock_of_the_server_set_back_an_hour_delays_nothing_by_more_than_a_lease(
    consumers: ConsumerBench,
) -> None:
    for name in ("taken", "awake", "idle", "resting"):
        consumers.consumer(name)
    consumers.publish()
    consumers.messages()
    consumers.runner.run("idle")
    dead = consumers.claims.claim("taken", 0, READ)
    resting = consumers.claims.claim("resting", 0, READ)
    assert dead is not None
    assert resting is not None
    consumers.claims.ack(
        resting, 1, Ack(CallReport(failure=("x", "y"), failed_calls=1), stop=Stop(rest_ms=60_000))
    )
    consumers.tick()
    consumers.pass_time(-3600)
    consumers.publish()
    for _ in range(10):
        consumers.tick(1)
        consumers.work()
    for name in ("taken", "awake", "idle", "resting"):
        assert consumers.sinks.sinks[name].sequences == [1, 2], name
        consumers.stands_in_one_place(name)


def test_the_audit_mends_a_consumer_that_stands_nowhere(consumers: ConsumerBench) -> None:
    sink = consumers.consumer()
    consumers.client.delete(consumers.keys.listening(TOPIC))  # as a script that broke off might leave it
    consumers.publish()
    assert consumers.messages() == []
    assert consumers.ticks.audit() == 1
    assert consumers.work() == ["listening"]
    assert sink.sequences == [1]
    consumers.client.hset(consumers.keys.consumer("s1"), "wake", "1")
    assert consumers.ticks.audit() == 1
    consumers.tick(6)
    assert consumers.work() == ["nothing"]
    consumers.stands_in_one_place()
    assert consumers.ticks.audit() == 0


def test_a_backlog_is_worked_off_in_slices_by_the_workers_for_that(consumers: ConsumerBench) -> None:
    consumers.rebuild(slice_s=0.0)
    sink = consumers.consumer()
    consumers.publish(3)
    assert consumers.messages() == ["s1"]
    assert consumers.runner.run("s1") == "awake"
    assert (consumers.messages(), consumers.messages("deliveries-slow")) == ([], ["s1"])
    consumers.rebuild(slice_s=60.0)
    assert consumers.runner.run("s1") == "listening"
    assert sink.sequences == [1, 2, 3]
    consumers.publish()
    assert consumers.messages() == ["s1"]
