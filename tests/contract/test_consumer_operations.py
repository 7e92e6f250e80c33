"""Pause, change, delete and replay at any moment of a consumer's life."""

from __future__ import annotations

import pytest

from app.events.consumers.acknowledgement import Ack, CallReport, Place
from app.events.consumers.model import Acked, Claimed, ConsumerState, ReadLimits
from app.local.layout import new_key
from app.platform.encryption import Encryption
from app.platform.errors import Conflict, NotFound
from tests.support.consumers import DOWN, GONE, OK, OTHER, REFUSED, TOPIC, ConsumerBench

READ = ReadLimits(50, 1 << 20, 50)


@pytest.mark.parametrize("moment", ["listening", "awake", "taken", "resting"])
def test_a_paused_consumer_sends_nothing_and_loses_nothing(consumers: ConsumerBench, moment: str) -> None:
    sink = consumers.consumer()
    if moment == "resting":
        sink.say = lambda _: DOWN
    if moment != "listening":
        consumers.publish()
    if moment == "resting":
        consumers.work()
        sink.say = lambda _: OK
    claimed = consumers.claims.claim("s1", 0, READ) if moment == "taken" else None
    assert consumers.store.pause("s1", "operator")
    assert not consumers.store.pause("s1", "operator")
    if claimed is not None:
        assert (
            consumers.claims.ack(claimed, 1, Ack(place=Place({TOPIC: (1, 1)}), read=READ)).word == "stopped"
        )
    consumers.publish(2)
    for _ in range(4):
        consumers.tick(400)
        assert set(consumers.work()) <= {"nothing"}
    consumers.stands_in_one_place()
    status = consumers.status()
    assert (status.state, status.reason, sink.sequences) == (ConsumerState.PAUSED, "operator", [])
    assert consumers.store.resume("s1")
    assert not consumers.store.resume("s1")
    assert consumers.work() == ["listening"]
    assert sink.sequences == {"listening": [1, 2], "taken": [2, 3]}.get(moment, [1, 2, 3])
    consumers.stands_in_one_place()


def test_a_consumer_whose_worker_died_while_it_was_paused_goes_on_after_it_is_resumed(
    consumers: ConsumerBench,
) -> None:
    sink = consumers.consumer()
    consumers.publish()
    consumers.messages()
    assert consumers.claims.claim("s1", 0, READ) is not None
    consumers.store.pause("s1")
    consumers.tick(60)
    consumers.store.resume("s1")
    consumers.tick(1)
    assert consumers.work() == ["listening"]
    assert sink.sequences == [1]


def test_a_new_topic_begins_now_one_that_stays_keeps_its_place_and_one_that_goes_is_forgotten(
    consumers: ConsumerBench,
) -> None:
    sink = consumers.consumer()
    consumers.publish(2)
    consumers.publish(3, topic=OTHER)
    consumers.store.update(consumers.spec(topics={TOPIC: ["asset-deleted"], OTHER: ()}))
    consumers.publish(topic=OTHER)
    consumers.work()
    assert [(one.topic, one.sequence, one.previous) for one in sink.taken] == [(OTHER, 4, 0)]
    assert consumers.status().cursor == {TOPIC: 2, OTHER: 4}
    consumers.store.update(consumers.spec(topics={OTHER: ()}))
    assert consumers.status().cursor == {OTHER: 4}
    consumers.publish()
    assert consumers.work() == []
    consumers.stands_in_one_place()


@pytest.mark.parametrize("ordered", [True, False])
def test_a_topic_put_back_during_a_delivery_begins_where_it_is_told_to(
    consumers: ConsumerBench, *, ordered: bool
) -> None:
    sink = consumers.consumer(ordered=ordered)
    consumers.publish(3)

    def meanwhile() -> None:
        if not sink.calls:
            consumers.store.update(consumers.spec(topics={OTHER: ()}, ordered=ordered))
            consumers.store.update(
                consumers.spec(topics={TOPIC: (), OTHER: ()}, start={TOPIC: 0}, ordered=ordered)
            )

    sink.during = meanwhile
    consumers.work()
    assert sink.sequences == [1, 1, 2, 3], "the first of them under the configuration before"
    assert consumers.status().cursor == {TOPIC: 3, OTHER: 0}
    consumers.stands_in_one_place()


@pytest.mark.parametrize("said_again", [True, False])
def test_what_was_delivered_ahead_of_a_topic_put_back_comes_again(
    consumers: ConsumerBench, *, said_again: bool
) -> None:
    sink = consumers.consumer()
    consumers.publish(3)
    consumers.messages()
    claimed = consumers.claims.claim("s1", 0, READ)
    assert claimed is not None
    ahead = [f"{TOPIC}|3"]
    assert consumers.claims.ack(claimed, 1, Ack(place=Place({TOPIC: (1, 1)}, ahead), read=READ)).going_on
    consumers.store.update(consumers.spec(topics={OTHER: ()}))
    consumers.store.update(consumers.spec(topics={TOPIC: ()}, start={TOPIC: 0}))
    last = Ack(place=Place({TOPIC: (2, 2)}, ahead if said_again else None), read=READ)
    assert not consumers.claims.ack(claimed, 2, last).going_on
    consumers.work()
    assert sink.sequences == [1, 2, 3]


def test_what_a_call_has_delivered_under_a_configuration_before_counts_for_topics_that_stayed(
    consumers: ConsumerBench,
) -> None:
    sink = consumers.consumer(topics={TOPIC: (), OTHER: ()})
    consumers.publish(2)
    sink.during = lambda: None if sink.calls else consumers.store.update(consumers.spec(topics={TOPIC: ()}))
    consumers.work()
    assert sink.sequences == [1, 2]


def test_a_consumer_begins_where_it_was_told_to(consumers: ConsumerBench) -> None:
    consumers.publish(5)
    starts = {"now": {}, "beginning": {TOPIC: 0}, "later": {TOPIC: 3}, "wrong": {TOPIC: 99}}
    sinks = {name: consumers.consumer(name, start=start) for name, start in starts.items()}
    consumers.work()
    assert {name: sink.sequences for name, sink in sinks.items()} == {
        "now": [], "beginning": [1, 2, 3, 4, 5], "later": [4, 5], "wrong": [],
    }  # fmt: skip


def test_a_changed_sink_is_used_from_the_next_call_on(consumers: ConsumerBench) -> None:
    old = consumers.consumer()
    consumers.publish(3)
    changed = consumers.spec()
    object.__setattr__(changed, "sink", {"name": "elsewhere"})
    old.during = lambda: None if old.calls else consumers.store.update(changed)
    consumers.work()
    assert old.sequences == [1]
    assert consumers.sinks.sinks["elsewhere"].sequences == [2, 3]
    assert old.closed


def test_a_changed_consumer_doesnt_wait_for_the_rest_of_its_rest(consumers: ConsumerBench) -> None:
    sink = consumers.consumer()
    sink.say = lambda _: DOWN
    consumers.publish()
    consumers.work()
    sink.say = lambda _: OK
    consumers.store.update(consumers.spec())
    assert consumers.work() == ["listening"]
    assert sink.sequences == [1]


def test_a_deleted_consumer_leaves_nothing_behind_and_its_worker_is_told(consumers: ConsumerBench) -> None:
    sink = consumers.consumer()
    consumers.publish(3)
    sink.during = lambda: None if sink.calls else consumers.store.delete("s1")
    consumers.messages()
    assert consumers.runner.run("s1") == "lost"
    assert sink.sequences == [1]
    consumers.publish()
    assert consumers.work() == []
    assert consumers.store.status("s1") is None
    left = {
        key.decode().removeprefix(consumers.keys.prefix)
        for key in consumers.client.scan_iter(f"{consumers.keys.prefix}*")
    }
    assert not {key for key in left if "s1" in key}
    with pytest.raises(NotFound):
        consumers.store.delete("s1")
    with pytest.raises(NotFound):
        consumers.store.pause("s1")


def test_a_subscription_and_its_consumer_are_written_together(consumers: ConsumerBench) -> None:
    record = consumers.keys.subscription("s1")
    consumers.store.create(
        consumers.spec(), also=[["HSET", record, "config", "{}"], ["ZADD", "x:list", "1", "s1"]]
    )
    assert consumers.client.hgetall(record) == {b"config": b"{}"}
    with pytest.raises(Conflict):
        consumers.store.create(consumers.spec(), also=[["HSET", record, "config", "other"]])
    assert consumers.client.hget(record, "config") == b"{}"
    consumers.store.delete("s1", also=[["DEL", record]])
    assert not consumers.client.exists(record)


# Replays --------------------------------------------------------------------------------------------------------------


def test_a_replay_delivers_once_more_beside_the_live_consumer(consumers: ConsumerBench) -> None:
    sink = consumers.consumer()
    consumers.publish(2)
    consumers.pass_time(60)
    since = consumers.now_ms
    consumers.publish(3)
    consumers.work()
    sink.say = lambda one: DOWN if one.redelivery is None else OK
    consumers.publish(2)  # the live consumer hasn't handled these
    consumers.work()
    progress = consumers.store.replay("s1", since)
    assert (progress.state, progress.done, progress.total, progress.since_ms) == (
        ConsumerState.ACTIVE,
        0,
        3,
        since,
    )
    with pytest.raises(Conflict):
        consumers.store.replay("s1", since)
    sink.taken.clear()
    assert consumers.work() == ["done"]
    assert [(one.sequence, one.redelivery) for one in sink.taken] == [(n, progress.id) for n in (3, 4, 5)]
    after = consumers.store.replay_progress("s1", progress.id)
    assert after is not None
    assert (after.state, after.done, after.ended_ms) == (ConsumerState.DONE, 3, consumers.now_ms)
    status = consumers.status()
    assert (status.cursor, status.replay) == ({TOPIC: 5}, after)
    sink.say = lambda _: OK
    consumers.tick(2)
    consumers.work()
    assert [(one.sequence, one.previous) for one in sink.taken[3:]] == [(6, 5), (7, 6)]
    assert consumers.store.replay("s1", since).total == 5


def test_a_filter_that_is_widened_gets_nothing_that_it_had_let_by(consumers: ConsumerBench) -> None:
    sink = consumers.consumer(topics={TOPIC: ["asset-deleted"]})
    consumers.publish(3)
    consumers.publish(name="asset-deleted")
    consumers.work()
    consumers.publish(3)
    consumers.store.update(consumers.spec(topics={TOPIC: ["asset-created", "asset-deleted"]}))
    assert consumers.work() == []
    consumers.stands_in_one_place()
    consumers.publish()
    consumers.work()
    assert [(one.sequence, one.previous) for one in sink.taken] == [(4, 0), (8, 4)]


@pytest.mark.parametrize(("together_s", "words"), [(3600.0, 3), (0.0, 120)])
def test_a_replays_successes_are_written_down_together(
    consumers: ConsumerBench, monkeypatch: pytest.MonkeyPatch, together_s: float, words: int
) -> None:
    monkeypatch.setattr("app.events.consumers.ordered._TOGETHER_S", together_s)
    sink = consumers.consumer()
    consumers.publish(120)
    consumers.work()
    assert consumers.status().counters["calls"] == 120
    progress = consumers.store.replay("s1", 0)
    sink.taken.clear()
    spoken: list[Ack] = []
    ack = consumers.claims.ack

    def counted(claimed: Claimed, turn: int, word: Ack) -> Acked:
        spoken.append(word)
        return ack(claimed, turn, word)

    monkeypatch.setattr(consumers.claims, "ack", counted)
    assert consumers.work() == ["done"]
    assert [(one.sequence, one.previous) for one in sink.taken] == [(n, n - 1) for n in range(1, 121)]
    assert len(spoken) == words
    after = consumers.store.replay_progress("s1", progress.id)
    assert after is not None
    assert (after.state, after.done, after.total) == (ConsumerState.DONE, 120, 120)
    assert len([word for word, entry in consumers.journal() if entry["redelivery"]]) == 120
    counters = consumers.client.hgetall(consumers.keys.consumer_part(f"s1.replay.{progress.id}", "counters"))
    assert (int(counters[b"calls"]), int(counters[b"delivered"])) == (120, 120)


def test_a_replay_says_which_of_its_events_retention_has_removed(consumers: ConsumerBench) -> None:
    sink = consumers.consumer()
    consumers.publish(5)
    consumers.work()
    sink.taken.clear()
    progress = consumers.store.replay("s1", 0)
    assert (progress.missed, progress.missed_events, progress.reaches_back_to_ms) == ((), 0, None)
    consumers.client.xtrim(consumers.keys.log(TOPIC), minid="4-0", approximate=False)
    assert consumers.work() == ["done"]
    after = consumers.store.replay_progress("s1", progress.id)
    assert after is not None
    assert (after.state, after.done, after.total, after.missed_events) == (ConsumerState.DONE, 2, 5, 3)
    assert [(one.topic, one.first, one.last) for one in after.missed] == [(TOPIC, 1, 3)]
    assert (sink.sequences, consumers.status().missed, consumers.status().replay) == ([4, 5], (), after)


def test_a_replay_says_how_far_back_the_log_reaches(consumers: ConsumerBench) -> None:
    sink = consumers.consumer()
    began = consumers.now_ms
    for _ in range(5):
        consumers.publish()
        consumers.pass_time(60)
    consumers.work()
    sink.taken.clear()
    consumers.client.xtrim(consumers.keys.log(TOPIC), minid="4-0", approximate=False)
    progress = consumers.store.replay("s1", began + 60_000)
    assert (progress.total, progress.reaches_back_to_ms) == (2, began + 3 * 60_000)
    assert consumers.work() == ["done"]
    assert sink.sequences == [4, 5]
    whole = consumers.store.replay("s1", began + 4 * 60_000)
    assert (whole.total, whole.reaches_back_to_ms) == (1, None)
    consumers.work()
    consumers.client.xtrim(consumers.keys.log(TOPIC), maxlen=0, approximate=False)
    nothing = consumers.store.replay("s1", began)
    assert (nothing.total, nothing.reaches_back_to_ms) == (0, consumers.now_ms)


def test_what_retention_removes_while_a_replay_begins_is_missed_by_it(
    consumers: ConsumerBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    consumers.consumer()
    consumers.publish(5)
    consumers.work()
    first_after = consumers.log.first_after

    def then_removed(topic: str, since_ms: int) -> int:
        found = first_after(topic, since_ms)
        consumers.client.xtrim(consumers.keys.log(TOPIC), minid="3-0", approximate=False)
        return found

    monkeypatch.setattr(consumers.log, "first_after", then_removed)
    progress = consumers.store.replay("s1", 0)
    assert consumers.work() == ["done"]
    after = consumers.store.replay_progress("s1", progress.id)
    assert after is not None
    assert (after.done, after.total) == (3, 3)
    assert after.reaches_back_to_ms == consumers.now_ms


def test_a_failure_in_a_replay_writes_down_what_went_before_it(consumers: ConsumerBench) -> None:
    sink = consumers.consumer()
    consumers.publish(10)
    consumers.work()
    progress = consumers.store.replay("s1", 0)
    sink.say = lambda one: DOWN if one.sequence == 6 and one.attempt == 1 else OK
    sink.taken.clear()
    assert consumers.work() == ["resting"]
    seen = consumers.store.replay_progress("s1", progress.id)
    assert seen is not None
    assert (seen.done, seen.failure and seen.failure.code) == (5, "unavailable")
    consumers.tick(2)
    assert consumers.work() == ["done"]
    assert [one.sequence for one in sink.taken] == list(range(1, 11))


def test_a_replay_that_fails_rests_for_itself_and_is_ended_by_hand(consumers: ConsumerBench) -> None:
    sink = consumers.consumer()
    consumers.publish(3)
    consumers.work()
    sink.say = lambda one: DOWN if one.redelivery else OK
    progress = consumers.store.replay("s1", 0)
    assert consumers.work() == ["resting"]
    consumers.publish()
    assert consumers.work() == ["listening"]  # the live consumer
    assert consumers.store.cancel_replay("s1", progress.id)
    consumers.tick(400)
    assert consumers.work() == []
    after = consumers.store.replay_progress("s1", progress.id)
    assert after is not None
    assert (after.state, after.done) == (ConsumerState.CANCELLED, 0)
    assert not consumers.store.cancel_replay("s1", "unknown")


def test_a_replay_stops_and_goes_on_with_its_subscription(consumers: ConsumerBench) -> None:
    sink = consumers.consumer()
    consumers.publish(3)
    consumers.work()
    sink.taken.clear()
    progress = consumers.store.replay("s1", 0)
    consumers.store.pause("s1")
    assert set(consumers.work()) == {"nothing"}
    with pytest.raises(Conflict):
        consumers.store.replay("s1", 0)
    consumers.store.resume("s1")
    assert "done" in consumers.work()
    assert sink.sequences == [1, 2, 3]
    consumers.store.delete("s1")
    assert consumers.store.replay_progress("s1", progress.id) is None


def test_a_destination_that_is_gone_for_a_replay_is_gone_for_the_subscription(
    consumers: ConsumerBench,
) -> None:
    sink = consumers.consumer()
    consumers.publish(3)
    consumers.work()
    progress = consumers.store.replay("s1", 0)
    sink.say = lambda _: GONE
    assert consumers.work() == ["stopped"]
    assert consumers.status().state is ConsumerState.DISABLED
    sink.say = lambda _: OK
    consumers.store.resume("s1")
    consumers.work()
    after = consumers.store.replay_progress("s1", progress.id)
    assert after is not None
    assert after.state is ConsumerState.DONE


def test_a_subscription_that_is_gone_takes_its_replay_with_it(consumers: ConsumerBench) -> None:
    sink = consumers.consumer()
    consumers.publish(3)
    consumers.work()
    sink.say = lambda _: DOWN
    progress = consumers.store.replay("s1", 0)
    consumers.work()  # the replay rests
    sink.say = lambda _: GONE
    consumers.publish()
    consumers.work()
    after = consumers.store.replay_progress("s1", progress.id)
    assert after is not None
    assert (after.stage, after.waiting) == ("running", "disabled")


def test_nobody_can_be_given_another_configuration(consumers: ConsumerBench) -> None:
    with pytest.raises(NotFound):
        consumers.store.update(consumers.spec("none"))
    assert consumers.store.status("none") is None


def test_a_replay_without_order_and_with_refusals_ends_too(consumers: ConsumerBench) -> None:
    sink = consumers.consumer(ordered=False, in_flight=4)
    consumers.publish(10)
    consumers.work()
    sink.taken.clear()
    sink.say = lambda one: (
        REFUSED if one.sequence == 4 else DOWN if one.sequence == 5 and one.attempt < 3 else OK
    )
    progress = consumers.store.replay("s1", 0)
    for _ in range(4):
        consumers.work()
        consumers.tick(5)
    after = consumers.store.replay_progress("s1", progress.id)
    assert after is not None
    assert (after.state, after.done) == (ConsumerState.DONE, 10)
    assert sorted(sink.sequences) == [1, 2, 3, 5, 6, 7, 8, 9, 10]
    assert consumers.status().parked == 1


def test_the_test_event_is_sent_at_once_and_moves_nothing(consumers: ConsumerBench) -> None:
    sink = consumers.consumer()
    consumers.store.pause("s1")
    outcome, request = consumers.store.test("s1")
    assert (outcome, request) == (OK, {"method": "POST", "events": 1})
    assert sink.closed
    assert (sink.taken[0].event_name, sink.taken[0].sequence) == ("subscription-test", 0)
    assert consumers.status().cursor == {TOPIC: 0}


def test_secrets_are_stored_anew_only_where_they_are_still_the_same(consumers: ConsumerBench) -> None:
    consumers.consumer(secrets={"headers": {"X-Key": "plain"}})
    key = consumers.keys.consumer("s1")
    consumers.rebuild(encryption=Encryption([new_key()]))
    assert consumers.store.reencrypt("s1")
    stored = consumers.client.hget(key, "secrets")
    assert b"plain" not in stored
    assert consumers.store.config("s1")[1] == {"headers": {"X-Key": "plain"}}
    assert not consumers.store.reencrypt("s1")
    scripts = consumers.runs
    assert scripts.run("reencrypt", {"id": "s1"}, "as they were once", "others") == 0
    assert scripts.run("reencrypt", {"id": "gone"}, "", "others") == 0
    assert consumers.client.hget(key, "secrets") == stored
    assert not consumers.client.exists(consumers.keys.consumer("gone"))
    with pytest.raises(NotFound):
        consumers.store.reencrypt("gone")


def test_a_word_about_thousands_of_events_is_taken_whole(consumers: ConsumerBench) -> None:
    consumers.consumer()
    consumers.publish()
    claimed = consumers.claims.claim("s1", 0, READ)
    assert claimed is not None
    keys = [f"{TOPIC}|{n}" for n in range(2, 9_002)]
    word = Ack(CallReport(done=[f"{key}|0|" for key in keys], forget=keys), Place({TOPIC: (1, 1)}, keys))
    assert consumers.claims.ack(claimed, 1, word).word == "listening"
    assert consumers.client.scard(consumers.keys.consumer_part("s1", "ahead")) == 9_000
