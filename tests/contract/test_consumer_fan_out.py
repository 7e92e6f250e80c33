"""Many who listen to one topic: the publishing script only notes that there is news and sends one message, and they are woken a
few at a time. What is counted here are messages and members; what it takes is measured in benchmarks/."""

from __future__ import annotations

from typing import Any

import pytest

from app.events.consumers.model import ReadLimits
from app.outgoing.decision import AttemptResult
from app.platform.scripts import Scripts
from tests.support.consumers import OTHER, TOPIC, ConsumerBench
from tests.support.outgoing import Bench

AT_MOST = 24  # that one script wakes
MANY = 3 * AT_MOST + 4
READ = ReadLimits(50, 1 << 20, 50)


def many(consumers: ConsumerBench, count: int = MANY, **spec: Any) -> list[str]:
    names = [f"s{number}" for number in range(count)]
    for name in names:
        consumers.consumer(name, **spec)
    return names


def queued(consumers: ConsumerBench) -> int:
    return int(consumers.client.llen(f"{consumers.keys.prefix}deliveries"))


def awake(consumers: ConsumerBench, names: list[str]) -> int:
    return sum(bool(consumers.field("wake", name)) for name in names)


def trim(consumers: ConsumerBench, before: int, topic: str = TOPIC) -> None:
    consumers.client.xtrim(consumers.keys.log(topic), minid=f"{before}-0", approximate=False)


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many each step of a fan-out has woken."""
    found: list[int] = []
    run = Scripts.run

    def counted(self: Scripts, name: str, *arguments: Any) -> Any:
        answer = run(self, name, *arguments)
        if name == "fan_out":
            found.append(int(answer[0]))
        return answer

    monkeypatch.setattr(Scripts, "run", counted)
    return found


def test_publishing_to_many_sends_one_message_and_wakes_nobody_itself(
    consumers: ConsumerBench, steps: list[int]
) -> None:
    names = many(consumers)
    consumers.publish(3)
    assert (queued(consumers), awake(consumers, names)) == (1, 0)
    consumers.publish()
    assert (queued(consumers), awake(consumers, names)) == (1, 0)
    assert consumers.messages() == []
    assert consumers.fan_out() == MANY
    assert steps == [AT_MOST, AT_MOST, AT_MOST, 4]
    assert sorted(consumers.messages()) == sorted(names)
    for name in names:
        consumers.runner.run(name)
        assert consumers.sinks.sinks[name].sequences == [1, 2, 3, 4]
        consumers.stands_in_one_place(name)
    assert consumers.ticks.audit() == 0
    consumers.publish()
    assert (consumers.messages(), consumers.called) == ([], [TOPIC]), "the next message goes at once"


def test_a_few_are_woken_by_who_publishes(consumers: ConsumerBench) -> None:
    names = many(consumers, AT_MOST)
    consumers.publish()
    assert (queued(consumers), awake(consumers, names)) == (AT_MOST, AT_MOST)
    assert sorted(consumers.messages()) == sorted(names)
    assert consumers.called == []


def test_one_script_wakes_so_many_in_all_whatever_it_publishes(consumers: ConsumerBench) -> None:
    for number in range(AT_MOST // 2 + 1):
        consumers.consumer(f"deleted{number}", topics={TOPIC: ["asset-deleted"]})
        consumers.consumer(f"updated{number}", topics={TOPIC: ["asset-updated"]})
    raw = [
        b'{"eventName":"%s","assetId":1,"versions":[]}' % name
        for name in (b"asset-deleted", b"asset-updated")
    ]
    consumers.log.publish(TOPIC, raw, "test")
    assert queued(consumers) == AT_MOST // 2 + 2
    consumers.work()
    assert {tuple(sink.sequences) for sink in consumers.sinks.sinks.values()} == {(1,), (2,)}


def test_who_follows_our_own_happenings_costs_a_worker_no_more(bench: Bench) -> None:
    consumers = ConsumerBench(bench.client, bench.keys, flags=bench.flags)
    many(consumers, topics={"sync-operations": ()})
    [request_id] = bench.accept(bench.patch("one"))
    claim = bench.claim(*bench.take())
    assert bench.store.begin(claim, "lm") is not None
    assert bench.store.finish(claim, AttemptResult({"at": "now", "outcome": "delivered"}))
    assert bench.state(request_id) == "delivered"
    assert queued(consumers) == 1
    consumers.messages()
    assert consumers.fan_out() == MANY


def test_a_lost_message_is_made_good_by_the_tick_and_the_next_may_be_sent(consumers: ConsumerBench) -> None:
    names = many(consumers)
    consumers.publish()
    consumers.messages()
    consumers.called.clear()  # popped by a worker that died
    consumers.tick(1)
    assert awake(consumers, names) == MANY
    consumers.work()
    consumers.publish()
    assert (consumers.messages(), consumers.called) == ([], [])
    consumers.tick(5)
    consumers.work()
    consumers.publish()
    assert (consumers.messages(), consumers.called) == ([], [TOPIC])


def test_messages_that_nobody_takes_dont_pile_up(consumers: ConsumerBench) -> None:
    names = many(consumers, AT_MOST + 1)
    for _ in range(20):
        consumers.publish()
        consumers.tick(3)
        for name in names:
            consumers.runner.run(name)
    messages = [
        message.decode().split()
        for message in consumers.client.lrange(f"{consumers.keys.prefix}deliveries", 0, -1)
    ]
    assert sum(task == "fan-out" for _, task, _ in messages) == 1
    assert all(consumers.sinks.sinks[name].sequences == list(range(1, 21)) for name in names)


def test_what_comes_while_they_are_being_woken_reaches_all_in_order(consumers: ConsumerBench) -> None:
    names = many(consumers)
    consumers.publish()
    consumers.messages()
    consumers.called.clear()
    assert consumers.runs.run("fan_out", {"topic": TOPIC})[0] == AT_MOST
    early = consumers.messages()
    assert len(early) == AT_MOST
    for name in early[:16]:
        consumers.runner.run(name)  # these listen again
    consumers.publish()
    assert queued(consumers) == 0, "the message of before counts as under way"
    consumers.ticks.fan_out(TOPIC)
    for name in early[16:]:
        consumers.runner.run(name)
    assert consumers.work()
    for name in names:
        assert consumers.sinks.sinks[name].sequences == [1, 2], name
        consumers.stands_in_one_place(name)


def test_who_begins_to_listen_meanwhile_is_woken_for_nothing_that_it_knows(consumers: ConsumerBench) -> None:
    many(consumers)
    consumers.publish()
    late = consumers.consumer("late")
    assert consumers.messages() == []
    assert consumers.fan_out() == MANY
    assert "late" not in consumers.messages()
    consumers.stands_in_one_place("late")
    consumers.publish()
    consumers.work()
    assert late.sequences == [2]


def test_those_who_want_other_names_arent_looked_at(consumers: ConsumerBench) -> None:
    names = many(consumers, topics={TOPIC: ["asset-deleted", "asset-updated"]})
    consumers.publish(5)
    assert (queued(consumers), awake(consumers, names)) == (0, 0)
    assert consumers.client.smembers(consumers.keys.consumers_news) == set()
    consumers.publish(name="asset-deleted")
    consumers.publish(name="asset-updated")
    consumers.work()
    assert {tuple(sink.sequences) for sink in consumers.sinks.sinks.values()} == {(6, 7)}
    assert consumers.ticks.audit() == 0


def test_what_a_filter_let_by_before_its_event_is_not_missed(consumers: ConsumerBench) -> None:
    names = many(consumers, topics={TOPIC: ["asset-deleted", "asset-updated"]})
    consumers.publish(9)
    consumers.publish(name="asset-updated")  # 10
    consumers.publish(name="asset-deleted")  # 11
    consumers.publish(name="asset-updated")  # 12
    trim(consumers, 10)
    consumers.work()
    assert {tuple(sink.sequences) for sink in consumers.sinks.sinks.values()} == {(10, 11, 12)}
    assert not consumers.client.exists(consumers.keys.log_news(TOPIC))
    assert {consumers.status(name).missed for name in names} == {()}


def test_the_event_that_a_filter_is_still_to_be_woken_for_is_missed_when_it_is_gone(
    consumers: ConsumerBench,
) -> None:
    names = many(consumers, topics={TOPIC: ["asset-deleted", "asset-updated"], OTHER: ["category-deleted"]})
    consumers.consumer("one", topics={TOPIC: ["asset-deleted", "asset-updated"], "sync-operations": ()})
    consumers.publish(9)
    consumers.publish(name="asset-updated")  # 10
    consumers.publish(name="asset-deleted")  # 11
    trim(consumers, 11)
    consumers.messages()
    consumers.client.hset(
        consumers.keys.consumer("s0"), "wake", "1"
    )  # woken through its other topic, and first
    consumers.runner.run("s0")
    consumers.work()
    for name in names:
        assert [(one.first, one.last) for one in consumers.status(name).missed] == [(10, 10)], name
        assert consumers.sinks.sinks[name].sequences == [11]


def test_news_of_before_dont_hold_up_who_has_begun_to_listen_since(consumers: ConsumerBench) -> None:
    many(consumers, topics={TOPIC: ["asset-deleted"]})
    consumers.publish(name="asset-deleted")
    consumers.consumer("late", topics={TOPIC: ["asset-deleted"], OTHER: ()})
    consumers.publish(9)
    trim(consumers, 9)
    consumers.publish(topic=OTHER)
    assert consumers.messages() == ["late"]
    consumers.runner.run("late")
    assert consumers.status("late").missed == ()
    assert [(one.topic, one.sequence) for one in consumers.sinks.sinks["late"].taken] == [(OTHER, 1)]


def test_a_filter_that_is_widened_before_it_was_woken_still_gets_what_it_wanted(
    consumers: ConsumerBench,
) -> None:
    many(consumers, topics={TOPIC: ["asset-deleted"]})
    consumers.publish(4)
    consumers.publish(name="asset-deleted")  # 5
    consumers.publish(2)
    consumers.store.update(consumers.spec("s0"))
    consumers.work()
    assert consumers.sinks.sinks["s0"].sequences == [5, 6, 7]
    assert consumers.sinks.sinks["s1"].sequences == [5]


def test_who_stops_or_goes_before_it_was_woken_is_left_alone(consumers: ConsumerBench) -> None:
    names = many(consumers)
    consumers.publish()
    consumers.store.pause("s0")
    consumers.store.delete("s1")
    consumers.work()
    assert consumers.sinks.sinks["s0"].sequences == consumers.sinks.sinks["s1"].sequences == []
    assert all(consumers.sinks.sinks[name].sequences == [1] for name in names[2:])
    consumers.store.resume("s0")
    consumers.work()
    assert consumers.sinks.sinks["s0"].sequences == [1]


def test_listeners_that_the_release_before_has_noted_go_on(consumers: ConsumerBench) -> None:
    """It kept one set of them a topic; nobody looks into that any more."""
    consumers.consumer("all")
    consumers.consumer("some", topics={TOPIC: ["asset-deleted"]})
    consumers.client.delete(consumers.keys.listening(TOPIC), consumers.keys.listening(TOPIC, "asset-deleted"))
    before = f"{consumers.keys.log(TOPIC)}:feeds"
    consumers.client.sadd(before, "all", "some|asset-deleted|")
    consumers.publish()
    consumers.publish(name="asset-deleted")
    consumers.ticks.audit()
    consumers.work()
    assert {name: sink.sequences for name, sink in consumers.sinks.sinks.items()} == {
        "all": [1, 2],
        "some": [2],
    }
    for name in ("all", "some"):
        consumers.stands_in_one_place(name)
    assert not consumers.client.exists(before)


def test_who_listens_and_was_not_told_is_found_by_the_audit(consumers: ConsumerBench) -> None:
    """As where the release before publishes, side by side with this one."""
    sink = consumers.consumer()
    consumers.publish(10)
    consumers.work()
    kept = consumers.client.zrange(consumers.keys.listening(TOPIC), 0, -1)
    consumers.client.delete(consumers.keys.listening(TOPIC))
    consumers.publish()
    consumers.client.zadd(consumers.keys.listening(TOPIC), dict.fromkeys(kept, 0))
    assert consumers.ticks.audit() == 1
    consumers.work()
    assert sink.sequences == [*range(1, 12)]
