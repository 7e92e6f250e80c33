"""The suspect lane, on the real scripts and a stand-in whose lastModified has whole seconds."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import fakeredis
import pytest

from app.avos.client import AvosClient, Credentials
from app.avos.generic import GenericCall, accept_generic
from app.avos.paths import source_path
from app.avos.readback import ReadBack
from app.outgoing.decision import AttemptError, AttemptResult
from app.outgoing.model import AVOS
from app.outgoing.service import RequestService
from app.platform.http_client import HttpTransport
from deploy.simulators.avos import AvosStandIn
from tests.support.attempts import avos_engine
from tests.support.keys import AllKeys
from tests.support.outgoing import Bench

OLD, NEW, NEWER = "2026-11-21T21:00:00Z", "2026-11-21T22:00:00Z", "2026-11-21T23:00:00Z"


@pytest.fixture
def avos() -> Iterator[AvosStandIn]:
    with AvosStandIn() as running:
        running.control(coarse=True)
        yield running


class Lane:
    """The lane of content media C1, whose foreign edits are parked: healing must not be taken for one."""

    def __init__(self, avos: AvosStandIn, tenant: str) -> None:
        self.avos = avos
        self.bench = Bench(fakeredis.FakeRedis(), AllKeys(tenant), flags=False)
        self.transport = HttpTransport(avos.url, pool_size=2)
        client = AvosClient(self.transport, Credentials())
        store = self.bench.store
        self.engine = avos_engine(self.bench.store, client, park=True)
        self.read_back = ReadBack(store, RequestService(store), client, timeout_s=2)

    def accept(self, *, source: dict[str, Any] | None = None, **members: Any) -> list[str]:
        if source is None:
            return self.bench.accept(self.bench.patch("C1", members=members))
        return self.bench.accept(self.bench.patch("C1", path=source_path("C1"), members=source))

    def send(self) -> list[Any]:
        outcomes: list[Any] = []
        while taken := self.bench.take():
            for request_id in taken:
                ticket = self.engine.get_last_modified(request_id)
                outcomes.append(ticket and self.engine.send_patch(json.loads(json.dumps(ticket))))
        return outcomes

    def lose(self, **members: Any) -> str:
        """A PATCH is sent, and its worker dies: nobody knows whether it will be applied."""
        [request_id] = self.accept(**members)
        [taken] = self.bench.take()
        self.bench.store.begin(self.bench.claim(taken), "whatever")
        self.bench.pass_time(seconds=16)
        self.bench.store.reclaim(AVOS)
        return request_id

    def suspect(self, *, source: dict[str, Any] | None = None) -> None:
        """An old write was lost, a newer one delivered; one lease later."""
        if source:
            self.accept(source=source)
            assert self.send() == ["delivered"]
        self.lose(end=OLD)
        self.accept(end=NEW)
        assert self.send() == ["delivered"]
        self.bench.pass_time(seconds=16)

    def gets(self) -> int:
        return sum(entry["method"] == "GET" for entry in self.avos.journal())

    def shown(self) -> Any:
        state = self.avos.state("C1")
        return None if state is None else state["fields"] | state["source"]

    def timeline(self) -> list[tuple[str, dict[str, Any]]]:
        rows = self.bench.client.xrange(self.bench.keys.timeline("C1"))
        return [(fields[b"what"].decode(), json.loads(fields[b"detail"])) for _, fields in rows]


@pytest.fixture
def lane(avos: AvosStandIn, tenant: str) -> Iterator[Lane]:
    made = Lane(avos, tenant)
    yield made
    made.transport.close()


def test_an_old_write_that_landed_late_is_undone(lane: Lane) -> None:
    lane.suspect(source={"channel": "c1"})
    lane.avos.edit("C1", {"end": OLD})
    assert lane.read_back.run() == 1
    assert lane.send() == ["delivered"]
    assert lane.shown() == {"end": NEW, "channel": "c1"}
    [(what, detail)] = [entry for entry in lane.timeline() if entry[0] == "healed"]
    assert (what, detail["different"], detail["sent"]) == ("healed", ["end"], ["end"])
    rows = lane.bench.client.xrange(lane.bench.keys.log("sync-operations"))
    [event] = [json.loads(f[b"event"]) for _, f in rows if f[b"name"] == b"sync-drifted"]
    assert event["cause"] == "late_write"
    assert event["members"] == [{"name": "end", "wanted": NEW, "shown": OLD}]
    lane.bench.pass_time(seconds=60)
    assert lane.read_back.run() == 0


@pytest.mark.parametrize("shows", ["all", "zoneless", "otherCase"])
def test_what_is_as_it_should_be_is_left_alone(lane: Lane, shows: str) -> None:
    lane.suspect(source={"channel": "c1"})
    lane.avos.control(shows=shows)
    assert lane.read_back.run() == 1
    assert lane.send() == []
    lane.bench.pass_time(seconds=60)
    assert lane.read_back.run() == 0


def test_what_is_not_shown_is_sent_again_once_and_is_no_drift(lane: Lane) -> None:
    lane.avos.control(shows="none")
    lane.suspect(source={"channel": "c1"})
    lane.avos.edit("C1", {"end": OLD})
    assert lane.read_back.run() == 1
    assert lane.send() == ["delivered", "delivered"]
    assert lane.shown() == {"end": NEW, "channel": "c1"}
    assert "sync-drifted" not in lane.bench.happenings()
    assert "sent-again" in [what for what, _ in lane.timeline()]
    lane.bench.pass_time(seconds=60)
    assert (lane.read_back.run(), lane.send()) == (0, [])


def test_open_requests_come_first(lane: Lane) -> None:
    lane.suspect()
    lane.accept(end=NEWER)
    before = lane.gets()
    assert (lane.read_back.run(), lane.gets()) == (0, before)
    assert lane.send() == ["delivered"]
    lane.avos.edit("C1", {"end": OLD})
    lane.bench.pass_time(seconds=16)
    assert lane.read_back.run() == 1
    lane.send()
    assert lane.shown() == {"end": NEWER}


def test_a_held_lane_is_put_off(lane: Lane) -> None:
    lane.suspect()
    lane.bench.store.hold(AVOS, "c1", "me")
    assert lane.read_back.run() == 0
    lane.bench.store.hold(AVOS, "c1", "me", release=True)
    lane.bench.pass_time(seconds=16)
    assert lane.read_back.run() == 1


def test_planning_is_never_overtaken(lane: Lane, monkeypatch: pytest.MonkeyPatch) -> None:
    """It moves while AVOS is being read: the newer value is sent, and the old one isn't queued behind it."""
    lane.suspect()
    lane.avos.edit("C1", {"end": OLD})
    read = AvosClient.read

    def and_planning_moves(self: AvosClient, path: str, *, deadline: float) -> Any:
        reading = read(self, path, deadline=deadline)
        monkeypatch.undo()
        lane.accept(end=NEWER)
        return reading

    monkeypatch.setattr(AvosClient, "read", and_planning_moves)
    lane.read_back.run()
    lane.bench.client.zrem(lane.bench.keys.suspects(AVOS), "nobody")
    assert lane.send() == ["delivered"]
    assert lane.shown() == {"end": NEWER}
    lane.bench.pass_time(seconds=16)
    assert lane.read_back.run() == 1, "it is still suspect"


def test_a_value_that_planning_has_withdrawn_does_not_come_back(lane: Lane) -> None:
    lane.suspect()
    lane.bench.accept(lane.bench.patch("C1", members={}, absent=["end"], forced=False))
    lane.avos.edit("C1", {"end": OLD})
    assert lane.read_back.run() == 1
    assert lane.send() == []


@pytest.mark.parametrize("fault", [{"kind": "status", "status": 503}, {"kind": "reset"}])
def test_while_avos_is_away_the_lane_stays_suspect(lane: Lane, fault: dict[str, Any]) -> None:
    lane.suspect()
    lane.avos.edit("C1", {"end": OLD})
    lane.avos.control(faults=[{**fault, "on": "get"}])
    assert lane.read_back.run() == 0
    lane.avos.control(faults=[])
    lane.bench.pass_time(seconds=16)
    assert lane.read_back.run() == 1
    lane.send()
    assert lane.shown() == {"end": NEW}


def test_nothing_is_read_behind_a_pause(lane: Lane) -> None:
    lane.suspect()
    RequestService(lane.bench.store).pause(AVOS, "me")
    before = lane.gets()
    assert (lane.read_back.run(), lane.gets()) == (0, before)


@pytest.mark.parametrize("reason", ["rejected", "discarded"])
def test_what_was_asked_for_again_and_ended_undelivered_is_left_to_a_person(lane: Lane, reason: str) -> None:
    """The newest to ask for a value is not who delivered it: then it isn't sent again behind a person's back."""
    lane.suspect()
    [again] = lane.accept(end=NEW)
    [taken] = lane.bench.take()
    assert taken == again
    if reason == "rejected":
        lane.bench.send(again, AttemptError("refused", "400", retryable=False))
    else:
        lane.bench.send(again, AttemptError("server_error", "500", status=500))
        lane.bench.store.act(again, "discard", "me")
    fields = lane.bench.keys.fields(AVOS, "/external/contentMedia/live/c1")
    lane.bench.client.hset(fields, "d:end", json.dumps(NEW))  # as a delivery that came in between leaves it
    lane.avos.edit("C1", {"end": OLD})
    lane.bench.pass_time(seconds=16)
    lane.read_back.run()
    assert lane.send() == []
    assert lane.shown()["end"] == OLD


def test_a_write_that_was_sent_again_may_still_land_twice(lane: Lane) -> None:
    """It was delivered at its second sending; the first one lands after a newer request."""
    lane.accept(end=OLD)
    lane.avos.fault("reset", on="patch", when="before", next=1)
    assert lane.send() == ["delivered"]
    lane.accept(end=NEW)
    assert lane.send() == ["delivered"]
    lane.avos.edit("C1", {"end": OLD})
    lane.bench.pass_time(seconds=16)
    assert lane.read_back.run() == 1
    lane.send()
    assert lane.shown() == {"end": NEW}


def test_an_answer_that_was_lost_after_the_write_leaves_no_suspicion(lane: Lane) -> None:
    lane.accept(end=NEW)
    lane.avos.fault("reset", on="patch", when="after", next=1)
    assert lane.send() == ["delivered"]
    lane.bench.pass_time(seconds=16)
    assert lane.read_back.run() == 0


def test_a_request_of_another_method_whose_answer_was_lost_makes_its_lane_suspect(lane: Lane) -> None:
    lane.accept(end=NEW)
    lane.send()
    [request_id] = lane.bench.accept(lane.bench.barrier("C1", "POST"))
    lane.avos.fault("reset", on="post", next=1)
    [taken] = lane.bench.take()
    assert lane.engine.send(taken) == "rejected"
    record = lane.bench.record(request_id)
    assert (record["state"], record["error"]["code"]) == ("rejected", "unknown_outcome")
    lane.accept(end=NEWER)
    assert lane.send() == ["delivered"]
    lane.bench.pass_time(seconds=16)
    lane.avos.edit("C1", {"end": "what the POST made of it"})
    assert lane.read_back.run() == 1
    lane.send()
    assert lane.shown()["end"] == NEWER


def test_a_suspicion_that_comes_while_avos_is_read_stays(lane: Lane, monkeypatch: pytest.MonkeyPatch) -> None:
    lane.suspect()
    read, store = AvosClient.read, lane.bench.store

    def and_another_write_is_lost(self: AvosClient, path: str, *, deadline: float) -> Any:
        reading = read(self, path, deadline=deadline)
        monkeypatch.undo()
        [request_id] = lane.accept(end=NEWER)
        assert lane.bench.take() == [request_id]
        claim = lane.bench.claim(request_id)
        store.begin(claim, "whatever")
        assert store.finish(claim, AttemptResult({}, None, suspect=True)), "delivered at its second sending"
        return reading

    monkeypatch.setattr(AvosClient, "read", and_another_write_is_lost)
    assert lane.read_back.run() == 1
    assert lane.bench.client.zcard(lane.bench.keys.suspects(AVOS)) == 1
    lane.bench.pass_time(seconds=16)
    assert lane.read_back.run() == 1
    lane.send()
    lane.bench.pass_time(seconds=16)
    assert lane.read_back.run() == 0


class TestPaths:
    """Outside content media each path is suspect for itself."""

    PATH = "/external/things/1"

    def accept(self, lane: Lane, method: str = "PATCH", path: str = PATH, **members: Any) -> str:
        call = GenericCall(method, path, members, has_body=True, lane="mine")
        [request_id] = accept_generic(lane.bench.store, call, ("/external/",)).request_ids
        return request_id

    def lose(self, lane: Lane, **members: Any) -> None:
        self.accept(lane, **members)
        [taken] = lane.bench.take()
        lane.bench.store.begin(lane.bench.claim(taken), "whatever")
        lane.bench.pass_time(seconds=16)
        lane.bench.store.reclaim(AVOS)

    def suspect(self, lane: Lane) -> None:
        self.lose(lane, end=OLD)
        self.accept(lane, end=NEW)
        assert lane.send() == ["delivered"]
        lane.bench.pass_time(seconds=16)

    def test_an_old_write_that_landed_late_is_undone(self, lane: Lane) -> None:
        self.suspect(lane)
        lane.avos.edit(self.PATH, {"end": OLD})
        assert lane.read_back.run() == 1
        assert lane.send() == ["delivered"]
        assert lane.avos.state(self.PATH)["fields"] == {"end": NEW}  # type: ignore[index]
        rows = lane.bench.client.xrange(lane.bench.keys.log("sync-operations"))
        [event] = [json.loads(f[b"event"]) for _, f in rows if f[b"name"] == b"sync-drifted"]
        assert (event["cause"], event["path"]) == ("late_write", self.PATH)
        assert "contentMediaId" not in event
        lane.bench.pass_time(seconds=60)
        assert lane.read_back.run() == 0

    def test_open_requests_of_the_path_come_first(self, lane: Lane) -> None:
        self.suspect(lane)
        self.accept(lane, end=NEWER)
        assert lane.read_back.run() == 0
        assert lane.send() == ["delivered"]
        lane.bench.pass_time(seconds=16)
        assert lane.read_back.run() == 1

    def test_a_delivery_of_another_path_says_nothing(self, lane: Lane) -> None:
        self.lose(lane, end=OLD)
        [lost] = lane.bench.take()
        lane.bench.send(lost, AttemptError("refused", "400", retryable=False))
        suspects = lane.bench.keys.suspects(AVOS)
        self.accept(lane, path="/external/things/2", end=NEW)
        assert lane.send() == ["delivered"]
        assert lane.bench.client.zcard(suspects) == 0
        self.accept(lane, end=NEW)
        assert lane.send() == ["delivered"]
        assert lane.bench.client.zrange(suspects, 0, -1) == [b"Path:" + self.PATH.encode()]

    def test_where_nothing_was_ever_patched_nothing_is_suspect(self, lane: Lane) -> None:
        self.accept(lane, "POST", "/external/things", end=OLD)
        lane.avos.fault("reset", on="post", next=1)
        [taken] = lane.bench.take()
        assert lane.engine.send(taken) == "rejected"
        marks = lane.bench.client.zrange(lane.bench.keys.lane(AVOS, "Lane:mine"), 0, -1)
        assert not [mark for mark in marks if mark.startswith(b"s:")]

    def test_another_method_forgets_what_was_delivered_to_the_path(self, lane: Lane) -> None:
        self.accept(lane, end=NEW)
        assert lane.send() == ["delivered"]
        self.accept(lane, "PUT", end=NEWER)
        [taken] = lane.bench.take()
        assert lane.engine.send(taken) == "delivered"
        self.accept(lane, end=OLD)
        assert lane.send() == ["delivered"], "what the PUT wrote is nobody else's edit"


def test_a_suspicion_goes_with_the_record_that_raised_it(lane: Lane) -> None:
    request_id = lane.lose(end=OLD)
    lane.bench.store.act(request_id, "discard", "me")
    lane.bench.store.promote(AVOS)
    lane.bench.pass_time(days=31)
    lane.bench.store.trim()
    assert lane.bench.client.keys(f"{lane.bench.keys.prefix}lane:*") == []
