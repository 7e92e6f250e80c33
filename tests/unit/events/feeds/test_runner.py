"""The runner on a server in the process, with sinks that hang, break and come too late."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any

import fakeredis
import pytest
from structlog.testing import capture_logs

from app.events.feeds.keeper import Keeper
from app.events.feeds.model import Ack, Acked, Claimed
from app.events.feeds.runner import SinkCache
from app.events.sinks.base import Kind, Outcome, SinkError
from app.platform.errors import InvalidInput, Unavailable
from app.platform.keys import Keys
from tests.support.feeds import DOWN, OK, TOPIC, FakeSink, FeedBench


@pytest.fixture
def feeds() -> FeedBench:
    return FeedBench(fakeredis.FakeRedis(), Keys("t"), flags=False)


def test_a_sink_is_built_once_for_many_wake_ups_and_anew_for_a_new_revision(feeds: FeedBench) -> None:
    feeds.feed()
    for _ in range(3):
        feeds.publish()
        feeds.work()
    assert len(feeds.sinks.built) == 1
    feeds.store.update(feeds.spec())
    feeds.publish()
    feeds.work()
    assert len(feeds.sinks.built) == 2


def test_a_lost_answer_of_the_store_is_asked_for_again_and_nothing_comes_twice(
    feeds: FeedBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    sink = feeds.feed()
    feeds.publish(3)
    machine, sent = feeds.machine, feeds.machine.ack
    lost = [1, 2]

    def ack(claimed: Claimed, turn: int, word: Ack) -> Acked:
        answer = sent(claimed, turn, word)
        if turn in lost:
            lost.remove(turn)
            raise Unavailable("time-out")
        return answer

    monkeypatch.setattr(machine, "ack", ack)
    feeds.work()
    assert sink.sequences == [1, 2, 3]
    assert feeds.status().counters["delivered"] == 3


def test_each_attempt_is_one_line_of_the_log(feeds: FeedBench) -> None:
    sink = feeds.feed()
    sink.say = lambda one: DOWN if one.sequence == 2 and one.attempt == 1 else OK
    feeds.publish(2)
    with capture_logs() as logs:
        feeds.work()
        feeds.tick(2)
        feeds.work()
    lines = [line for line in logs if line["event"] == "attempt"]
    assert [
        (one["outcome"], one["sequence"], one["attempt"], one["status"], one["code"]) for one in lines
    ] == [
        ("delivered", 1, 1, 200, None),
        ("failed", 2, 1, 503, "unavailable"),
        ("delivered", 2, 2, 200, None),
    ]
    assert {one["subscription_id"] for one in lines} == {"s1"}
    assert (lines[0]["guid"], lines[0]["event_name"], lines[0]["events"]) == ("g1", "asset-created", 1)
    assert lines[1]["next_try_ms"] > 0
    assert lines[0]["next_try_ms"] is lines[2]["next_try_ms"] is None


def test_a_fault_of_ours_lets_the_feed_rest_and_is_not_hidden(feeds: FeedBench) -> None:
    sink = feeds.feed()

    def burst() -> None:
        raise ZeroDivisionError

    sink.during = burst
    feeds.publish()
    feeds.messages()
    with pytest.raises(ZeroDivisionError):
        feeds.runner.run("s1")
    assert (feeds.status().next_try_ms or 0) - feeds.now_ms == 5000
    feeds.is_settled()
    sink.during = lambda: None
    feeds.tick(5)
    feeds.work()
    assert sink.sequences == [1]


def test_a_sink_that_isnt_allowed_any_more_fails_until_it_is(
    feeds: FeedBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    sink = feeds.feed()
    build = feeds.sinks.build
    allowed = False

    def guarded(config: Mapping[str, Any], secrets: Mapping[str, Any], *, ordered: bool) -> FakeSink:
        if not allowed:
            raise InvalidInput([("sink.url", "Not a public address.")])
        return build(config, secrets, ordered=ordered)

    monkeypatch.setattr(feeds.sinks, "build", guarded)
    feeds.publish()
    assert feeds.work() == ["resting"]
    error = feeds.status().last_error
    assert error is not None
    assert (error.code, error.detail) == ("misconfigured", "sink.url: Not a public address.")
    allowed = True
    feeds.tick(2)
    feeds.work()
    assert sink.sequences == [1]


def test_a_worker_that_was_frozen_longer_than_its_lease_sends_nothing_more(feeds: FeedBench) -> None:
    sink = feeds.feed()
    feeds.publish(3)
    feeds.messages()
    other: list[str] = []

    def freeze() -> None:
        if not other:
            other.append("frozen")
            feeds.tick(20)  # meanwhile somebody else …
            sink_of_the_other = feeds.sinks.sinks["s1"]
            sink_of_the_other.during = lambda: None
            other.extend(feeds.work())

    sink.during = freeze
    assert feeds.runner.run("s1") == "lost"
    assert other == ["frozen", "listening"]
    assert sink.sequences == [1, 2, 3, 1]  # its one call under way
    assert feeds.status().counters["delivered"] == 3


def test_the_keeper_renews_what_is_held_and_notices_what_is_lost(feeds: FeedBench) -> None:
    class Clock:
        def __init__(self) -> None:
            self.lease_s = 8.0
            self.answers = [[True, True], [True, False]]
            self.asked: list[list[tuple[str, str]]] = []

        def renew(self, held: Any) -> list[bool]:
            self.asked.append(list(held))
            return self.answers.pop(0)

    machine = Clock()
    keeper = Keeper(machine)
    with keeper.hold("a", "1", since=1e9) as first, keeper.hold("b", "2", since=1e9) as second:
        keeper.renew()
        assert first.valid
        keeper.renew()
        assert (first.valid, second.valid) == (True, False)
    keeper.renew()
    assert machine.asked == [[("a", "1"), ("b", "2")]] * 2


def test_a_lease_that_wasnt_renewed_in_time_isnt_valid(feeds: FeedBench) -> None:
    with Keeper(feeds.machine).hold("a", "1", since=-1e9) as hold:
        assert not hold.valid


def test_calls_of_an_unordered_feed_run_at_once_and_no_more_than_it_may(feeds: FeedBench) -> None:
    sink = feeds.feed(ordered=False, in_flight=3)
    meeting = threading.Barrier(3, timeout=10)
    sink.during = meeting.wait  # type: ignore[assignment]
    feeds.publish(9)
    assert feeds.work() == ["listening"]
    assert sorted(sink.sequences) == [*range(1, 10)]


def test_a_call_that_hangs_holds_up_no_other_event_of_an_unordered_feed(feeds: FeedBench) -> None:
    sink = feeds.feed(ordered=False, in_flight=2)
    others = threading.Event()

    def say(one: Any) -> Outcome:
        if one.sequence == 1:
            assert others.wait(10)
        elif one.sequence == 6:
            others.set()
        return OK

    sink.say = say
    feeds.publish(5)
    feeds.messages()
    done: list[str] = []
    worker = threading.Thread(target=lambda: done.append(feeds.runner.run("s1")))
    worker.start()
    feeds.publish()  # comes while the call hangs
    worker.join(20)
    assert done == ["listening"]
    assert sorted(sink.sequences) == [1, 2, 3, 4, 5, 6]


def test_of_several_failures_under_way_none_lets_go_before_all_are_written_down(feeds: FeedBench) -> None:
    sink = feeds.feed(ordered=False, in_flight=4)
    meeting = threading.Barrier(4, timeout=10)
    sink.during = meeting.wait  # type: ignore[assignment]
    asked = Outcome(SinkError("throttled", "429", Kind.RETRY, retry_after_s=100), 429)
    sink.say = lambda one: asked if one.sequence == 1 else DOWN if one.sequence == 2 else OK
    feeds.publish(4)
    assert feeds.work() == ["resting"]
    assert sorted(sink.sequences) == [3, 4]
    status = feeds.status()
    assert (status.open, (status.next_try_ms or 0) - feeds.now_ms) == (2, 100_000)
    sink.during = lambda: None
    sink.say = lambda _: OK
    feeds.tick(100)
    feeds.work()
    assert sorted(sink.sequences) == [1, 2, 3, 4]


def test_a_subscription_to_its_own_failing_doesnt_feed_itself(feeds: FeedBench) -> None:
    sink = feeds.feed(topics={"delivery-operations": (), TOPIC: ()})
    sink.say = lambda _: DOWN
    feeds.publish()
    for _ in range(20):
        feeds.work()
        feeds.tick(301)
    assert [one["eventName"] for one in feeds.told()] == ["subscription-failing"]
    sink.say = lambda _: OK
    feeds.tick(301)
    for _ in range(5):
        feeds.work()
    assert [one.event_name for one in sink.taken] == [
        "asset-created",
        "subscription-failing",
        "subscription-recovered",
    ]


def test_a_full_cache_of_sinks_closes_the_oldest(feeds: FeedBench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.events.feeds.runner.KEPT_SINKS", 2)
    feeds.rebuild()
    assert isinstance(feeds.runner._cache, SinkCache)
    sinks = [feeds.feed(f"s{number}") for number in range(3)]
    feeds.publish()
    feeds.work()
    assert sorted(sink.closed for sink in sinks) == [False, False, True]
    feeds.publish()
    feeds.work()
    assert all(sink.sequences == [1, 2] for sink in sinks)
