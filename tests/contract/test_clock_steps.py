"""The clock of Redis, which decides, set back by an hour: nothing waits for as long as it was wrong."""

from __future__ import annotations

from app.outgoing.decision import AttemptError, AttemptResult
from app.outgoing.model import AVOS
from tests.support.outgoing import Bench

DOWN = AttemptError("connect_failed", "No connection could be made.", destination_fault=True)
BUSY = AttemptError("throttled", "429", destination_fault=True, status=429, retry_after_s=60)


def set_back(bench: Bench) -> None:
    bench.pass_time(hours=-1)


def test_the_lease_of_a_dead_worker_ends_one_lease_later(bench: Bench) -> None:
    bench.accept(bench.patch())
    [request_id] = bench.take()
    bench.claim(request_id)
    set_back(bench)
    bench.store.reclaim(AVOS)
    assert bench.state(request_id) == "live", "its worker may be well"
    bench.pass_time(seconds=15)
    bench.store.reclaim(AVOS)
    assert bench.take() == [request_id]


def test_its_record_has_the_lease_that_its_place_has(bench: Bench) -> None:
    bench.accept(bench.patch())
    claim = bench.claim(*bench.take())
    set_back(bench)
    bench.store.reclaim(AVOS)
    noted = bench.client.hget(bench.keys.request(claim.request_id), "leaseUntil")
    assert int(noted) == bench.client.zscore(bench.keys.live(AVOS), claim.request_id)


def test_a_living_worker_keeps_its_lease(bench: Bench) -> None:
    bench.accept(bench.patch())
    [request_id] = bench.take()
    claim = bench.claim(request_id)
    set_back(bench)
    bench.store.reclaim(AVOS)
    assert bench.store.begin(claim, "lm") is not None
    assert bench.store.finish(claim, AttemptResult({"outcome": "x"}))
    assert bench.state(request_id) == "delivered"


def test_a_rest_that_the_far_side_asked_for_is_over(bench: Bench) -> None:
    bench.accept(bench.patch("CM1"))
    bench.run(BUSY)
    [other] = bench.accept(bench.patch("CM2"))
    assert bench.take() == []
    set_back(bench)
    assert bench.take() == [other]


def test_the_release_after_an_outage_goes_on(bench: Bench) -> None:
    ids = bench.accept(*(bench.patch(f"CM{number}") for number in range(5)))
    for request_id in bench.take():
        bench.send(request_id, DOWN)
    bench.pass_time(seconds=10)
    [first] = bench.take()
    bench.send(first)
    bench.tick()
    set_back(bench)
    assert sorted(bench.take()) == sorted(set(ids) - {first})


def test_the_next_probe_goes_out(bench: Bench) -> None:
    bench.accept(*(bench.patch(f"CM{number}") for number in range(5)))
    for request_id in bench.take():
        bench.send(request_id, DOWN)
    set_back(bench)
    assert len(bench.take()) == 1


def test_what_had_failed_is_tried_at_the_next_tick(bench: Bench) -> None:
    bench.accept(bench.patch())
    bench.run(AttemptError("server_error", "500", status=500))
    set_back(bench)
    bench.tick()
    bench.run()


def test_what_was_asked_to_wait_still_waits(bench: Bench) -> None:
    bench.accept(bench.patch())
    bench.run(AttemptError("not_found", "404", status=404, retry_after_s=60))
    bench.pass_time(seconds=10)
    bench.tick()
    assert bench.take() == []
