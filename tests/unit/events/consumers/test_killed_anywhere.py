"""Consumers under everything at once, in an order that hypothesis chooses: workers killed before, after and between their words to the
store, messages lost and doubled, answers of every kind, pauses, changes, retention, the clock set.

Whatever happened: once all is well again, each event that a consumer wants was delivered, or is parked, or is reported as missed;
an ordered consumer's events came in their order; and each chain of previous sequences is whole.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import fakeredis
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from app.events.consumers.acknowledgement import Ack
from app.events.consumers.claims import ConsumerClaims
from app.events.consumers.model import Acked, Claimed, ReadLimits
from app.events.sinks.base import HANDED_OVER, Delivery, Kind, Limits, Outcome, SinkError
from app.platform.errors import Conflict
from tests.support.consumers import DOWN, OK, OTHER, REFUSED, TOPIC, ConsumerBench, FakeSink
from tests.support.keys import AllKeys

MANY = Limits(events=4, bytes=1 << 20, event_bytes=1 << 20, one_per_key=True)
CONSUMERS: dict[str, dict[str, Any]] = {
    "one": {},
    "filtered": {"topics": {TOPIC: ["asset-deleted"], OTHER: ()}},
    "batches": {"sink": MANY, "topics": {TOPIC: (), OTHER: ()}},
    "several": {"ordered": False, "in_flight": 3},
}


# As `Session.send` has it of a call that got the short time only.
NO_ANSWER = Outcome(SinkError(HANDED_OVER, "No answer within 1 s.", Kind.RETRY), latency_ms=1000)


class Killed(BaseException):
    """The process is gone: nothing after this was done."""


class Mortal:
    """A worker's side of the store, on which the worker dies at its n-th word: just before it, or just after."""

    def __init__(self, claims: ConsumerClaims) -> None:
        self._claims = claims
        self.lease_s = claims.lease_s
        self.words = -1  # left to live; negative: for ever
        self.after = False

    def _say(self, word: Callable[[], Any]) -> Any:
        self.words -= 1
        if self.words == 0 and not self.after:
            raise Killed
        answer = word()
        if self.words == 0:
            raise Killed
        return answer

    def claim(self, consumer_id: str, known: int, read: ReadLimits) -> Claimed | None:
        answer: Claimed | None = self._say(lambda: self._claims.claim(consumer_id, known, read))
        return answer

    def ack(self, claimed: Claimed, turn: int, ack: Ack) -> Acked:
        answer: Acked = self._say(lambda: self._claims.ack(claimed, turn, ack))
        return answer

    def renew(self, leases: Any) -> list[bool]:
        return self._claims.renew(leases)


class Consumers(RuleBasedStateMachine):
    @initialize()
    def begin(self) -> None:
        self.bench = ConsumerBench(fakeredis.FakeRedis(), AllKeys("t"), flags=False)
        self.mortal = Mortal(self.bench.claims)
        self.bench.runner._claims = self.mortal  # type: ignore[assignment]
        self.answers: list[Outcome] = []
        for name, more in CONSUMERS.items():
            options = dict(more)
            sink = FakeSink(options.pop("sink", None))
            sink.say = self._answer
            self.bench.sinks.sinks[name] = sink
            self.bench.consumer(name, **options)
        self.bench.tick()
        self.published: dict[tuple[str, int], str] = {}

    def _answer(self, one: Delivery) -> Outcome:
        return self.answers.pop() if self.answers else OK

    @rule(
        count=st.integers(1, 6),
        topic=st.sampled_from([TOPIC, TOPIC, OTHER]),
        deleted=st.booleans(),
        about=st.lists(st.integers(1, 3), min_size=1, max_size=3),
    )
    def publish(self, count: int, topic: str, deleted: bool, about: list[int]) -> None:
        name = "asset-deleted" if deleted and topic == TOPIC else ""
        for sequence in self.bench.publish(count, topic, name, about):
            self.published[topic, sequence] = name

    @rule(
        answers=st.lists(st.sampled_from([OK, OK, DOWN, REFUSED, NO_ANSWER]), max_size=5),
        words=st.integers(-1, 4),
        after=st.booleans(),
        twice=st.booleans(),
    )
    def work(self, answers: list[Outcome], words: int, after: bool, twice: bool) -> None:
        """A worker takes the wake-ups there are; perhaps it dies, perhaps they come twice."""
        due = self.bench.messages() + self.bench.messages("deliveries-slow")
        for consumer_id in due * 2 if twice else due:
            self.answers = list(answers)
            self.mortal.words, self.mortal.after = words, after
            try:
                self.bench.runner.run(consumer_id)
            except Killed:
                pass
            finally:
                self.mortal.words, self.answers = -1, []

    @rule(lost=st.booleans())
    def messages_are_popped_by_a_dying_worker(self, lost: bool) -> None:
        self.bench.messages("deliveries-slow" if lost else "deliveries")

    @rule(seconds=st.sampled_from([0, 1, 6, 10, 400]))
    def tick(self, seconds: int) -> None:
        self.bench.tick(seconds)

    @rule(seconds=st.sampled_from([-7200, -5, 86400]))
    def the_clock_is_set(self, seconds: int) -> None:
        self.bench.pass_time(seconds)

    @rule(name=st.sampled_from(list(CONSUMERS)), pause=st.booleans())
    def stop_or_go(self, name: str, pause: bool) -> None:
        (self.bench.store.pause if pause else self.bench.store.resume)(name)

    @rule(name=st.sampled_from(list(CONSUMERS)))
    def change(self, name: str) -> None:
        more = {key: value for key, value in CONSUMERS[name].items() if key != "sink"}
        self.bench.store.update(self.bench.spec(name, **more))

    @rule(name=st.sampled_from(list(CONSUMERS)))
    def retry_parked(self, name: str) -> None:
        self.bench.store.retry_parked(name)

    @rule(name=st.sampled_from(list(CONSUMERS)))
    def replay(self, name: str) -> None:
        try:
            self.bench.store.replay(name, 0)
        except Conflict:
            return

    @rule(topic=st.sampled_from([TOPIC, OTHER]), keep=st.integers(0, 10))
    def retention_takes_the_oldest(self, topic: str, keep: int) -> None:
        self.bench.client.xtrim(self.bench.keys.log(topic), maxlen=keep, approximate=False)

    @invariant()
    def every_consumer_stands_in_one_place(self) -> None:
        for name in CONSUMERS:
            self.bench.stands_in_one_place(name)

    def teardown(self) -> None:
        if not hasattr(self, "bench"):
            return
        for name in CONSUMERS:
            self.bench.store.resume(name)
        for _ in range(12):
            self.bench.tick(400)
            self.bench.ticks.audit()
            self.bench.work()
        for name in CONSUMERS:
            self._judge(name)

    def _judge(self, name: str) -> None:
        bench, sink = self.bench, self.bench.sinks.sinks[name]
        status = bench.status(name)
        assert (status.open, status.lag_events) == (0, 0)
        if status.replay is not None:
            assert status.replay.done + status.replay.missed_events == status.replay.total
        for topic in (TOPIC, OTHER):
            wanted = self._wanted(name, topic)
            gaps = [(one.first, one.last) for one in status.missed if one.topic == topic]
            missed = {sequence for first, last in gaps for sequence in range(first, last + 1)}
            parked = {one.sequence for one in bench.store.parked(name, 1000)[0] if one.topic == topic}
            live = [one for one in sink.taken if one.topic == topic and one.redelivery is None]
            came = {one.sequence for one in sink.taken if one.topic == topic}
            assert set(wanted) - came - parked - missed == set(), (name, topic)
            assert came <= set(wanted)
            self._judge_order(name, live)
            self._judge_chain(wanted, live, missed)

    def _judge_order(self, name: str, live: list[Delivery]) -> None:
        if CONSUMERS[name].get("ordered") is False:
            return
        first: dict[str, list[int]] = {}
        for one in live:
            of_entity = first.setdefault(one.entity if name == "batches" else "", [])
            if one.sequence not in of_entity:
                of_entity.append(one.sequence)
        for sequences in first.values():
            assert sequences == sorted(sequences), name

    def _judge_chain(self, wanted: list[int], live: list[Delivery], missed: set[int]) -> None:
        """Each names the one that this consumer got before it, or what was the end of a gap that was reported: it may have
        grown since, where the rest went before its delivery was written down."""
        before = dict(zip(wanted, [0, *wanted], strict=False))
        for one in live:
            assert one.previous == before[one.sequence] or one.previous in missed, (
                one.sequence,
                one.previous,
            )

    def _wanted(self, name: str, topic: str) -> list[int]:
        topics = CONSUMERS[name].get("topics", {TOPIC: ()})
        if topic not in topics:
            return []
        names = set(topics[topic])
        return sorted(
            s for (t, s), given in self.published.items() if t == topic and (not names or given in names)
        )


@pytest.mark.slow
@pytest.mark.timeout(500)  # so many examples, however busy the machine is
def test_no_event_is_missing_whatever_happens() -> None:
    run_state_machine_as_test(
        Consumers,
        settings=settings(
            max_examples=60,
            stateful_step_count=40,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
