"""Many who listen to one topic: the publishing script only notes that there is news and sends one message, and they are woken a
few at a time. What is counted here are messages and members; what it takes is measured in benchmarks/."""

from __future__ import annotations

from typing import Any

import pytest

from app.events.feeds.machine import FeedScripts
from app.events.feeds.model import Read
from app.outgoing.decide import Result
from tests.support.feeds import OTHER, TOPIC, FeedBench
from tests.support.outgoing import Bench

AT_MOST = 24  # that one script wakes
MANY = 3 * AT_MOST + 4
READ = Read(50, 1 << 20, 50)


def many(feeds: FeedBench, count: int = MANY, **spec: Any) -> list[str]:
    names = [f"s{number}" for number in range(count)]
    for name in names:
        feeds.feed(name, **spec)
    return names


def queued(feeds: FeedBench) -> int:
    return int(feeds.client.llen(f"{feeds.keys.prefix}deliveries"))


def awake(feeds: FeedBench, names: list[str]) -> int:
    return sum(bool(feeds.field("wake", name)) for name in names)


def trim(feeds: FeedBench, before: int, topic: str = TOPIC) -> None:
    feeds.client.xtrim(feeds.keys.log(topic), minid=f"{before}-0", approximate=False)


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many each step of a fan-out has woken."""
    found: list[int] = []
    run = FeedScripts.run

    def counted(self: FeedScripts, name: str, *arguments: Any) -> Any:
        answer = run(self, name, *arguments)
        if name == "fan_out":
            found.append(int(answer[0]))
        return answer

    monkeypatch.setattr(FeedScripts, "run", counted)
    return found


def test_publishing_to_many_sends_one_message_and_wakes_nobody_itself(
    feeds: FeedBench, steps: list[int]
) -> None:
    names = many(feeds)
    feeds.publish(3)
    assert (queued(feeds), awake(feeds, names)) == (1, 0)
    feeds.publish()
    assert (queued(feeds), awake(feeds, names)) == (1, 0)
    assert feeds.messages() == []
    assert feeds.fan_out() == MANY
    assert steps == [AT_MOST, AT_MOST, AT_MOST, 4]
    assert sorted(feeds.messages()) == sorted(names)
    for name in names:
        feeds.runner.run(name)
        assert feeds.sinks.sinks[name].sequences == [1, 2, 3, 4]
        feeds.is_settled(name)
    assert feeds.machine.audit() == 0
    feeds.publish()
    assert (feeds.messages(), feeds.called) == ([], [TOPIC]), "the next message goes at once"


def test_a_few_are_woken_by_who_publishes(feeds: FeedBench) -> None:
    names = many(feeds, AT_MOST)
    feeds.publish()
    assert (queued(feeds), awake(feeds, names)) == (AT_MOST, AT_MOST)
    assert sorted(feeds.messages()) == sorted(names)
    assert feeds.called == []


def test_one_script_wakes_so_many_in_all_whatever_it_publishes(feeds: FeedBench) -> None:
    for number in range(AT_MOST // 2 + 1):
        feeds.feed(f"deleted{number}", topics={TOPIC: ["asset-deleted"]})
        feeds.feed(f"updated{number}", topics={TOPIC: ["asset-updated"]})
    raw = [
        b'{"eventName":"%s","assetId":1,"versions":[]}' % name
        for name in (b"asset-deleted", b"asset-updated")
    ]
    feeds.log.publish(TOPIC, raw, "test")
    assert queued(feeds) == AT_MOST // 2 + 2
    feeds.work()
    assert {tuple(sink.sequences) for sink in feeds.sinks.sinks.values()} == {(1,), (2,)}


def test_who_follows_our_own_happenings_costs_a_worker_no_more(bench: Bench) -> None:
    feeds = FeedBench(bench.client, bench.keys, flags=bench.store._scripts._flags)
    many(feeds, topics={"sync-operations": ()})
    [request_id] = bench.accept(bench.patch("one"))
    claim = bench.claim(*bench.take())
    assert bench.store.begin(claim, "lm") is not None
    assert bench.store.finish(claim, Result({"at": "now", "outcome": "delivered"}))
    assert bench.state(request_id) == "delivered"
    assert queued(feeds) == 1
    feeds.messages()
    assert feeds.fan_out() == MANY


def test_a_lost_message_is_made_good_by_the_tick_and_the_next_may_be_sent(feeds: FeedBench) -> None:
    names = many(feeds)
    feeds.publish()
    feeds.messages()
    feeds.called.clear()  # popped by a worker that died
    feeds.tick(1)
    assert awake(feeds, names) == MANY
    feeds.work()
    feeds.publish()
    assert (feeds.messages(), feeds.called) == ([], [])
    feeds.tick(5)
    feeds.work()
    feeds.publish()
    assert (feeds.messages(), feeds.called) == ([], [TOPIC])


def test_messages_that_nobody_takes_dont_pile_up(feeds: FeedBench) -> None:
    names = many(feeds, AT_MOST + 1)
    for _ in range(20):
        feeds.publish()
        feeds.tick(3)
        for name in names:
            feeds.runner.run(name)
    messages = [
        message.decode().split() for message in feeds.client.lrange(f"{feeds.keys.prefix}deliveries", 0, -1)
    ]
    assert sum(task == "fan-out" for _, task, _ in messages) == 1
    assert all(feeds.sinks.sinks[name].sequences == list(range(1, 21)) for name in names)


def test_what_comes_while_they_are_being_woken_reaches_all_in_order(feeds: FeedBench) -> None:
    names = many(feeds)
    feeds.publish()
    feeds.messages()
    feeds.called.clear()
    assert feeds.machine._scripts.run("fan_out", {"topic": TOPIC})[0] == AT_MOST
    early = feeds.messages()
    assert len(early) == AT_MOST
    for name in early[:16]:
        feeds.runner.run(name)  # these listen again
    feeds.publish()
    assert queued(feeds) == 0, "the message of before counts as under way"
    feeds.machine.fan_out(TOPIC)
    for name in early[16:]:
        feeds.runner.run(name)
    assert feeds.work()
    for name in names:
        assert feeds.sinks.sinks[name].sequences == [1, 2], name
        feeds.is_settled(name)


def test_who_begins_to_listen_meanwhile_is_woken_for_nothing_that_it_knows(feeds: FeedBench) -> None:
    many(feeds)
    feeds.publish()
    late = feeds.feed("late")
    assert feeds.messages() == []
    assert feeds.fan_out() == MANY
    assert "late" not in feeds.messages()
    feeds.is_settled("late")
    feeds.publish()
    feeds.work()
    assert late.sequences == [2]


def test_those_who_want_other_names_arent_looked_at(feeds: FeedBench) -> None:
    names = many(feeds, topics={TOPIC: ["asset-deleted", "asset-updated"]})
    feeds.publish(5)
    assert (queued(feeds), awake(feeds, names)) == (0, 0)
    assert feeds.client.smembers(feeds.keys.feeds_news) == set()
    feeds.publish(name="asset-deleted")
    feeds.publish(name="asset-updated")
    feeds.work()
    assert {tuple(sink.sequences) for sink in feeds.sinks.sinks.values()} == {(6, 7)}
    assert feeds.machine.audit() == 0


def test_what_a_filter_let_by_before_its_event_is_not_missed(feeds: FeedBench) -> None:
    names = many(feeds, topics={TOPIC: ["asset-deleted", "asset-updated"]})
    feeds.publish(9)
    feeds.publish(name="asset-updated")  # 10
    feeds.publish(name="asset-deleted")  # 11
    feeds.publish(name="asset-updated")  # 12
    trim(feeds, 10)
    feeds.work()
    assert {tuple(sink.sequences) for sink in feeds.sinks.sinks.values()} == {(10, 11, 12)}
    assert not feeds.client.exists(feeds.keys.log_news(TOPIC))
    assert {feeds.status(name).missed for name in names} == {()}


def test_the_event_that_a_filter_is_still_to_be_woken_for_is_missed_when_it_is_gone(
    feeds: FeedBench,
) -> None:
    names = many(feeds, topics={TOPIC: ["asset-deleted", "asset-updated"], OTHER: ["category-deleted"]})
    feeds.feed("one", topics={TOPIC: ["asset-deleted", "asset-updated"], "sync-operations": ()})
    feeds.publish(9)
    feeds.publish(name="asset-updated")  # 10
    feeds.publish(name="asset-deleted")  # 11
    trim(feeds, 11)
    feeds.messages()
    feeds.client.hset(feeds.keys.feed("s0"), "wake", "1")  # woken through its other topic, and first
    feeds.runner.run("s0")
    feeds.work()
    for name in names:
        assert [(one.first, one.last) for one in feeds.status(name).missed] == [(10, 10)], name
        assert feeds.sinks.sinks[name].sequences == [11]


def test_news_of_before_dont_hold_up_who_has_begun_to_listen_since(feeds: FeedBench) -> None:
    many(feeds, topics={TOPIC: ["asset-deleted"]})
    feeds.publish(name="asset-deleted")
    feeds.feed("late", topics={TOPIC: ["asset-deleted"], OTHER: ()})
    feeds.publish(9)
    trim(feeds, 9)
    feeds.publish(topic=OTHER)
    assert feeds.messages() == ["late"]
    feeds.runner.run("late")
    assert feeds.status("late").missed == ()
    assert [(one.topic, one.sequence) for one in feeds.sinks.sinks["late"].taken] == [(OTHER, 1)]


def test_a_filter_that_is_widened_before_it_was_woken_still_gets_what_it_wanted(feeds: FeedBench) -> None:
    many(feeds, topics={TOPIC: ["asset-deleted"]})
    feeds.publish(4)
    feeds.publish(name="asset-deleted")  # 5
    feeds.publish(2)
    feeds.store.update(feeds.spec("s0"))
    feeds.work()
    assert feeds.sinks.sinks["s0"].sequences == [5, 6, 7]
    assert feeds.sinks.sinks["s1"].sequences == [5]


def test_who_stops_or_goes_before_it_was_woken_is_left_alone(feeds: FeedBench) -> None:
    names = many(feeds)
    feeds.publish()
    feeds.store.pause("s0")
    feeds.store.delete("s1")
    feeds.work()
    assert feeds.sinks.sinks["s0"].sequences == feeds.sinks.sinks["s1"].sequences == []
    assert all(feeds.sinks.sinks[name].sequences == [1] for name in names[2:])
    feeds.store.resume("s0")
    feeds.work()
    assert feeds.sinks.sinks["s0"].sequences == [1]


def test_listeners_that_the_release_before_has_noted_go_on(feeds: FeedBench) -> None:
    """It kept one set of them a topic; nobody looks into that any more."""
    feeds.feed("all")
    feeds.feed("some", topics={TOPIC: ["asset-deleted"]})
    feeds.client.delete(feeds.keys.listening(TOPIC), feeds.keys.listening(TOPIC, "asset-deleted"))
    before = f"{feeds.keys.log(TOPIC)}:feeds"
    feeds.client.sadd(before, "all", "some|asset-deleted|")
    feeds.publish()
    feeds.publish(name="asset-deleted")
    feeds.machine.audit()
    feeds.work()
    assert {name: sink.sequences for name, sink in feeds.sinks.sinks.items()} == {"all": [1, 2], "some": [2]}
    for name in ("all", "some"):
        feeds.is_settled(name)
    assert not feeds.client.exists(before)


def test_who_listens_and_was_not_told_is_found_by_the_audit(feeds: FeedBench) -> None:
    """As where the release before publishes, side by side with this one."""
    sink = feeds.feed()
    feeds.publish(10)
    feeds.work()
    kept = feeds.client.zrange(feeds.keys.listening(TOPIC), 0, -1)
    feeds.client.delete(feeds.keys.listening(TOPIC))
    feeds.publish()
    feeds.client.zadd(feeds.keys.listening(TOPIC), dict.fromkeys(kept, 0))
    assert feeds.machine.audit() == 1
    feeds.work()
    assert sink.sequences == [*range(1, 12)]
