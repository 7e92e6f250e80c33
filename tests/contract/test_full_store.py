"""A server at its maxmemory: no new work is taken, and all that drains goes on."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from redis import Redis

from app.outgoing.decide import AttemptError, Result
from app.outgoing.model import AVOS
from app.platform.errors import Unavailable
from app.platform.keys import Keys
from app.platform.redis import connect
from tests.support.outgoing import Bench
from tests.support.server import RealServer

CRASH = AttemptError("server_error", "AVOS answered 500.", status=500)


@pytest.fixture
def own_client(own_server: RealServer) -> Iterator[Redis]:
    client = connect(own_server.url, timeout_s=10)
    yield client
    client.close()


@pytest.fixture
def full(own_client: Redis) -> Bench:
    """One request has failed, two are in the hands of workers that die, one waits behind one of these; then memory ends."""
    bench = Bench(own_client, Keys("full"))
    [bench_failed] = bench.accept(bench.patch("failed"))
    bench.run(CRASH)
    assert bench.state(bench_failed) == "failed"
    bench.accept(bench.patch("dead"), bench.patch("sending"), bench.patch("sending", members={"b": 2}))
    for request_id in bench.take():
        bench.claim(request_id)
    own_client.config_set("maxmemory", 1)
    return bench


def by_lane(bench: Bench) -> dict[str, list[str]]:
    records = [bench.record(name.decode()) for name in bench.client.zrange(bench.keys.requests, 0, -1)]
    found: dict[str, list[str]] = {}
    for record in records:
        found.setdefault(record["lane"], []).append(record["state"])
    return found


def test_it_takes_no_new_work_and_says_so(full: Bench) -> None:
    with pytest.raises(Unavailable):
        full.accept(full.patch("new"))
    assert "new" not in by_lane(full), "all or nothing"


def test_what_was_accepted_is_sent_and_finished(full: Bench) -> None:
    full.pass_time(seconds=20)
    full.store.reclaim(AVOS)
    full.tick()
    for _ in range(3):
        for request_id in full.take():
            claim = full.claim(request_id)
            assert full.store.begin(claim, "lm") is not None
            assert full.store.finish(claim, Result({"at": "now", "outcome": "delivered"}))
    assert by_lane(full) == {
        "failed": ["delivered"],
        "dead": ["delivered"],
        "sending": ["delivered", "delivered"],
    }
    assert full.store.audit() == []


def test_what_is_too_old_goes_and_makes_room(full: Bench) -> None:
    full.pass_time(days=2)
    full.tick()
    assert by_lane(full)["failed"] == ["expired"]
    full.pass_time(days=60)
    assert full.store.trim() >= 1
    assert "failed" not in by_lane(full)


def test_with_room_again_it_takes_new_work(full: Bench) -> None:
    full.client.config_set("maxmemory", "512mb")
    assert full.accept(full.patch("new"))
