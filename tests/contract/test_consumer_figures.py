"""What monitoring is told of consumers: of all together, of a bounded number by name, and at a cost that callers don't drive up."""

from __future__ import annotations

from typing import Any

import pytest

from app.events.consumers.figures import EVERY_MS, NAMED, FiguresReader
from app.platform.scripts import Scripts
from tests.support.consumers import DOWN, OK, OTHER, TOPIC, ConsumerBench


@pytest.fixture
def reader(consumers: ConsumerBench) -> FiguresReader:
    return FiguresReader(consumers.runs)


def look_anew(consumers: ConsumerBench) -> None:
    """As if time had passed: it is measured by the server."""
    consumers.client.delete(f"{consumers.keys.consumers}:figures:turn")


def test_only_those_that_are_worst_off_are_named(consumers: ConsumerBench, reader: FiguresReader) -> None:
    for number in range(NAMED + 15):
        consumers.consumer(f"s{number}", topics={TOPIC: ()} if number < NAMED + 5 else {OTHER: ()})
    consumers.consumer("filter", topics={TOPIC: ["asset-deleted"]})  # what it lets by isn't behind it
    consumers.publish(2)
    consumers.messages()
    consumers.fan_out()
    for name in ("s0", "s1"):
        consumers.runner.run(name)
    consumers.publish()
    consumers.pass_time(60)
    consumers.store.pause("s34")
    figures = reader.read()
    assert figures.states == {"active": NAMED + 15, "paused": 1}
    assert (figures.lag_events, figures.open, figures.parked) == (3 * (NAMED + 3) + 2, 0, 0)
    assert len(figures.named) == NAMED
    assert {(one.state, one.lag_events) for one in figures.named} == {("active", 3)}
    assert figures.lag_seconds == max(one.lag_seconds for one in figures.named)
    assert figures.totals["delivered"] == 4


def test_those_that_fail_are_named_also_where_they_arent_behind_most(
    consumers: ConsumerBench, reader: FiguresReader
) -> None:
    sink = consumers.consumer("failing", ordered=False, in_flight=2)
    consumers.consumer("well")
    sink.say = lambda _: DOWN
    consumers.publish(2)
    for _ in range(6):
        consumers.work()
        consumers.tick(400)
    figures = reader.read()
    assert figures.states == {"active": 1, "failing": 1}
    assert [(one.id, one.state) for one in figures.named] == [("failing", "failing")]
    sink.say = lambda _: OK
    for _ in range(4):
        consumers.tick(400)
        consumers.work()
    look_anew(consumers)
    assert reader.read().named == ()


def test_however_often_it_is_asked_all_consumers_are_looked_at_once_in_a_while(
    consumers: ConsumerBench, reader: FiguresReader, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(70):
        consumers.consumer(f"s{number}")
    ran: list[str] = []
    run = Scripts.run

    def counted(self: Scripts, name: str, *arguments: Any) -> Any:
        ran.append(name)
        return run(self, name, *arguments)

    monkeypatch.setattr(Scripts, "run", counted)
    first = reader.read()
    assert ran.count("figures") == 3, "some dozens a script"
    for _ in range(20):
        assert reader.read() == first
    assert ran.count("figures") == 3
    assert 0 < consumers.client.pttl(f"{consumers.keys.consumers}:figures:turn") <= EVERY_MS
    look_anew(consumers)
    reader.read()
    assert ran.count("figures") == 6


def test_what_was_counted_stays_when_a_consumer_goes_and_a_replay_counts_for_itself(
    consumers: ConsumerBench, reader: FiguresReader
) -> None:
    consumers.consumer()
    consumers.publish(3)
    consumers.work()
    consumers.store.replay("s1", 0)
    consumers.work()
    before = reader.read().totals
    assert (before["delivered"], before["calls"]) == (3, 3)
    consumers.store.delete("s1")
    look_anew(consumers)
    after = reader.read()
    assert (after.totals, after.states) == (before, {})


def test_every_consumer_is_counted_once_however_many_there_are(
    consumers: ConsumerBench, reader: FiguresReader, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.events.consumers.figures._CHUNK", 4)
    for number in range(10):
        consumers.consumer(f"s{number}")
    assert reader.read().states == {"active": 10}
