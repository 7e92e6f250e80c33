"""The rest that a far side asks for: how long it is kept, for the destination and for one record."""

from __future__ import annotations

from datetime import timedelta

import pytest

from app.outgoing.decision import AttemptError, AttemptResult
from tests.contract.test_breaker import broken, probe, seen
from tests.support.outgoing import Bench


def throttled(seconds: float) -> AttemptError:
    return AttemptError(
        "throttled", "AVOS answered 429.", destination_fault=True, status=429, retry_after_s=seconds
    )


class TestRest:
    def test_retry_after_rests_the_destination_and_then_goes_on(self, bench: Bench) -> None:
        bench.accept(bench.patch("A"))
        bench.run(throttled(30))
        [other] = bench.accept(bench.patch("B"))
        assert (bench.take(), seen(bench)["state"]) == ([], "resting")
        bench.pass_time(seconds=31)
        assert bench.take() == [other]

    def test_it_is_bounded(self, bench: Bench) -> None:
        bench.accept(bench.patch("A"))
        bench.run(throttled(86_400))
        [other] = bench.accept(bench.patch("B"))
        bench.pass_time(seconds=301)
        assert bench.take() == [other]

    def test_an_answer_that_was_under_way_does_not_end_it(self, bench: Bench) -> None:
        *asked_to_rest, under_way = bench.accept(*(bench.patch(name) for name in "ABCD"))
        claims = {request_id: bench.claim(request_id) for request_id in bench.take()}
        for request_id in asked_to_rest:
            bench.store.finish(claims[request_id], AttemptResult({}, throttled(60)))
        assert seen(bench)["state"] == "open"
        bench.store.finish(claims[under_way], AttemptResult({}))
        assert seen(bench)["state"] == "resting", "the breaker is closed"
        [new] = bench.accept(bench.patch("new"))
        assert bench.take() == []
        bench.pass_time(seconds=59)
        bench.tick()
        assert bench.take() == []
        bench.pass_time(seconds=2)
        assert new in bench.take()

    def test_what_is_near_kick_off_waits_no_longer_than_a_tick_and_goes_one_at_a_time(
        self, bench: Bench
    ) -> None:
        soon = bench.now + timedelta(minutes=30)
        bench.accept(bench.patch("A"))
        bench.run(throttled(300))
        far, *near = bench.accept(
            bench.patch("far", urgent_at=bench.now + timedelta(hours=3)),
            *(bench.patch(name, urgent_at=soon) for name in "BCD"),
        )
        bench.pass_time(seconds=9)
        assert bench.take() == []
        bench.pass_time(seconds=1)
        [first] = bench.take()
        assert (first in near, bench.take()) == (True, [])
        bench.send(first)
        [second] = bench.take()
        bench.send(second, throttled(300))
        assert bench.take() == [], "it said so again"
        bench.pass_time(seconds=10)
        bench.tick()
        assert {second, *bench.take()} <= set(near)
        assert bench.state(far) == "pending"

    def test_behind_an_open_breaker_only_what_is_near_kick_off_is_a_probe_meanwhile(
        self, bench: Bench
    ) -> None:
        near = bench.patch("near", urgent_at=bench.now + timedelta(minutes=30))
        broken(bench, lanes=3, error=throttled(300))
        [request_id] = bench.accept(near)
        bench.pass_time(seconds=9)
        assert bench.take() == []
        bench.pass_time(seconds=1)
        assert bench.take() == [request_id]
        bench.send(request_id, throttled(300))
        for _ in range(20):
            assert set(probe(bench)) <= {request_id}
            if bench.state(request_id) == "live":
                bench.send(request_id, throttled(300))

    @pytest.mark.parametrize("asked", [86_400, 1e6])
    def test_one_record_is_tried_again_long_before_it_expires(self, bench: Bench, asked: float) -> None:
        [request_id] = bench.accept(bench.patch())
        bench.run(AttemptError("server_error", "AVOS answered 500.", status=500, retry_after_s=asked))
        bench.pass_time(seconds=299)
        bench.tick()
        assert bench.take() == []
        bench.pass_time(seconds=1)
        bench.tick()
        assert bench.take() == [request_id]

    def test_one_record_near_kick_off_is_tried_at_the_next_tick(self, bench: Bench) -> None:
        began, ends = bench.now - timedelta(hours=1), bench.now + timedelta(seconds=50)
        [request_id] = bench.accept(bench.patch(urgent_at=began, event_end=ends))
        crash = AttemptError("server_error", "AVOS answered 500.", status=500, retry_after_s=86_400)
        bench.run(crash)
        for _ in range(4):
            bench.pass_time(seconds=10)
            bench.tick()
            bench.run(crash)
        bench.pass_time(seconds=10)
        bench.tick()
        bench.run(crash)  # the event has ended: from now on it waits as any other
        bench.pass_time(seconds=10)
        bench.tick()
        assert (bench.take(), bench.state(request_id)) == ([], "failed")
