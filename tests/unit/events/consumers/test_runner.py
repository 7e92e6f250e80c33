"""The runner on a server in the process, with sinks that hang, break and come too late."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any

import fakeredis
import pytest
from structlog.testing import capture_logs

from app.events.consumers.acknowledgement import Ack
from app.events.consumers.leases import LeaseRenewer
from app.events.consumers.model import Acked, Claimed
from app.events.consumers.runner import SinkCache
from app.events.sinks.base import Kind, Outcome, SinkError
from app.platform.errors import InvalidInput, Unavailable
from tests.support.consumers import DOWN, OK, TOPIC, ConsumerBench, FakeSink
from tests.support.keys import AllKeys


@pytest.fixture
def consumers() -> ConsumerBench:
    return ConsumerBench(fakeredis.FakeRedis(), AllKeys("t"), flags=False)


def test_a_sink_is_built_once_for_many_wake_ups_and_anew_for_a_new_revision(consumers: ConsumerBench) -> None:
    consumers.consumer()
    for _ in range(3):
        consumers.publish()
        consumers.work()
    assert len(consumers.sinks.built) == 1
    consumers.store.update(consumers.spec())
    consumers.publish()
    consumers.work()
    assert len(consumers.sinks.built) == 2


def test_a_lost_answer_of_the_store_is_asked_for_again_and_nothing_comes_twice(
    consumers: ConsumerBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    sink = consumers.consumer()
    consumers.publish(3)
    claims, sent = consumers.claims, consumers.claims.ack
    lost = [1, 2]

    def ack(claimed: Claimed, turn: int, word: Ack) -> Acked:
        answer = sent(claimed, turn, word)
        if turn in lost:
            lost.remove(turn)
            raise Unavailable("time-out")
        return answer

    monkeypatch.setattr(claims, "ack", ack)
    consumers.work()
    assert sink.sequences == [1, 2, 3]
    assert consumers.status().counters["delivered"] == 3


def test_each_attempt_is_one_line_of_the_log(consumers: ConsumerBench) -> None:
    sink = consumers.consumer()
    sink.say = lambda one: DOWN if one.sequence == 2 and one.attempt == 1 else OK
    consumers.publish(2)
    with capture_logs() as logs:
        consumers.work()
        consumers.tick(2)
        consumers.work()
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


def test_a_fault_of_ours_lets_the_consumer_rest_and_is_not_hidden(consumers: ConsumerBench) -> None:
    sink = consumers.consumer()

    def burst() -> None:
        raise ZeroDivisionError

    sink.during = burst
    consumers.publish()
    consumers.messages()
    with pytest.raises(ZeroDivisionError):
        consumers.runner.run("s1")
    assert (consumers.status().next_try_ms or 0) - consumers.now_ms == 5000
    consumers.stands_in_one_place()
    sink.during = lambda: None
    consumers.tick(5)
    consumers.work()
    assert sink.sequences == [1]


def test_a_sink_that_isnt_allowed_any_more_fails_until_it_is(
    consumers: ConsumerBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    sink = consumers.consumer()
    build = consumers.sinks.build
    allowed = False

    def guarded(config: Mapping[str, Any], secrets: Mapping[str, Any], *, ordered: bool) -> FakeSink:
        if not allowed:
            raise InvalidInput([("sink.url", "Not a public address.")])
        return build(config, secrets, ordered=ordered)

    monkeypatch.setattr(consumers.sinks, "build", guarded)
    consumers.publish()
    assert consumers.work() == ["resting"]
    error = consumers.status().last_error
    assert error is not None
    assert (error.code, error.detail) == ("misconfigured", "sink.url: Not a public address.")
    allowed = True
    consumers.tick(2)
    consumers.work()
    assert sink.sequences == [1]


def test_a_worker_that_was_frozen_longer_than_its_lease_sends_nothing_more(consumers: ConsumerBench) -> None:
    sink = consumers.consumer()
    consumers.publish(3)
    consumers.messages()
    other: list[str] = []

    def freeze() -> None:
        if not other:
            other.append("frozen")
            consumers.tick(20)  # meanwhile somebody else …
            sink_of_the_other = consumers.sinks.sinks["s1"]
            sink_of_the_other.during = lambda: None
            other.extend(consumers.work())

    sink.during = freeze
    assert consumers.runner.run("s1") == "lost"
    assert other == ["frozen", "listening"]
    assert sink.sequences == [1, 2, 3, 1]  # its one call under way
    assert consumers.status().counters["delivered"] == 3


def test_leases_are_renewed_and_one_that_is_lost_is_noticed(consumers: ConsumerBench) -> None:
    class Clock:
        def __init__(self) -> None:
            self.lease_s = 8.0
            self.answers = [[True, True], [True, False]]
            self.asked: list[list[tuple[str, str]]] = []

        def renew(self, leases: Any) -> list[bool]:
            self.asked.append(list(leases))
            return self.answers.pop(0)

    machine = Clock()
    renewer = LeaseRenewer(machine)
    with renewer.renewing("a", "1", since=1e9) as first, renewer.renewing("b", "2", since=1e9) as second:
        renewer.renew()
        assert first.valid
        renewer.renew()
        assert (first.valid, second.valid) == (True, False)
    renewer.renew()
    assert machine.asked == [[("a", "1"), ("b", "2")]] * 2


def test_a_lease_that_wasnt_renewed_in_time_isnt_valid(consumers: ConsumerBench) -> None:
    with LeaseRenewer(consumers.claims).renewing("a", "1", since=-1e9) as lease:
        assert not lease.valid


def test_calls_of_an_unordered_consumer_run_at_once_and_no_more_than_it_may(consumers: ConsumerBench) -> None:
    sink = consumers.consumer(ordered=False, in_flight=3)
    meeting = threading.Barrier(3, timeout=10)
    sink.during = meeting.wait  # type: ignore[assignment]
    consumers.publish(9)
    assert consumers.work() == ["listening"]
    assert sorted(sink.sequences) == [*range(1, 10)]


def test_a_call_that_hangs_holds_up_no_other_event_of_an_unordered_consumer(consumers: ConsumerBench) -> None:
    sink = consumers.consumer(ordered=False, in_flight=2)
    others = threading.Event()

    def say(one: Any) -> Outcome:
        if one.sequence == 1:
            assert others.wait(10)
        elif one.sequence == 6:
            others.set()
        return OK

    sink.say = say
    consumers.publish(5)
    consumers.messages()
    done: list[str] = []
    worker = threading.Thread(target=lambda: done.append(consumers.runner.run("s1")))
    worker.start()
    consumers.publish()  # comes while the call hangs
    worker.join(20)
    assert done == ["listening"]
    assert sorted(sink.sequences) == [1, 2, 3, 4, 5, 6]


def test_of_several_failures_under_way_none_lets_go_before_all_are_written_down(
    consumers: ConsumerBench,
) -> None:
    sink = consumers.consumer(ordered=False, in_flight=4)
    meeting = threading.Barrier(4, timeout=10)
    sink.during = meeting.wait  # type: ignore[assignment]
    asked = Outcome(SinkError("throttled", "429", Kind.RETRY, retry_after_s=100), 429)
    sink.say = lambda one: asked if one.sequence == 1 else DOWN if one.sequence == 2 else OK
    consumers.publish(4)
    assert consumers.work() == ["resting"]
    assert sorted(sink.sequences) == [3, 4]
    status = consumers.status()
    assert (status.open, (status.next_try_ms or 0) - consumers.now_ms) == (2, 100_000)
    sink.during = lambda: None
    sink.say = lambda _: OK
    consumers.tick(100)
    consumers.work()
    assert sorted(sink.sequences) == [1, 2, 3, 4]


def test_a_subscription_to_its_own_failing_doesnt_consumer_itself(consumers: ConsumerBench) -> None:
    sink = consumers.consumer(topics={"delivery-operations": (), TOPIC: ()})
    sink.say = lambda _: DOWN
    consumers.publish()
    for _ in range(20):
        consumers.work()
        consumers.tick(301)
    assert [one["eventName"] for one in consumers.told()] == ["subscription-failing"]
    sink.say = lambda _: OK
    consumers.tick(301)
    for _ in range(5):
        consumers.work()
    assert [one.event_name for one in sink.taken] == [
        "asset-created",
        "subscription-failing",
        "subscription-recovered",
    ]


def test_a_full_cache_of_sinks_closes_the_oldest(
    consumers: ConsumerBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.events.consumers.runner.KEPT_SINKS", 2)
    consumers.rebuild()
    assert isinstance(consumers.runner._cache, SinkCache)
    sinks = [consumers.consumer(f"s{number}") for number in range(3)]
    consumers.publish()
    consumers.work()
    assert sorted(sink.closed for sink in sinks) == [False, False, True]
    consumers.publish()
    consumers.work()
    assert all(sink.sequences == [1, 2] for sink in sinks)
