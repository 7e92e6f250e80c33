"""What monitoring is told of feeds: of all together, of a bounded number by name, and at a cost that callers don't drive up."""

from __future__ import annotations

from typing import Any

import pytest

from app.events.feeds.figures import EVERY_MS, NAMED, FiguresReader
from app.events.feeds.machine import FeedScripts
from tests.support.feeds import DOWN, OK, OTHER, TOPIC, FeedBench


@pytest.fixture
def reader(feeds: FeedBench) -> FiguresReader:
    return FiguresReader(feeds.machine._scripts)


def look_anew(feeds: FeedBench) -> None:
    """As if time had passed: it is measured by the server."""
    feeds.client.delete(f"{feeds.keys.feeds}:figures:turn")


def test_only_those_that_are_worst_off_are_named(feeds: FeedBench, reader: FiguresReader) -> None:
    for number in range(NAMED + 15):
        feeds.feed(f"s{number}", topics={TOPIC: ()} if number < NAMED + 5 else {OTHER: ()})
    feeds.feed("filter", topics={TOPIC: ["asset-deleted"]})  # what it lets by isn't behind it
    feeds.publish(2)
    feeds.messages()
    feeds.fan_out()
    for name in ("s0", "s1"):
        feeds.runner.run(name)
    feeds.publish()
    feeds.pass_time(60)
    feeds.store.pause("s34")
    figures = reader.read()
    assert figures.states == {"active": NAMED + 15, "paused": 1}
    assert (figures.lag_events, figures.open, figures.parked) == (3 * (NAMED + 3) + 2, 0, 0)
    assert len(figures.named) == NAMED
    assert {(one.state, one.lag_events) for one in figures.named} == {("active", 3)}
    assert figures.lag_seconds == max(one.lag_seconds for one in figures.named)
    assert figures.totals["delivered"] == 4


def test_those_that_fail_are_named_also_where_they_arent_behind_most(
    feeds: FeedBench, reader: FiguresReader
) -> None:
    sink = feeds.feed("failing", ordered=False, in_flight=2)
    feeds.feed("well")
    sink.say = lambda _: DOWN
    feeds.publish(2)
    for _ in range(6):
        feeds.work()
        feeds.tick(400)
    figures = reader.read()
    assert figures.states == {"active": 1, "failing": 1}
    assert [(one.id, one.state) for one in figures.named] == [("failing", "failing")]
    sink.say = lambda _: OK
    for _ in range(4):
        feeds.tick(400)
        feeds.work()
    look_anew(feeds)
    assert reader.read().named == ()


def test_however_often_it_is_asked_all_feeds_are_looked_at_once_in_a_while(
    feeds: FeedBench, reader: FiguresReader, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(70):
        feeds.feed(f"s{number}")
    ran: list[str] = []
    run = FeedScripts.run

    def counted(self: FeedScripts, name: str, *arguments: Any) -> Any:
        ran.append(name)
        return run(self, name, *arguments)

    monkeypatch.setattr(FeedScripts, "run", counted)
    first = reader.read()
    assert ran.count("figures") == 3, "some dozens a script"
    for _ in range(20):
        assert reader.read() == first
    assert ran.count("figures") == 3
    assert 0 < feeds.client.pttl(f"{feeds.keys.feeds}:figures:turn") <= EVERY_MS
    look_anew(feeds)
    reader.read()
    assert ran.count("figures") == 6


def test_what_was_counted_stays_when_a_feed_goes_and_a_replay_counts_for_itself(
    feeds: FeedBench, reader: FiguresReader
) -> None:
    feeds.feed()
    feeds.publish(3)
    feeds.work()
    feeds.store.replay("s1", 0)
    feeds.work()
    before = reader.read().totals
    assert (before["delivered"], before["calls"]) == (3, 3)
    feeds.store.delete("s1")
    look_anew(feeds)
    after = reader.read()
    assert (after.totals, after.states) == (before, {})
