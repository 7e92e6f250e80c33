"""What a newer release has written is left alone: no script of this one changes it or takes it out of an index, and it
holds back nothing of ours. On fakeredis and on a real server."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from app.outgoing.decision import AttemptError
from app.outgoing.model import AVOS
from app.platform.errors import WrittenByNewer
from tests.support.consumers import DOWN, OTHER, TOPIC, ConsumerBench
from tests.support.outgoing import Bench

TIMEOUT = AttemptError("timeout", "no answer")
REFUSED = AttemptError("refused", "400", retryable=False)
DOWN_THERE = AttemptError("connect_failed", "down", destination_fault=True)


def standing(bench: Any, word: str) -> dict[str, Any]:
    """Every hash named after it, and its place in every sorted set and set."""
    found: dict[str, Any] = {}
    for key in sorted(bench.client.keys(f"{bench.keys.prefix}*")):
        name, kind = key.decode(), bench.client.type(key)
        if kind == b"hash" and f":{word}" in name:
            found[name] = bench.client.hgetall(key)
        elif kind == b"zset" and "ticks" not in name:
            found |= {
                f"{name} {member.decode()}": score
                for member, score in bench.client.zrange(key, 0, -1, withscores=True)
                if word in member.decode()
            }
    return found


def make_newer(bench: Bench, *ids: str) -> None:
    for request_id in ids:
        bench.client.hset(bench.keys.request(request_id), "schema", "2")


def every_tick(bench: Bench) -> None:
    bench.store.reclaim(AVOS)
    bench.tick()
    bench.store.promote(AVOS)
    bench.store.audit()
    bench.store.trim()


def pending(bench: Bench, media: str) -> str:
    [request_id] = bench.accept(bench.patch(media, deadline=bench.now.replace(hour=18)))
    return request_id


def live(bench: Bench, media: str) -> str:
    request_id = pending(bench, media)
    assert bench.take() == [request_id]
    return request_id


def failed(bench: Bench, media: str) -> str:
    request_id = live(bench, media)
    bench.fail(request_id)
    return request_id


def due(bench: Bench, media: str) -> str:
    request_id = failed(bench, media)
    bench.pass_time(seconds=10)
    bench.tick()
    return request_id


def rejected(bench: Bench, media: str) -> str:
    request_id = live(bench, media)
    bench.send(request_id, REFUSED)
    return request_id


class TestRequests:
    @pytest.mark.parametrize("state", [pending, live, failed, due, rejected])
    def test_one_of_a_newer_schema_stays_as_and_where_it_is(
        self, bench: Bench, state: Callable[[Bench, str], str]
    ) -> None:
        newer = state(bench, "CM1")
        make_newer(bench, newer)
        before = standing(bench, newer)
        for days in (0, 0, 2, 40, 0):
            every_tick(bench)
            bench.pass_time(days=days, seconds=20)
        assert standing(bench, newer) == before

    @pytest.mark.parametrize("state", [pending, failed])
    def test_behind_an_open_breaker_it_does_not_expire(
        self, bench: Bench, state: Callable[[Bench, str], str]
    ) -> None:
        newer = state(bench, "CM1")
        make_newer(bench, newer)
        for down in bench.accept(*(bench.patch(f"D{n}") for n in range(3))):
            bench.take()
            bench.send(down, DOWN_THERE)
        before = standing(bench, newer)
        bench.pass_time(days=3)
        every_tick(bench)
        assert standing(bench, newer) == before

    def test_a_clock_that_was_set_back_does_not_touch_it(self, bench: Bench) -> None:
        ids = [failed(bench, "CM1"), live(bench, "CM2")]
        make_newer(bench, *ids)
        before = [standing(bench, request_id) for request_id in ids]
        bench.pass_time(hours=-1)
        every_tick(bench)
        assert [standing(bench, request_id) for request_id in ids] == before

    def test_it_blocks_nothing_of_ours(self, bench: Bench) -> None:
        """More of them at the head of each queue than any script takes on in one call."""
        many = 60
        for state in (pending, live, failed, due):
            for n in range(many):
                make_newer(bench, state(bench, f"{state.__name__}{n}"))
        waits, late, lost = (failed(bench, media) for media in ("W", "L", "X"))
        bench.pass_time(seconds=20)
        bench.tick()
        assert {lost, waits, late} <= set(bench.take())
        bench.claim(lost)
        bench.send(waits)
        bench.fail(late)
        bench.pass_time(days=2)
        bench.store.reclaim(AVOS)
        assert bench.state(lost) == "pending"
        bench.tick()
        assert bench.state(late) == "expired"
        bench.pass_time(days=40)
        bench.store.trim()
        assert bench.records.get(late) is None

    def test_what_a_newer_release_left_in_flight_takes_no_room(self, bench: Bench) -> None:
        ids = [live(bench, f"CM{n}") for n in range(bench.avos.in_flight)]
        make_newer(bench, *ids)
        [ours] = bench.accept(bench.patch("OURS"))
        assert bench.take() == [], "their workers may be at it"
        bench.pass_time(seconds=16)
        assert bench.take() == [ours]

    def test_what_is_absent_is_taken_out_of_the_indexes(self, bench: Bench) -> None:
        [gone] = bench.accept(bench.patch("CM1"))
        bench.client.delete(bench.keys.request(gone))
        assert bench.take() == []
        assert bench.store.audit() == [gone]
        assert bench.client.zrange(bench.keys.expiry, 0, -1) == []

    @pytest.mark.parametrize("verb", ["retry", "discard"])
    def test_an_operator_is_told_why_it_is_refused(self, bench: Bench, verb: str) -> None:
        newer = rejected(bench, "CM1")
        make_newer(bench, newer)
        before = standing(bench, newer)
        with pytest.raises(WrittenByNewer):
            bench.store.act(newer, verb, "me")
        assert standing(bench, newer) == before

    def test_a_newer_delivery_does_not_make_it_good(self, bench: Bench) -> None:
        newer = rejected(bench, "CM1")
        make_newer(bench, newer)
        before = standing(bench, newer)
        bench.accept(bench.patch("CM1"))
        bench.run()
        assert standing(bench, newer) == before

    def test_an_order_of_its_lane_is_kept(self, bench: Bench) -> None:
        newer = pending(bench, "CM1")
        make_newer(bench, newer)
        [ours] = bench.accept(bench.patch("CM1", members={"b": 1}))
        assert bench.take() == []
        assert bench.state(ours) == "pending"


class TestConsumers:
    def newer(self, consumers: ConsumerBench, *ids: str) -> None:
        for consumer_id in ids:
            consumers.client.hset(consumers.keys.consumer(consumer_id), "schema", "2")

    def every_tick(self, consumers: ConsumerBench) -> None:
        consumers.tick(90)
        consumers.ticks.audit()

    @pytest.mark.parametrize("state", ["listening", "awake", "taken", "resting", "stopped"])
    def test_one_of_a_newer_schema_stays_as_and_where_it_is(
        self, consumers: ConsumerBench, state: str
    ) -> None:
        sink = consumers.consumer(topics={OTHER: ()} if state == "listening" else None)
        consumers.publish(3)
        if state == "taken":
            sink.during = lambda: self.newer(consumers, "s1")
        if state == "resting":
            sink.say = lambda _: DOWN
        if state in ("taken", "resting"):
            consumers.work()
        if state == "stopped":
            consumers.store.pause("s1")
        self.newer(consumers, "s1")
        consumers.messages()
        before, called = standing(consumers, "s1"), len(sink.calls)
        for _ in range(3):
            self.every_tick(consumers)
        assert standing(consumers, "s1") == before
        assert consumers.messages() == []
        assert consumers.runner.run("s1") == "nothing"
        assert len(sink.calls) == called

    def test_a_clock_that_was_set_back_does_not_touch_it(self, consumers: ConsumerBench) -> None:
        consumers.consumer().say = lambda _: DOWN
        consumers.publish(3)
        consumers.work()
        consumers.tick()
        self.newer(consumers, "s1")
        before = standing(consumers, "s1")
        consumers.tick(-3600)
        consumers.ticks.audit()
        assert standing(consumers, "s1") == before

    def test_it_blocks_nothing_of_ours(self, consumers: ConsumerBench) -> None:
        ids = [f"n{n}" for n in range(120)]
        for consumer_id in ids:
            consumers.consumer(consumer_id)
        ours = consumers.consumer("ours")
        consumers.publish(1)
        self.newer(consumers, *ids)
        consumers.messages()
        consumers.pass_time(0.001)
        consumers.client.zadd(consumers.keys.consumers_due, {"ours": consumers.now_ms + 9})  # the last of all
        consumers.tick(60)
        consumers.work()
        assert ours.sequences == [1]

    def test_a_replay_is_as_new_as_its_subscription(self, consumers: ConsumerBench) -> None:
        consumers.consumer()
        consumers.publish(3)
        consumers.work()
        replay = consumers.store.replay("s1", 0)
        consumers.messages("deliveries-slow")
        self.newer(consumers, "s1")
        before = standing(consumers, "s1")
        self.every_tick(consumers)
        assert consumers.runner.run(f"s1.replay.{replay.id}") == "nothing"
        assert standing(consumers, "s1") == before

    def test_nothing_is_asked_of_it(self, consumers: ConsumerBench) -> None:
        consumers.consumer()
        self.newer(consumers, "s1")
        before = standing(consumers, "s1")
        for ask in (
            lambda: consumers.store.pause("s1"),
            lambda: consumers.store.resume("s1"),
            lambda: consumers.store.update(consumers.spec(topics={TOPIC: ()})),
            lambda: consumers.store.replay("s1", 0),
            lambda: consumers.store.retry_parked("s1"),
            lambda: consumers.store.delete("s1"),
        ):
            with pytest.raises(WrittenByNewer):
                ask()
        assert standing(consumers, "s1") == before

    def test_what_is_absent_is_taken_out_of_the_indexes(self, consumers: ConsumerBench) -> None:
        consumers.consumer()
        consumers.publish(1)
        consumers.client.delete(consumers.keys.consumer("s1"))
        self.every_tick(consumers)
        assert consumers.client.zcard(consumers.keys.consumers) == 0
        assert consumers.client.zcard(consumers.keys.consumers_due) == 0
