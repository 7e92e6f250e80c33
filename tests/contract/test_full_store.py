"""A server at its maxmemory: no new work is taken, and all that drains goes on."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from redis import Redis

from app.events.log import GUID_SPANS, EventLog
from app.events.memory import EVENTS_SHARE, SHORT_SHARE, EventMemory
from app.events.metrics import metrics
from app.outgoing.decision import AttemptError, AttemptResult
from app.outgoing.model import AVOS
from app.outgoing.operations import Operations
from app.outgoing.service import RequestService
from app.outgoing.ticks import FULL_SHARE, Ticks
from app.platform.container import Container
from app.platform.errors import Unavailable
from app.platform.redis import connect, typed
from app.settings import Settings
from tests.support.keys import AllKeys
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
    bench = Bench(own_client, AllKeys("full"))
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
            assert full.store.finish(claim, AttemptResult({"at": "now", "outcome": "delivered"}))
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


# Shares -------------------------------------------------------------------------------------------

ASSETS = "asset-operations"
LIMIT = 40 << 20


class Shared:
    """A server with little memory, planning and publishers on it."""

    def __init__(self, client: Redis) -> None:
        self.client = client
        self.bench = Bench(client, AllKeys("shared"))
        self.log = EventLog(client, self.bench.keys)
        self.ticks = Ticks(self.bench.store, Operations(self.bench.store, RequestService(self.bench.store)))
        client.config_set("maxmemory", LIMIT)
        self.ticks.watch_memory()

    @property
    def used(self) -> float:
        return int(self.client.info("memory")["used_memory"]) / LIMIT

    def publish(self, count: int = 50) -> None:
        text = "x" * 4_000
        raw = [
            json.dumps({"eventName": "asset-created", "assetId": n, "t": text}).encode() for n in range(count)
        ]
        self.log.publish(ASSETS, raw, "tests")

    def publish_until_refused(self) -> int:
        """How many calls were taken."""
        for number in range(1000):
            if not self.is_taken():
                return number
        raise AssertionError("the store took everything")

    def is_taken(self) -> bool:
        try:
            self.publish()
        except Unavailable as error:
            return (error.code, error.retry_after) != ("store_full", 10)
        return True

    def plan_and_deliver(self, name: str) -> None:
        [request_id] = self.bench.accept(self.bench.patch(name))
        claim = self.bench.claim(*self.bench.take())
        assert self.bench.store.begin(claim, "lm") is not None
        assert self.bench.store.finish(claim, AttemptResult({"at": "now", "outcome": "delivered"}))
        assert self.bench.state(request_id) == "delivered"


@pytest.fixture
def shared(own_client: Redis) -> Shared:
    return Shared(own_client)


def test_events_are_refused_before_planning_is_and_planning_goes_on(shared: Shared) -> None:
    """Between two ticks as well: nobody measures meanwhile."""
    assert shared.publish_until_refused() > 10
    assert shared.used < FULL_SHARE
    shared.plan_and_deliver("one")
    assert shared.ticks.watch_memory() is False
    shared.plan_and_deliver("two")


def test_the_log_is_cut_so_that_publishing_goes_on(shared: Shared) -> None:
    for number in range(6):
        assert shared.publish_until_refused() > 0, f"round {number}"
        shared.ticks.watch_memory()
        assert shared.used < SHORT_SHARE + 0.02
        shared.plan_and_deliver(f"media-{number}")
    page = shared.log.read(ASSETS, 0, limit=1)
    assert page.missed == (1, page.entries[0].sequence - 1)
    assert page.last - page.entries[0].sequence > 1000
    noted = shared.client.hgetall(shared.bench.keys.events_memory)
    assert int(noted[b"cut"]) == page.entries[0].sequence - 1
    memory = EventMemory(typed(shared.client), shared.bench.keys)
    container = Container(Settings(redis_url="redis://unused"), (), given={EventMemory: memory})
    found = {sample.name: sample.value for family in metrics(container) for sample in family.samples}
    assert found["mediaops_events_cut_total"] == int(noted[b"cut"])
    assert found["mediaops_events_log_bytes"] > 1_000_000
    assert found["mediaops_events_room_bytes"] >= 0


def test_a_limit_that_is_too_low_for_a_moment_costs_no_more_than_a_part_of_the_log(shared: Shared) -> None:
    for _ in range(20):
        shared.publish()
    shared.client.config_set("maxmemory", 2 << 20)
    with pytest.raises(Unavailable):
        shared.ticks.watch_memory()
    with pytest.raises(Unavailable):
        shared.publish()
    shared.client.config_set("maxmemory", LIMIT)
    shared.ticks.watch_memory()
    assert shared.is_taken()
    assert shared.log.read(ASSETS, 0, limit=1).missed == (1, 51), "one twentieth"


def test_what_we_tell_ourselves_is_cut_too(shared: Shared) -> None:
    keys = shared.bench.keys
    for number in range(8):
        last = int(shared.client.incrby(keys.log_sequence("sync-operations"), 1000))
        pipe = shared.client.pipeline(transaction=False)
        for sequence in range(last - 999, last + 1):
            fields: dict[Any, Any] = {"event": "x" * 4_000, "name": "n", "guid": "g", "at": 1}
            pipe.xadd(keys.log("sync-operations"), fields, id=f"{sequence}-0")
        pipe.execute()
        for _ in range(3):
            shared.ticks.watch_memory()
        shared.plan_and_deliver(f"media-{number}")
    assert int(shared.client.memory_usage(keys.log("sync-operations")) or 0) < (EVENTS_SHARE + 0.1) * LIMIT


def test_the_oldest_guids_go_where_there_are_too_many(shared: Shared) -> None:
    keys, now_ms = shared.bench.keys, shared.bench.store.time_ms()
    span = now_ms // (86_400_000 // GUID_SPANS)
    for age in (2, 1, 0):
        pipe = shared.client.pipeline(transaction=False)
        pipe.hset(keys.log_guids(ASSETS, span - age), mapping={f"{n:010}": n for n in range(50_000)})
        pipe.execute()
    EventMemory(typed(shared.client), keys).look_after(now_ms)
    left = [shared.client.hlen(keys.log_guids(ASSETS, span - age)) for age in (2, 1, 0)]
    assert left == [0, 50_000, 50_000]
    assert int(shared.client.hget(keys.events_memory, "dropped") or 0) == 50_000


def test_delivery_logs_are_short_while_memory_is(shared: Shared) -> None:
    keys = shared.bench.keys
    shared.client.zadd(keys.subscriptions, {"s1": 1})
    for _ in range(1000):
        shared.client.xadd(keys.deliveries("s1"), {"entry": "x" * 500})
    shared.ticks.watch_memory()
    assert shared.client.xlen(keys.deliveries("s1")) == 1000
    shared.publish_until_refused()
    shared.ticks.watch_memory()
    assert shared.client.xlen(keys.deliveries("s1")) < 300
