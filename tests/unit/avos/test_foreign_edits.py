"""Somebody else's edits, on the real scripts and the real stand-in: told, and parked only if so set."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import fakeredis
import pytest

from app.avos.client import AvosClient, Credentials
from app.avos.foreign_edits import SHOWN_VALUE, brief
from app.outgoing.decision import AttemptError
from app.outgoing.model import AVOS
from app.platform.http_client import HttpTransport
from deploy.simulators.avos import AvosStandIn
from tests.support.attempts import avos_engine
from tests.support.keys import AllKeys
from tests.support.outgoing import Bench

END, LATER, THEIRS = "2026-11-21T21:45:00Z", "2026-11-21T22:15:00Z", "2026-11-21T23:00:00Z"


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


class Day:
    """One content media's requests, each tried at once."""

    def __init__(self, bench: Bench, transport: HttpTransport, *, park: bool) -> None:
        self.bench = bench
        self.client = AvosClient(transport, Credentials())
        self.engine = avos_engine(bench.store, self.client, park=park)

    def send(self, before_patch: Callable[[], Any] = lambda: None, /, **members: Any) -> str:
        """Accept a PATCH and let it have its attempt; its id."""
        [request_id] = self.bench.accept(self.bench.patch("C1", members=members))
        self.attempt(before_patch)
        return request_id

    def attempt(self, before_patch: Callable[[], Any] = lambda: None) -> str | None:
        [taken] = self.bench.take()
        ticket = self.engine.get_last_modified(taken)
        if ticket is None:
            return None
        before_patch()
        return self.engine.send_patch(json.loads(json.dumps(ticket)))

    def told(self) -> list[dict[str, Any]]:
        """The `sync-drifted` events."""
        rows = self.bench.client.xrange(self.bench.keys.log("sync-operations"))
        return [json.loads(f[b"event"]) for _, f in rows if f[b"name"] == b"sync-drifted"]

    def timeline(self) -> list[str]:
        rows = self.bench.client.xrange(self.bench.keys.timeline("C1"))
        return [fields[b"what"].decode() for _, fields in rows]


@pytest.fixture
def day(bench: Bench, transport: HttpTransport) -> Day:
    return Day(bench, transport, park=False)


@pytest.fixture
def parking(bench: Bench, transport: HttpTransport) -> Day:
    return Day(bench, transport, park=True)


def field(avos: AvosStandIn, name: str = "end") -> Any:
    state = avos.state("C1")
    assert state is not None
    return state["fields"][name]


def test_planning_overwrites_it_and_it_is_told(avos: AvosStandIn, day: Day) -> None:
    day.send(end=END, other=1)
    avos.edit("C1", {"end": THEIRS})
    request_id = day.send(end=LATER, other=2)
    assert field(avos) == LATER
    [event] = day.told()
    assert event["members"] == [{"name": "end", "ours": END, "shown": THEIRS}]
    assert (event["contentMediaId"], event["requestId"]) == ("C1", request_id)
    assert day.timeline().count("foreign-edit") == 1
    attempt = day.bench.record(request_id)["attempts"][-1]
    assert (attempt["outcome"], attempt["get"]["edited"]) == ("delivered", ["end"])


def test_or_the_request_is_parked_until_a_person_retries_it(avos: AvosStandIn, parking: Day) -> None:
    parking.send(end=END)
    avos.edit("C1", {"end": THEIRS})
    request_id = parking.send(end=LATER)
    record = parking.bench.record(request_id)
    assert (record["state"], record["error"]["code"], field(avos)) == ("rejected", "foreign_edit", THEIRS)
    assert record["attempts"][-1]["error"]["code"] == "foreign_edit"
    assert record["attempts"][-1]["get"]["status"] == 200
    parking.bench.store.act(request_id, "retry", "me")
    assert parking.attempt() == "delivered"
    assert field(avos) == LATER
    assert len(parking.told()) == 1


def test_what_is_parked_says_that_avos_answers(avos: AvosStandIn, parking: Day) -> None:
    parking.send(end=END)
    avos.edit("C1", {"end": THEIRS})
    bench = parking.bench
    down = AttemptError("connect_failed", "x", destination_fault=True)
    bench.accept(*(bench.patch(media) for media in "ABD"))
    for request_id in bench.take():
        bench.send(request_id, down)
    parking_id = bench.accept(bench.patch("C1", members={"end": LATER}))[0]
    assert bench.client.hget(bench.keys.destination(AVOS), "breaker") == b"open"
    for _ in range(4):  # beside it a failed one is probed
        bench.pass_time(seconds=10)
        bench.tick()
        for taken in bench.take():
            if taken != parking_id:
                bench.send(taken)
            else:
                assert parking.engine.get_last_modified(taken) is None
    assert bench.state(parking_id) == "rejected"
    assert bench.client.hget(bench.keys.destination(AVOS), "breaker") is None


@pytest.mark.parametrize("shows", ["none", "otherCase", "zoneless", "all", "some"])
def test_what_is_spelled_otherwise_or_not_shown_is_nobodys_edit(
    avos: AvosStandIn, parking: Day, shows: str
) -> None:
    avos.control(shows=shows, coarse=True)
    parking.send(end=END, addresses=[{"destination": "x", "resources": []}])
    parking.send(end=LATER, addresses=[{"destination": "y", "resources": []}])
    assert parking.told() == []
    assert field(avos) == LATER


def test_somebody_who_wrote_what_planning_wants_is_no_drift(avos: AvosStandIn, parking: Day) -> None:
    parking.send(end=END)
    avos.edit("C1", {"end": LATER})
    assert parking.bench.state(parking.send(end="2026-11-21T22:15:00+00:00")) == "delivered"
    assert parking.told() == []


def test_edits_of_other_fields_are_nobodys_business(avos: AvosStandIn, parking: Day) -> None:
    parking.send(end=END, other=1)
    avos.edit("C1", {"title": "x", "other": 7})
    assert parking.bench.state(parking.send(end=LATER)) == "delivered"


def test_a_member_that_a_newer_request_has_set_parks_nothing(avos: AvosStandIn, parking: Day) -> None:
    parking.send(end=END, other=1)
    avos.edit("C1", {"end": THEIRS})
    bench = parking.bench
    older, newer = bench.accept(
        bench.patch("C1", members={"end": LATER, "other": 2}), bench.patch("C1", members={"end": LATER})
    )
    assert parking.attempt() == "delivered"
    assert parking.attempt() is None
    assert (bench.state(older), bench.state(newer)) == ("delivered", "rejected")


def test_an_edit_between_get_and_patch_is_found_by_the_fresh_get(avos: AvosStandIn, parking: Day) -> None:
    parking.send(end=END)
    request_id = parking.send(lambda: avos.edit("C1", {"end": THEIRS}), end=LATER)
    record = parking.bench.record(request_id)
    assert (record["state"], record["error"]["code"], field(avos)) == ("rejected", "foreign_edit", THEIRS)
    assert len(record["attempts"][-1]["earlier"]) == 1


def test_an_edit_of_something_else_between_get_and_patch_is_not_ours_to_judge(
    avos: AvosStandIn, parking: Day
) -> None:
    parking.send(end=END)
    request_id = parking.send(lambda: avos.edit("C1", {"title": "x"}), end=LATER)
    assert parking.bench.state(request_id) == "delivered"
    assert (field(avos), field(avos, "title"), parking.told()) == (LATER, "x", [])


@pytest.mark.parametrize("edited", [True, False])
def test_after_a_lost_answer_ours_is_told_from_theirs(avos: AvosStandIn, parking: Day, edited: bool) -> None:
    """`lastModified` has moved in both cases: by somebody's edit of our field, or of another one."""
    parking.send(end=END)

    class Editing(AvosClient):
        def read(self, path: str, *, deadline: float) -> Any:
            if any(entry["fault"] for entry in avos.journal()):
                avos.edit("C1", {"end": THEIRS} if edited else {"title": "x"})
            return super().read(path, deadline=deadline)

    parking.client.__class__ = Editing
    avos.fault("reset", when="before", on="patch", next=1)
    request_id = parking.send(end=LATER)
    assert parking.bench.state(request_id) == ("rejected" if edited else "delivered")
    assert field(avos) == (THEIRS if edited else LATER)


def test_a_write_of_ours_whose_outcome_is_unknown_is_not_taken_for_an_edit(
    avos: AvosStandIn, parking: Day
) -> None:
    parking.send(end=END)
    avos.control(faults=[{"kind": "reset", "when": "after", "on": "patch"}])
    older = parking.send(lambda: avos.control(faults=[*_lost(), {"kind": "status", "on": "get"}]), end=LATER)
    assert parking.bench.state(older) == "failed"
    assert field(avos) == LATER  # it had been applied
    avos.control(faults=[])
    newer = parking.send(end=THEIRS)
    assert (parking.bench.state(older), parking.bench.state(newer)) == ("superseded", "delivered")
    assert parking.told() == []


def _lost() -> list[dict[str, Any]]:
    return [{"kind": "reset", "when": "after", "on": "patch"}]


def test_a_write_of_ours_that_lands_late_is_not_taken_for_an_edit(avos: AvosStandIn, parking: Day) -> None:
    """Only against a far side whose lastModified is coarse; within the lease that the lane is suspect."""
    parking.send(end=END)
    parking.send(
        lambda: avos.control(
            faults=[{"kind": "reset", "when": "before", "on": "patch"}, {"kind": "status", "on": "get"}]
        ),
        end=LATER,
    )
    avos.control(faults=[])
    parking.send(end=END)  # newer, delivered
    avos.edit("C1", {"end": LATER})  # the lost one lands
    assert parking.bench.state(parking.send(end=THEIRS)) == "delivered"
    assert parking.told() == []


def test_a_request_of_another_method_makes_nothing_an_edit(avos: AvosStandIn, parking: Day) -> None:
    parking.send(end=END)
    bench = parking.bench
    bench.accept(bench.barrier("C1", "PUT"))
    [taken] = bench.take()
    assert parking.engine.send(taken) == "delivered"
    avos.edit("C1", {"end": "whatever the PUT has made of it"})
    assert bench.state(parking.send(end=LATER)) == "delivered"
    assert parking.told() == []


def test_it_is_told_once(avos: AvosStandIn, day: Day) -> None:
    day.send(end=END)
    avos.edit("C1", {"end": THEIRS})
    avos.fault("status", on="patch", status=500, next=1)
    request_id = day.send(end=LATER)
    assert day.bench.state(request_id) == "failed"
    day.bench.tick()
    assert day.attempt() == "delivered"
    assert len(day.told()) == 1


def test_long_values_are_told_by_their_beginning() -> None:
    assert brief([1, {}]) == [1, {}]
    whole = "x" * (512 - len('""'))
    assert brief(whole) == whole
    assert brief(whole + "x") == '"' + whole + "x…"
    long = brief({"x": "ä" * SHOWN_VALUE})
    assert isinstance(long, str)
    assert len(long.encode()) <= SHOWN_VALUE + 3
