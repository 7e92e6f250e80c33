"""Attempts on the real scripts and the real stand-in: what one attempt leaves behind, the next one
understands."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import fakeredis
import pytest

from app.avos.client import AvosClient, Credentials
from app.outgoing.engine import Engine
from app.outgoing.model import AVOS
from app.platform.http_client import HttpTransport
from deploy.simulators.avos import AvosStandIn
from tests.support.attempts import avos_engine
from tests.support.keys import AllKeys
from tests.support.outgoing import Bench


@pytest.fixture
def avos() -> Iterator[AvosStandIn]:
    with AvosStandIn() as running:
        yield running


@pytest.fixture
def bench(tenant: str) -> Bench:
    return Bench(fakeredis.FakeRedis(), AllKeys(tenant), flags=False)


@pytest.fixture
def transport(avos: AvosStandIn) -> Iterator[HttpTransport]:
    made = HttpTransport(avos.url, pool_size=2)
    yield made
    made.close()


@pytest.fixture
def engine(transport: HttpTransport, bench: Bench) -> Engine:
    return avos_engine(bench.store, AvosClient(transport, Credentials()))


def run(bench: Bench, engine: Engine) -> list[str | None]:
    """Promote, and let each message have its attempt."""
    outcomes: list[str | None] = []
    for request_id in bench.take():
        if bench.record(request_id)["method"] != "PATCH":
            outcomes.append(engine.send(request_id))
            continue
        ticket = engine.get_last_modified(request_id)
        outcomes.append(None if ticket is None else engine.send_patch(ticket))
    return outcomes


def patches(avos: AvosStandIn) -> list[Any]:
    return [entry for entry in avos.journal() if entry["method"] == "PATCH"]


def test_two_requests_of_a_lane_go_one_after_the_other_each_under_a_fresh_condition(
    avos: AvosStandIn, bench: Bench, engine: Engine
) -> None:
    ids = bench.accept(bench.patch(members={"a": 1}), bench.patch(members={"b": 2}))
    assert run(bench, engine) == ["delivered"]
    assert run(bench, engine) == ["delivered"]
    assert [entry["method"] for entry in avos.journal()] == ["GET", "PATCH"] * 2
    assert all(entry["lastModified"] == entry["before"] for entry in patches(avos))
    record = bench.record(ids[0])
    assert record["state"] == "delivered"
    assert record["attempts"][0]["send"]["body"] == {"lastModified": patches(avos)[0]["before"], "a": 1}


def test_a_get_that_fails_puts_the_request_into_the_failed_table(
    avos: AvosStandIn, bench: Bench, engine: Engine
) -> None:
    avos.fault("status", status=503, retryAfter=3, next=1)
    (request_id,) = bench.accept(bench.patch())
    assert run(bench, engine) == [None]
    record = bench.record(request_id)
    assert record["state"] == "failed"
    assert record["attempts"][0]["error"] == {
        "code": "server_error",
        "detail": "AVOS answered 503.",
        "retryAfter": 3.0,
    }
    bench.pass_time(seconds=2)
    bench.tick()
    assert run(bench, engine) == []
    bench.pass_time(seconds=2)
    bench.tick()
    assert run(bench, engine) == ["delivered"]


def test_a_write_of_unknown_outcome_is_compared_by_the_next_attempt(
    avos: AvosStandIn, bench: Bench, engine: Engine
) -> None:
    (request_id,) = bench.accept(bench.patch(members={"a": 1}))
    (taken,) = bench.take()
    ticket = engine.get_last_modified(taken)
    assert ticket is not None
    avos.control(
        faults=[{"kind": "reset", "when": "after", "on": "patch"}, {"kind": "status", "on": "get", "next": 1}]
    )
    assert engine.send_patch(ticket) == "failed"
    avos.control(faults=[])
    bench.pass_time(seconds=10)
    bench.tick()
    assert run(bench, engine) == ["delivered"]
    assert len(patches(avos)) == 1
    assert bench.state(request_id) == "delivered"


@pytest.mark.parametrize("applied", [True, False])
def test_a_worker_that_died_while_sending_is_made_good(
    avos: AvosStandIn, bench: Bench, engine: Engine, applied: bool
) -> None:
    (request_id,) = bench.accept(bench.patch("C1", members={"a": 1}))
    (taken,) = bench.take()
    assert bench.store.begin(bench.claim(taken), "old") is not None
    if applied:
        avos.edit("C1", {"a": 1})
    bench.pass_time(seconds=16)
    assert bench.store.reclaim(AVOS) == 1
    assert run(bench, engine) == ["delivered"]
    assert len(patches(avos)) == (0 if applied else 1)
    assert avos.state("C1")["fields"] == {"a": 1}  # type: ignore[index]
    assert bench.state(request_id) == "delivered"


def test_what_a_newer_request_has_set_is_not_sent(avos: AvosStandIn, bench: Bench, engine: Engine) -> None:
    (older,) = bench.accept(bench.patch("C1", members={"a": 1, "b": 1}))
    (taken,) = bench.take()
    ticket = engine.get_last_modified(taken)
    assert ticket is not None
    bench.accept(bench.patch("C1", members={"a": 2}))
    assert engine.send_patch(ticket) == "delivered"
    assert run(bench, engine) == ["delivered"]
    assert [entry["body"].keys() - {"lastModified"} for entry in patches(avos)] == [{"b"}, {"a"}]
    assert avos.state("C1")["fields"] == {"a": 2, "b": 1}  # type: ignore[index]
    assert bench.state(older) == "delivered"


def test_what_newer_requests_have_wholly_covered_is_superseded(
    avos: AvosStandIn, bench: Bench, engine: Engine
) -> None:
    (older,) = bench.accept(bench.patch("C1", members={"a": 1}))
    (taken,) = bench.take()
    ticket = engine.get_last_modified(taken)
    assert ticket is not None
    bench.accept(bench.patch("C1", members={"a": 2}))
    assert engine.send_patch(ticket) == "nothing_to_send"
    assert bench.state(older) == "superseded"
    assert run(bench, engine) == ["delivered"]
    assert [entry["body"]["a"] for entry in patches(avos)] == [2]


@pytest.mark.parametrize(
    ("method", "state"), [("DELETE", "delivered"), ("PUT", "delivered"), ("POST", "rejected")]
)
def test_another_method_whose_worker_died_while_sending(
    avos: AvosStandIn, bench: Bench, engine: Engine, method: str, state: str
) -> None:
    (request_id,) = bench.accept(bench.barrier("C1", method))
    (taken,) = bench.take()
    assert bench.store.begin(bench.claim(taken), None) is not None
    if method == "DELETE":
        avos.fault("status", status=404, next=1)  # the first one had been carried out
    bench.pass_time(seconds=16)
    bench.store.reclaim(AVOS)
    run(bench, engine)
    assert bench.state(request_id) == state
    assert len(avos.journal()) == (0 if method == "POST" else 1)


def test_a_message_that_comes_twice_sends_once(avos: AvosStandIn, bench: Bench, engine: Engine) -> None:
    bench.accept(bench.patch())
    (taken,) = bench.take()
    ticket = engine.get_last_modified(taken)
    assert ticket is not None
    assert engine.get_last_modified(taken) is None
    assert engine.send_patch(ticket) == "delivered"
    assert engine.send_patch(ticket) == "nothing_to_send"
    assert len(patches(avos)) == 1


@pytest.mark.parametrize("slow", [{"kind": "hang"}, {"kind": "drip", "intervalMs": 50, "headers": True}])
def test_an_attempt_ends_within_its_deadline(
    avos: AvosStandIn, transport: HttpTransport, bench: Bench, slow: dict[str, Any]
) -> None:
    engine = avos_engine(bench.store, AvosClient(transport, Credentials()), timeout_s=0.6)
    (request_id,) = bench.accept(bench.patch())
    (taken,) = bench.take()
    ticket = engine.get_last_modified(taken)
    assert ticket is not None
    avos.control(faults=[slow])
    started = time.monotonic()
    assert engine.send_patch(ticket) == "failed"
    assert time.monotonic() - started < 1.2
    record = bench.record(request_id)
    assert (record["state"], record["error"]["code"]) == ("failed", "timeout")


def test_a_second_half_without_time_left_sends_nothing(
    avos: AvosStandIn, bench: Bench, engine: Engine
) -> None:
    (request_id,) = bench.accept(bench.patch())
    (taken,) = bench.take()
    ticket = engine.get_last_modified(taken)
    assert ticket is not None
    assert engine.send_patch(ticket | {"usedS": 5.1}) == "failed"
    assert bench.record(request_id)["error"]["code"] == "timeout"
    assert [entry["method"] for entry in avos.journal()] == ["GET"]


@pytest.mark.parametrize("status", [409, 412])
def test_a_conflict_is_read_again_and_written_at_once(
    avos: AvosStandIn, bench: Bench, engine: Engine, status: int
) -> None:
    avos.control(conflictStatus=status, faults=[{"kind": "edit", "on": "patch", "next": 2}])
    (request_id,) = bench.accept(bench.patch())
    assert run(bench, engine) == ["delivered"]
    assert [e["method"] for e in avos.journal() if e["method"] != "EDIT"] == ["GET", "PATCH"] * 3
    assert patches(avos)[-1]["lastModified"] == patches(avos)[-1]["before"]
    attempt = bench.record(request_id)["attempts"][0]
    assert [step["send"]["status"] for step in attempt["earlier"]] == [status, status]


# Nobody answers, or a gateway that doesn't know either whether AVOS has got it.
LOST = (
    {"kind": "reset"},
    {"kind": "hang"},
    {"kind": "status", "status": 502},
    {"kind": "status", "status": 504},
)


@pytest.mark.parametrize("fault", LOST)
@pytest.mark.parametrize("when", ["after", "before"])
def test_a_write_whose_answer_was_lost_is_read_back_and_sent_again_only_if_it_was_not_applied(
    avos: AvosStandIn, transport: HttpTransport, bench: Bench, when: str, fault: dict[str, Any]
) -> None:
    engine = avos_engine(bench.store, AvosClient(transport, Credentials()), timeout_s=1)
    avos.control(faults=[fault | {"when": when, "on": "patch", "next": 1}])
    (request_id,) = bench.accept(bench.patch())
    assert run(bench, engine) == ["delivered"]
    again = ["PATCH"] if when == "before" else []
    assert [entry["method"] for entry in avos.journal()] == ["GET", "PATCH", "GET", *again]
    assert len([entry for entry in patches(avos) if entry["applied"]]) == 1
    attempt = bench.record(request_id)["attempts"][0]
    lost = attempt["earlier"][0] if again else attempt
    assert lost["send"]["error"] in ("connection_reset", "timeout", "server_error")
    assert lost["readBack"]["status"] == 200
