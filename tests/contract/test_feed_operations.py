"""Pause, change, delete and replay at any moment of a feed's life."""

from __future__ import annotations

import pytest

from app.events.feeds.model import Ack, Acked, Claimed, FeedState, Read
from app.local.layout import new_key
from app.platform.encryption import Encryption
from app.platform.errors import Conflict, NotFound
from tests.support.feeds import DOWN, GONE, OK, OTHER, REFUSED, TOPIC, FeedBench

READ = Read(50, 1 << 20, 50)


@pytest.mark.parametrize("moment", ["listening", "awake", "taken", "resting"])
def test_a_paused_feed_sends_nothing_and_loses_nothing(feeds: FeedBench, moment: str) -> None:
    sink = feeds.feed()
    if moment == "resting":
        sink.say = lambda _: DOWN
    if moment != "listening":
        feeds.publish()
    if moment == "resting":
        feeds.work()
        sink.say = lambda _: OK
    claimed = feeds.machine.claim("s1", 0, READ) if moment == "taken" else None
    assert feeds.store.pause("s1", "operator")
    assert not feeds.store.pause("s1", "operator")
    if claimed is not None:
        assert feeds.machine.ack(claimed, 1, Ack(cursor={TOPIC: (1, 1)}, read=READ)).word == "stopped"
    feeds.publish(2)
    for _ in range(4):
        feeds.tick(400)
        assert set(feeds.work()) <= {"nothing"}
    feeds.is_settled()
    status = feeds.status()
    assert (status.state, status.reason, sink.sequences) == (FeedState.PAUSED, "operator", [])
    assert feeds.store.resume("s1")
    assert not feeds.store.resume("s1")
    assert feeds.work() == ["listening"]
    assert sink.sequences == {"listening": [1, 2], "taken": [2, 3]}.get(moment, [1, 2, 3])
    feeds.is_settled()


def test_a_feed_whose_worker_died_while_it_was_paused_goes_on_after_it_is_resumed(feeds: FeedBench) -> None:
    sink = feeds.feed()
    feeds.publish()
    feeds.messages()
    assert feeds.machine.claim("s1", 0, READ) is not None
    feeds.store.pause("s1")
    feeds.tick(60)
    feeds.store.resume("s1")
    feeds.tick(1)
    assert feeds.work() == ["listening"]
    assert sink.sequences == [1]


def test_a_new_topic_begins_now_one_that_stays_keeps_its_place_and_one_that_goes_is_forgotten(
    feeds: FeedBench,
) -> None:
    sink = feeds.feed()
    feeds.publish(2)
    feeds.publish(3, topic=OTHER)
    feeds.store.update(feeds.spec(topics={TOPIC: ["asset-deleted"], OTHER: ()}))
    feeds.publish(topic=OTHER)
    feeds.work()
    assert [(one.topic, one.sequence, one.previous) for one in sink.taken] == [(OTHER, 4, 0)]
    assert feeds.status().cursor == {TOPIC: 2, OTHER: 4}
    feeds.store.update(feeds.spec(topics={OTHER: ()}))
    assert feeds.status().cursor == {OTHER: 4}
    feeds.publish()
    assert feeds.work() == []
    feeds.is_settled()


@pytest.mark.parametrize("ordered", [True, False])
def test_a_topic_put_back_during_a_delivery_begins_where_it_is_told_to(
    feeds: FeedBench, *, ordered: bool
) -> None:
    sink = feeds.feed(ordered=ordered)
    feeds.publish(3)

    def meanwhile() -> None:
        if not sink.calls:
            feeds.store.update(feeds.spec(topics={OTHER: ()}, ordered=ordered))
            feeds.store.update(feeds.spec(topics={TOPIC: (), OTHER: ()}, start={TOPIC: 0}, ordered=ordered))

    sink.during = meanwhile
    feeds.work()
    assert sink.sequences == [1, 1, 2, 3], "the first of them under the configuration before"
    assert feeds.status().cursor == {TOPIC: 3, OTHER: 0}
    feeds.is_settled()


@pytest.mark.parametrize("said_again", [True, False])
def test_what_was_delivered_ahead_of_a_topic_put_back_comes_again(
    feeds: FeedBench, *, said_again: bool
) -> None:
    sink = feeds.feed()
    feeds.publish(3)
    feeds.messages()
    claimed = feeds.machine.claim("s1", 0, READ)
    assert claimed is not None
    ahead = [f"{TOPIC}|3"]
    assert feeds.machine.ack(claimed, 1, Ack(cursor={TOPIC: (1, 1)}, ahead=ahead, read=READ)).going_on
    feeds.store.update(feeds.spec(topics={OTHER: ()}))
    feeds.store.update(feeds.spec(topics={TOPIC: ()}, start={TOPIC: 0}))
    last = Ack(cursor={TOPIC: (2, 2)}, ahead=ahead if said_again else None, read=READ)
    assert not feeds.machine.ack(claimed, 2, last).going_on
    feeds.work()
    assert sink.sequences == [1, 2, 3]


def test_what_a_call_has_delivered_under_a_configuration_before_counts_for_topics_that_stayed(
    feeds: FeedBench,
) -> None:
    sink = feeds.feed(topics={TOPIC: (), OTHER: ()})
    feeds.publish(2)
    sink.during = lambda: None if sink.calls else feeds.store.update(feeds.spec(topics={TOPIC: ()}))
    feeds.work()
    assert sink.sequences == [1, 2]


def test_a_feed_begins_where_it_was_told_to(feeds: FeedBench) -> None:
    feeds.publish(5)
    starts = {"now": {}, "beginning": {TOPIC: 0}, "later": {TOPIC: 3}, "wrong": {TOPIC: 99}}
    sinks = {name: feeds.feed(name, start=start) for name, start in starts.items()}
    feeds.work()
    assert {name: sink.sequences for name, sink in sinks.items()} == {
        "now": [], "beginning": [1, 2, 3, 4, 5], "later": [4, 5], "wrong": [],
    }  # fmt: skip


def test_a_changed_sink_is_used_from_the_next_call_on(feeds: FeedBench) -> None:
    old = feeds.feed()
    feeds.publish(3)
    changed = feeds.spec()
    object.__setattr__(changed, "sink", {"name": "elsewhere"})
    old.during = lambda: None if old.calls else feeds.store.update(changed)
    feeds.work()
    assert old.sequences == [1]
    assert feeds.sinks.sinks["elsewhere"].sequences == [2, 3]
    assert old.closed


def test_a_changed_feed_doesnt_wait_for_the_rest_of_its_rest(feeds: FeedBench) -> None:
    sink = feeds.feed()
    sink.say = lambda _: DOWN
    feeds.publish()
    feeds.work()
    sink.say = lambda _: OK
    feeds.store.update(feeds.spec())
    assert feeds.work() == ["listening"]
    assert sink.sequences == [1]


def test_a_deleted_feed_leaves_nothing_behind_and_its_worker_is_told(feeds: FeedBench) -> None:
    sink = feeds.feed()
    feeds.publish(3)
    sink.during = lambda: None if sink.calls else feeds.store.delete("s1")
    feeds.messages()
    assert feeds.runner.run("s1") == "lost"
    assert sink.sequences == [1]
    feeds.publish()
    assert feeds.work() == []
    assert feeds.store.status("s1") is None
    left = {
        key.decode().removeprefix(feeds.keys.prefix)
        for key in feeds.client.scan_iter(f"{feeds.keys.prefix}*")
    }
    assert not {key for key in left if "s1" in key}
    with pytest.raises(NotFound):
        feeds.store.delete("s1")
    with pytest.raises(NotFound):
        feeds.store.pause("s1")


def test_a_subscription_and_its_feed_are_written_together(feeds: FeedBench) -> None:
    record = feeds.keys.subscription("s1")
    feeds.store.create(feeds.spec(), also=[["HSET", record, "config", "{}"], ["ZADD", "x:list", "1", "s1"]])
    assert feeds.client.hgetall(record) == {b"config": b"{}"}
    with pytest.raises(Conflict):
        feeds.store.create(feeds.spec(), also=[["HSET", record, "config", "other"]])
    assert feeds.client.hget(record, "config") == b"{}"
    feeds.store.delete("s1", also=[["DEL", record]])
    assert not feeds.client.exists(record)


# Replays --------------------------------------------------------------------------------------------------------------


def test_a_replay_delivers_once_more_beside_the_live_feed(feeds: FeedBench) -> None:
    sink = feeds.feed()
    feeds.publish(2)
    feeds.pass_time(60)
    since = feeds.now_ms
    feeds.publish(3)
    feeds.work()
    sink.say = lambda one: DOWN if one.redelivery is None else OK
    feeds.publish(2)  # the live feed hasn't handled these
    feeds.work()
    progress = feeds.store.replay("s1", since)
    assert (progress.state, progress.done, progress.total, progress.since_ms) == (
        FeedState.ACTIVE,
        0,
        3,
        since,
    )
    with pytest.raises(Conflict):
        feeds.store.replay("s1", since)
    sink.taken.clear()
    assert feeds.work() == ["done"]
    assert [(one.sequence, one.redelivery) for one in sink.taken] == [(n, progress.id) for n in (3, 4, 5)]
    after = feeds.store.replay_progress("s1", progress.id)
    assert after is not None
    assert (after.state, after.done, after.ended_ms) == (FeedState.DONE, 3, feeds.now_ms)
    status = feeds.status()
    assert (status.cursor, status.replay) == ({TOPIC: 5}, after)
    sink.say = lambda _: OK
    feeds.tick(2)
    feeds.work()
    assert [(one.sequence, one.previous) for one in sink.taken[3:]] == [(6, 5), (7, 6)]
    assert feeds.store.replay("s1", since).total == 5


def test_a_filter_that_is_widened_gets_nothing_that_it_had_let_by(feeds: FeedBench) -> None:
    sink = feeds.feed(topics={TOPIC: ["asset-deleted"]})
    feeds.publish(3)
    feeds.publish(name="asset-deleted")
    feeds.work()
    feeds.publish(3)
    feeds.store.update(feeds.spec(topics={TOPIC: ["asset-created", "asset-deleted"]}))
    assert feeds.work() == []
    feeds.is_settled()
    feeds.publish()
    feeds.work()
    assert [(one.sequence, one.previous) for one in sink.taken] == [(4, 0), (8, 4)]


@pytest.mark.parametrize(("together_s", "words"), [(3600.0, 3), (0.0, 120)])
def test_a_replays_successes_are_written_down_together(
    feeds: FeedBench, monkeypatch: pytest.MonkeyPatch, together_s: float, words: int
) -> None:
    monkeypatch.setattr("app.events.feeds.ordered._TOGETHER_S", together_s)
    sink = feeds.feed()
    feeds.publish(120)
    feeds.work()
    assert feeds.status().counters["calls"] == 120
    progress = feeds.store.replay("s1", 0)
    sink.taken.clear()
    spoken: list[Ack] = []
    ack = feeds.machine.ack

    def counted(claimed: Claimed, turn: int, word: Ack) -> Acked:
        spoken.append(word)
        return ack(claimed, turn, word)

    monkeypatch.setattr(feeds.machine, "ack", counted)
    assert feeds.work() == ["done"]
    assert [(one.sequence, one.previous) for one in sink.taken] == [(n, n - 1) for n in range(1, 121)]
    assert len(spoken) == words
    after = feeds.store.replay_progress("s1", progress.id)
    assert after is not None
    assert (after.state, after.done, after.total) == (FeedState.DONE, 120, 120)
    assert len([word for word, entry in feeds.journal() if entry["redelivery"]]) == 120
    counters = feeds.client.hgetall(feeds.keys.feed_part(f"s1.replay.{progress.id}", "counters"))
    assert (int(counters[b"calls"]), int(counters[b"delivered"])) == (120, 120)


def test_a_replay_says_which_of_its_events_retention_has_removed(feeds: FeedBench) -> None:
    sink = feeds.feed()
    feeds.publish(5)
    feeds.work()
    sink.taken.clear()
    progress = feeds.store.replay("s1", 0)
    assert (progress.missed, progress.missed_events, progress.reaches_back_to_ms) == ((), 0, None)
    feeds.client.xtrim(feeds.keys.log(TOPIC), minid="4-0", approximate=False)
    assert feeds.work() == ["done"]
    after = feeds.store.replay_progress("s1", progress.id)
    assert after is not None
    assert (after.state, after.done, after.total, after.missed_events) == (FeedState.DONE, 2, 5, 3)
    assert [(one.topic, one.first, one.last) for one in after.missed] == [(TOPIC, 1, 3)]
    assert (sink.sequences, feeds.status().missed, feeds.status().replay) == ([4, 5], (), after)


def test_a_replay_says_how_far_back_the_log_reaches(feeds: FeedBench) -> None:
    sink = feeds.feed()
    began = feeds.now_ms
    for _ in range(5):
        feeds.publish()
        feeds.pass_time(60)
    feeds.work()
    sink.taken.clear()
    feeds.client.xtrim(feeds.keys.log(TOPIC), minid="4-0", approximate=False)
    progress = feeds.store.replay("s1", began + 60_000)
    assert (progress.total, progress.reaches_back_to_ms) == (2, began + 3 * 60_000)
    assert feeds.work() == ["done"]
    assert sink.sequences == [4, 5]
    whole = feeds.store.replay("s1", began + 4 * 60_000)
    assert (whole.total, whole.reaches_back_to_ms) == (1, None)
    feeds.work()
    feeds.client.xtrim(feeds.keys.log(TOPIC), maxlen=0, approximate=False)
    nothing = feeds.store.replay("s1", began)
    assert (nothing.total, nothing.reaches_back_to_ms) == (0, feeds.now_ms)


def test_what_retention_removes_while_a_replay_begins_is_missed_by_it(
    feeds: FeedBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    feeds.feed()
    feeds.publish(5)
    feeds.work()
    first_after = feeds.log.first_after

    def then_removed(topic: str, since_ms: int) -> int:
        found = first_after(topic, since_ms)
        feeds.client.xtrim(feeds.keys.log(TOPIC), minid="3-0", approximate=False)
        return found

    monkeypatch.setattr(feeds.log, "first_after", then_removed)
    progress = feeds.store.replay("s1", 0)
    assert feeds.work() == ["done"]
    after = feeds.store.replay_progress("s1", progress.id)
    assert after is not None
    assert (after.done, after.total) == (3, 3)
    assert after.reaches_back_to_ms == feeds.now_ms


def test_a_failure_in_a_replay_writes_down_what_went_before_it(feeds: FeedBench) -> None:
    sink = feeds.feed()
    feeds.publish(10)
    feeds.work()
    progress = feeds.store.replay("s1", 0)
    sink.say = lambda one: DOWN if one.sequence == 6 and one.attempt == 1 else OK
    sink.taken.clear()
    assert feeds.work() == ["resting"]
    seen = feeds.store.replay_progress("s1", progress.id)
    assert seen is not None
    assert (seen.done, seen.failure and seen.failure.code) == (5, "unavailable")
    feeds.tick(2)
    assert feeds.work() == ["done"]
    assert [one.sequence for one in sink.taken] == list(range(1, 11))


def test_a_replay_that_fails_rests_for_itself_and_is_ended_by_hand(feeds: FeedBench) -> None:
    sink = feeds.feed()
    feeds.publish(3)
    feeds.work()
    sink.say = lambda one: DOWN if one.redelivery else OK
    progress = feeds.store.replay("s1", 0)
    assert feeds.work() == ["resting"]
    feeds.publish()
    assert feeds.work() == ["listening"]  # the live feed
    assert feeds.store.cancel_replay("s1", progress.id)
    feeds.tick(400)
    assert feeds.work() == []
    after = feeds.store.replay_progress("s1", progress.id)
    assert after is not None
    assert (after.state, after.done) == (FeedState.CANCELLED, 0)
    assert not feeds.store.cancel_replay("s1", "unknown")


def test_a_replay_stops_and_goes_on_with_its_subscription(feeds: FeedBench) -> None:
    sink = feeds.feed()
    feeds.publish(3)
    feeds.work()
    sink.taken.clear()
    progress = feeds.store.replay("s1", 0)
    feeds.store.pause("s1")
    assert set(feeds.work()) == {"nothing"}
    with pytest.raises(Conflict):
        feeds.store.replay("s1", 0)
    feeds.store.resume("s1")
    assert "done" in feeds.work()
    assert sink.sequences == [1, 2, 3]
    feeds.store.delete("s1")
    assert feeds.store.replay_progress("s1", progress.id) is None


def test_a_destination_that_is_gone_for_a_replay_is_gone_for_the_subscription(feeds: FeedBench) -> None:
    sink = feeds.feed()
    feeds.publish(3)
    feeds.work()
    progress = feeds.store.replay("s1", 0)
    sink.say = lambda _: GONE
    assert feeds.work() == ["stopped"]
    assert feeds.status().state is FeedState.DISABLED
    sink.say = lambda _: OK
    feeds.store.resume("s1")
    feeds.work()
    after = feeds.store.replay_progress("s1", progress.id)
    assert after is not None
    assert after.state is FeedState.DONE


def test_a_replay_without_order_and_with_refusals_ends_too(feeds: FeedBench) -> None:
    sink = feeds.feed(ordered=False, in_flight=4)
    feeds.publish(10)
    feeds.work()
    sink.taken.clear()
    sink.say = lambda one: (
        REFUSED if one.sequence == 4 else DOWN if one.sequence == 5 and one.attempt < 3 else OK
    )
    progress = feeds.store.replay("s1", 0)
    for _ in range(4):
        feeds.work()
        feeds.tick(5)
    after = feeds.store.replay_progress("s1", progress.id)
    assert after is not None
    assert (after.state, after.done) == (FeedState.DONE, 10)
    assert sorted(sink.sequences) == [1, 2, 3, 5, 6, 7, 8, 9, 10]
    assert feeds.status().parked == 1


def test_the_test_event_is_sent_at_once_and_moves_nothing(feeds: FeedBench) -> None:
    sink = feeds.feed()
    feeds.store.pause("s1")
    outcome, request = feeds.store.test("s1")
    assert (outcome, request) == (OK, {"method": "POST", "events": 1})
    assert (sink.taken[0].event_name, sink.taken[0].sequence) == ("subscription-test", 0)
    assert feeds.status().cursor == {TOPIC: 0}


def test_secrets_are_stored_anew_only_where_they_are_still_the_same(feeds: FeedBench) -> None:
    feeds.feed(secrets={"headers": {"X-Key": "plain"}})
    key = feeds.keys.feed("s1")
    feeds.rebuild(encryption=Encryption([new_key()]))
    assert feeds.store.reencrypt("s1")
    stored = feeds.client.hget(key, "secrets")
    assert b"plain" not in stored
    assert feeds.store.config("s1")[1] == {"headers": {"X-Key": "plain"}}
    assert not feeds.store.reencrypt("s1")
    scripts = feeds.scripts_of_store
    assert scripts.run("reencrypt", {"id": "s1"}, "as they were once", "others") == 0
    assert scripts.run("reencrypt", {"id": "gone"}, "", "others") == 0
    assert feeds.client.hget(key, "secrets") == stored
    assert not feeds.client.exists(feeds.keys.feed("gone"))
    with pytest.raises(NotFound):
        feeds.store.reencrypt("gone")


def test_a_word_about_thousands_of_events_is_taken_whole(feeds: FeedBench) -> None:
    feeds.feed()
    feeds.publish()
    claimed = feeds.machine.claim("s1", 0, READ)
    assert claimed is not None
    keys = [f"{TOPIC}|{n}" for n in range(2, 9_002)]
    word = Ack(cursor={TOPIC: (1, 1)}, ahead=keys, done=[f"{key}|0|" for key in keys], forget=keys)
    assert feeds.machine.ack(claimed, 1, word).word == "listening"
    assert feeds.client.scard(feeds.keys.feed_part("s1", "ahead")) == 9_000
