"""Receivers that take their time: a first try holds a slot of those that keep up for a second, the whole time is had among the slow,
and trust comes back call by call."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence

import fakeredis
import pytest

from app.events.consumers.decision import PROBATION, RETURN
from app.events.sinks.base import Delivery, Kind, Outcome, SinkError
from tests.support.consumers import DOWN, OK, ConsumerBench, FakeSink
from tests.support.keys import AllKeys
from tests.support.wait import until

FAST, SLOW = "deliveries", "deliveries-slow"


class Clock:
    """Stands still, but for what calls take."""

    def __init__(self) -> None:
        self.now = time.monotonic()
        self._lock = threading.Lock()

    def __call__(self) -> float:
        return self.now

    def go_on(self, seconds: float) -> None:
        with self._lock:
            self.now += seconds


class Slow(FakeSink):
    """Answers after `takes_s`, where it is given so much time."""

    def __init__(self, clock: Clock, takes_s: float) -> None:
        super().__init__()
        self.takes_s = takes_s
        self.given_s: list[float] = []
        self._clock = clock

    def send(self, deliveries: Sequence[Delivery], deadline: float) -> list[Outcome]:
        given_s = deadline - self._clock()
        self.given_s.append(round(given_s, 6))
        took_s = min(self.takes_s, given_s)
        latency = int(took_s * 1000)
        self._clock.go_on(took_s)
        if took_s < self.takes_s:
            error = SinkError("timeout", "No whole answer came in time.", Kind.RETRY)
            self.calls.append(list(deliveries))
            return [Outcome(error, latency_ms=latency)] * len(deliveries)
        return [
            Outcome(said.error, said.status, latency, said.answer)
            for said in super().send(deliveries, deadline)
        ]


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def consumers(clock: Clock) -> ConsumerBench:
    return ConsumerBench(fakeredis.FakeRedis(), AllKeys("t"), flags=False, clock=clock)


def on(consumers: ConsumerBench, queue: str) -> list[str]:
    """Run what waits in one of the queues."""
    return [consumers.runner.run(consumer_id) for consumer_id in consumers.messages(queue)]


@pytest.mark.parametrize("ordered", [True, False])
def test_a_first_try_without_an_answer_after_a_second_is_handed_over_and_counts_as_no_failure(
    consumers: ConsumerBench, clock: Clock, ordered: bool
) -> None:
    sink = Slow(clock, takes_s=2.0)
    consumers.sinks.sinks["s1"] = sink
    consumers.consumer(ordered=ordered, in_flight=1)
    consumers.publish()
    assert on(consumers, FAST) == ["awake"]
    status = consumers.status()
    assert (sink.given_s, status.failures_in_a_row, status.last_error) == ([1.0], 0, None)
    assert (status.counters["calls"], status.counters.get("failures", 0)) == (1, 0)
    [(word, entry)] = consumers.journal()
    assert (word, entry["error"]["code"], entry["attempt"]) == ("handed_over", "handed_over", 1)
    assert "may come twice" in entry["error"]["detail"]
    assert consumers.messages(FAST) == []
    assert on(consumers, SLOW) == ["listening"]
    assert (sink.given_s, sink.sequences) == ([1.0, 15.0], [1])
    assert (sink.taken[0].attempt, sink.taken[0].guid) == (1, "g1")
    assert consumers.client.exists(consumers.keys.consumer_part("s1", "attempts")) == 0
    consumers.stands_in_one_place()


@pytest.mark.parametrize("ordered", [True, False])
def test_who_always_takes_two_seconds_lives_among_the_slow_and_gets_each_event_once(
    consumers: ConsumerBench, clock: Clock, ordered: bool
) -> None:
    sink = Slow(clock, takes_s=2.0)
    consumers.sinks.sinks["s1"] = sink
    consumers.consumer(ordered=ordered, in_flight=2)
    consumers.publish()
    consumers.work()
    sink.calls.clear()
    for _ in range(PROBATION + 5):
        consumers.publish()
        assert consumers.messages(FAST) == []
        on(consumers, SLOW)
    assert len(sink.calls) == PROBATION + 5
    assert set(sink.given_s[1:]) == {15.0}
    assert sorted(sink.sequences) == [*range(1, PROBATION + 7)]
    assert (consumers.status().failures_in_a_row, consumers.told()) == (0, [])


def test_a_receiver_that_was_slow_once_comes_back_after_quick_calls(
    consumers: ConsumerBench, clock: Clock
) -> None:
    sink = Slow(clock, takes_s=1.5)
    consumers.sinks.sinks["s1"] = sink
    consumers.consumer()
    consumers.publish()
    consumers.work()
    sink.takes_s = 0.02
    for _ in range(RETURN - 1):
        consumers.publish()
        assert on(consumers, FAST) == []
        on(consumers, SLOW)
    assert consumers.field("queue") == SLOW
    consumers.publish()
    consumers.work()
    assert consumers.field("queue") == FAST


def test_one_that_hangs_rests_the_longer_the_more_it_held(consumers: ConsumerBench, clock: Clock) -> None:
    sink = Slow(clock, takes_s=99)
    consumers.sinks.sinks["s1"] = sink
    consumers.consumer()
    consumers.publish()
    consumers.work()
    waits = []
    for _ in range(4):
        waits.append(((consumers.status().next_try_ms or 0) - consumers.now_ms) / 1000)
        consumers.tick(waits[-1])
        consumers.work()
    assert sink.given_s[:3] == [1.0, 15.0, 15.0]
    assert waits == [15, 30, 45, 60]


def test_a_relapse_on_probation_costs_a_second(consumers: ConsumerBench, clock: Clock) -> None:
    sink = Slow(clock, takes_s=99)
    consumers.sinks.sinks["s1"] = sink
    consumers.consumer()
    consumers.publish()
    consumers.work()
    sink.takes_s = 0.02
    consumers.tick(20)
    consumers.work()
    assert (sink.given_s, sink.sequences) == ([1.0, 15.0, 15.0], [1])
    consumers.publish()
    on(consumers, SLOW)
    sink.takes_s = 99
    consumers.publish()
    assert on(consumers, SLOW) == ["awake"]
    assert sink.given_s[3:] == [1.0, 1.0]
    assert consumers.field("probation") == str(PROBATION)
    assert on(consumers, SLOW) == ["resting"]
    assert sink.given_s[5:] == [15.0]


def test_after_it_failed_a_receiver_gets_one_call_at_a_time_until_it_is_trusted() -> None:
    consumers = ConsumerBench(fakeredis.FakeRedis(), AllKeys("t"), flags=False)
    sink = consumers.consumer(ordered=False, in_flight=4)
    sink.say = lambda _: DOWN
    consumers.publish(8)
    for _ in range(8):
        consumers.work()
        consumers.tick(301)
    assert consumers.field("probation") == str(PROBATION)
    inside, peaks, lock = [0], [], threading.Lock()

    def take(one: Delivery) -> Outcome:
        with lock:
            inside[0] += 1
        threading.Event().wait(0.01)  # long enough for another one to come in
        with lock:
            peaks.append(inside[0])
            inside[0] -= 1
        return OK

    sink.say = take
    consumers.publish(40)
    consumers.work()
    assert set(peaks[: PROBATION - RETURN]) == {1}
    assert max(peaks) > 1


def test_a_consumer_that_is_not_trusted_yet_stays_on_the_slow_queue_whatever_it_was_moved_for(
    consumers: ConsumerBench, clock: Clock
) -> None:
    sink = Slow(clock, takes_s=0.02)
    consumers.sinks.sinks["s1"] = sink
    consumers.consumer()
    sink.say = lambda _: DOWN
    consumers.publish()
    consumers.work()
    sink.say = lambda _: OK
    consumers.tick(2)
    consumers.work()
    assert consumers.field("queue") == SLOW
    assert consumers.store.pause("s1")
    assert consumers.store.resume("s1")  # by hand: with a clean sheet
    consumers.publish()
    assert on(consumers, FAST) == ["listening"]
    assert consumers.field("queue") == FAST


def test_an_answer_is_an_answer_however_late(consumers: ConsumerBench, clock: Clock) -> None:
    """Only what got none is handed over."""
    sink = Slow(clock, takes_s=1.0)
    consumers.sinks.sinks["s1"] = sink
    sink.say = lambda _: DOWN
    consumers.consumer()
    consumers.publish()
    assert consumers.work() == ["resting"]
    assert consumers.status().failures_in_a_row == 1


# Several calls at once ------------------------------------------------------------------------------------------------


def test_retries_that_hang_leave_half_of_the_calls_to_what_is_new() -> None:
    consumers = ConsumerBench(fakeredis.FakeRedis(), AllKeys("t"), flags=False)
    sink = consumers.consumer(ordered=False, in_flight=4)
    sink.say = lambda _: DOWN
    consumers.publish(4)
    consumers.work()
    consumers.client.hset(consumers.keys.consumer("s1"), mapping={"failures": "0", "probation": "0"})
    over = threading.Event()
    hanging: list[int] = []

    def say(one: Delivery) -> Outcome:
        if one.attempt > 1:
            hanging.append(one.sequence)
            assert over.wait(20)
        return OK

    sink.say = say
    consumers.tick(400)
    worker = threading.Thread(target=consumers.work)
    worker.start()
    try:
        until(lambda: len(hanging) == 2, what="retries to hang")
        new = consumers.publish(30)
        until(lambda: len(sink.taken) == 30, what="what is new to go through")
        assert sorted(sink.sequences) == new
        assert len(hanging) == 2
    finally:
        over.set()
        worker.join(20)
    assert sorted(sink.sequences) == [*range(1, 35)]


def test_with_one_call_at_a_time_first_tries_and_retries_take_turns() -> None:
    consumers = ConsumerBench(fakeredis.FakeRedis(), AllKeys("t"), flags=False)
    sink = consumers.consumer(ordered=False, in_flight=1)
    sink.say = lambda one: DOWN if one.attempt == 1 and one.sequence <= 4 else OK
    consumers.publish(4)
    consumers.work()
    consumers.store.pause("s1")
    consumers.client.hset(consumers.keys.consumer("s1"), mapping={"failures": "0"})
    consumers.publish(4)
    consumers.tick(400)
    sink.calls.clear()
    consumers.store.resume("s1")
    consumers.work()
    kinds = [one.attempt > 1 for call in sink.calls for one in call]
    assert kinds[:6] in ([True, False] * 3, [False, True] * 3)
