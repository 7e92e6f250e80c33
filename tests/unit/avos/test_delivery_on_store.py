"""Attempts on the real scripts and the real stand-in: what one attempt leaves behind, the next one understands."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import fakeredis
import pytest

from app.avos.client import AvosClient, Credentials
from app.avos.delivery import Delivery
from app.outgoing.model import AVOS
from app.platform.http_client import HttpTransport
from app.platform.keys import Keys
from deploy.simulators.avos import AvosStandIn
from tests.support.outgoing import Bench


@pytest.fixture
def avos() -> Iterator[AvosStandIn]:
    with AvosStandIn() as running:
        yield running


@pytest.fixture
def bench(tenant: str) -> Bench:
    return Bench(fakeredis.FakeRedis(), Keys(tenant), flags=False)


@pytest.fixture
def delivery(avos: AvosStandIn, bench: Bench) -> Iterator[Delivery]:
    transport = HttpTransport(avos.url, pool_size=2)
    yield Delivery(bench.store, AvosClient(transport, Credentials()), timeout_s=5)
    transport.close()


def run(bench: Bench, delivery: Delivery) -> list[str | None]:
    """Promote, and let each message have its attempt."""
    outcomes: list[str | None] = []
    for request_id in bench.take():
        if bench.record(request_id)["method"] != "PATCH":
            outcomes.append(delivery.send(request_id))
            continue
        ticket = delivery.get_last_modified(request_id)
        outcomes.append(None if ticket is None else delivery.send_patch(ticket))
    return outcomes


def patches(avos: AvosStandIn) -> list[Any]:
    return [entry for entry in avos.journal() if entry["method"] == "PATCH"]


def test_two_requests_of_a_lane_go_one_after_the_other_each_under_a_fresh_condition(
    avos: AvosStandIn, bench: Bench, delivery: Delivery
) -> None:
    ids = bench.accept(bench.patch(members={"a": 1}), bench.patch(members={"b": 2}))
    assert run(bench, delivery) == ["delivered"]
    assert run(bench, delivery) == ["delivered"]
    assert [entry["method"] for entry in avos.journal()] == ["GET", "PATCH"] * 2
    assert all(entry["lastModified"] == entry["before"] for entry in patches(avos))
    record = bench.record(ids[0])
    assert record["state"] == "delivered"
    assert record["attempts"][0]["send"]["body"] == {"lastModified": patches(avos)[0]["before"], "a": 1}


def test_a_get_that_fails_puts_the_request_into_the_failed_table(
    avos: AvosStandIn, bench: Bench, delivery: Delivery
) -> None:
    avos.fault("status", status=503, retryAfter=3, next=1)
    (request_id,) = bench.accept(bench.patch())
    assert run(bench, delivery) == [None]
    record = bench.record(request_id)
    assert record["state"] == "failed"
    assert record["attempts"][0]["error"] == {
        "code": "server_error",
        "detail": "AVOS answered 503.",
        "retryAfter": 3.0,
    }
    bench.pass_time(seconds=2)
    bench.tick()
    assert run(bench, delivery) == []
    bench.pass_time(seconds=2)
    bench.tick()
    assert run(bench, delivery) == ["delivered"]


def test_a_write_of_unknown_outcome_is_compared_by_the_next_attempt(
    avos: AvosStandIn, bench: Bench, delivery: Delivery
) -> None:
    (request_id,) = bench.accept(bench.patch(members={"a": 1}))
    (taken,) = bench.take()
    ticket = delivery.get_last_modified(taken)
    assert ticket is not None
    avos.control(
        faults=[{"kind": "reset", "when": "after", "on": "patch"}, {"kind": "status", "on": "get", "next": 1}]
    )
    assert delivery.send_patch(ticket) == "failed"
    avos.control(faults=[])
    bench.pass_time(seconds=10)
    bench.tick()
    assert run(bench, delivery) == ["delivered"]
    assert len(patches(avos)) == 1
    assert bench.state(request_id) == "delivered"


@pytest.mark.parametrize("applied", [True, False])
def test_a_worker_that_died_while_sending_is_made_good(
    avos: AvosStandIn, bench: Bench, delivery: Delivery, applied: bool
) -> None:
    (request_id,) = bench.accept(bench.patch("C1", members={"a": 1}))
    (taken,) = bench.take()
    assert bench.store.begin(bench.claim(taken), "old") is not None
    if applied:
        avos.edit("C1", {"a": 1})
    bench.pass_time(seconds=16)
    assert bench.store.reclaim(AVOS) == 1
    assert run(bench, delivery) == ["delivered"]
    assert len(patches(avos)) == (0 if applied else 1)
    assert avos.state("C1")["fields"] == {"a": 1}  # type: ignore[index]
    assert bench.state(request_id) == "delivered"


def test_what_a_newer_request_has_set_is_not_sent(
    avos: AvosStandIn, bench: Bench, delivery: Delivery
) -> None:
    (older,) = bench.accept(bench.patch("C1", members={"a": 1, "b": 1}))
    (taken,) = bench.take()
    ticket = delivery.get_last_modified(taken)
    assert ticket is not None
    bench.accept(bench.patch("C1", members={"a": 2}))
    assert delivery.send_patch(ticket) == "delivered"
    assert run(bench, delivery) == ["delivered"]
    assert [entry["body"].keys() - {"lastModified"} for entry in patches(avos)] == [{"b"}, {"a"}]
    assert avos.state("C1")["fields"] == {"a": 2, "b": 1}  # type: ignore[index]
    assert bench.state(older) == "delivered"


def test_what_newer_requests_have_wholly_covered_is_superseded(
    avos: AvosStandIn, bench: Bench, delivery: Delivery
) -> None:
    (older,) = bench.accept(bench.patch("C1", members={"a": 1}))
    (taken,) = bench.take()
    ticket = delivery.get_last_modified(taken)
    assert ticket is not None
    bench.accept(bench.patch("C1", members={"a": 2}))
    assert delivery.send_patch(ticket) == "nothing_to_send"
    assert bench.state(older) == "superseded"
    assert run(bench, delivery) == ["delivered"]
    assert [entry["body"]["a"] for entry in patches(avos)] == [2]


@pytest.mark.parametrize(
    ("method", "state"), [("DELETE", "delivered"), ("PUT", "delivered"), ("POST", "rejected")]
)
def test_another_method_whose_worker_died_while_sending(
    avos: AvosStandIn, bench: Bench, delivery: Delivery, method: str, state: str
) -> None:
    (request_id,) = bench.accept(bench.barrier("C1", method))
    (taken,) = bench.take()
    assert bench.store.begin(bench.claim(taken), None) is not None
    if method == "DELETE":
        avos.fault("status", status=404, next=1)  # the first one had been carried out
    bench.pass_time(seconds=16)
    bench.store.reclaim(AVOS)
    run(bench, delivery)
    assert bench.state(request_id) == state
    assert len(avos.journal()) == (0 if method == "POST" else 1)


def test_a_message_that_comes_twice_sends_once(avos: AvosStandIn, bench: Bench, delivery: Delivery) -> None:
    bench.accept(bench.patch())
    (taken,) = bench.take()
    ticket = delivery.get_last_modified(taken)
    assert ticket is not None
    assert delivery.get_last_modified(taken) is None
    assert delivery.send_patch(ticket) == "delivered"
    assert delivery.send_patch(ticket) == "nothing_to_send"
    assert len(patches(avos)) == 1
