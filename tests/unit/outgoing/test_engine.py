"""The engine, with a way, a store and a client that only say what was asked of them."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

import pytest
from structlog.testing import capture_logs

from app.outgoing.attempts import (
    NOTHING,
    REJECTED,
    Attempt,
    Begin,
    CallFailed,
    Closed,
    Ending,
    NoteForeignEdit,
    Own,
    Prepared,
    Progress,
    Read,
    ReadDelivered,
    Reading,
    Send,
    Written,
)
from app.outgoing.decision import AttemptError, AttemptResult
from app.outgoing.engine import Engine, FarSide
from app.outgoing.model import Claim, Sending
from tests.support.attempts import claim

SENDING: Final = Sending((("a", b"1"),))
REFUSED: Final = CallFailed(
    AttemptError("throttled", "why", retry_after_s=30.0), unknown=False, exchange={"status": 429}
)


class ShortWay:
    """A GET and a PATCH; or a Send. What fails ends it."""

    def prepare(self, claim: Claim) -> Attempt[Prepared | Ending]:
        reading = yield from Read(claim.path)
        if isinstance(reading, CallFailed):
            return Progress(claim, {"get": reading.exchange}).result(reading.error)
        own = yield from ReadDelivered()
        note = NoteForeignEdit(
            tuple(m.name for m in own), {"e": 1}, park=True, attempt={"at": "now"}, unknown=False
        )
        if own and not (yield from note):
            return Closed(REJECTED, "foreign_edit")
        return Prepared(reading.last_modified, reading.exchange)

    def patch(self, claim: Claim, prepared: Prepared) -> Attempt[Ending]:
        progress = Progress(claim, {"get": prepared.exchange}, unknown=claim.unknown)
        return self._send(progress, prepared.last_modified)

    def send(self, claim: Claim) -> Attempt[Ending]:
        return self._send(Progress(claim), None)

    def _send(self, progress: Progress, last_modified: str | None) -> Attempt[Ending]:
        sending = yield from Begin(last_modified)
        if sending is None:
            return Closed(NOTHING)
        claim = progress.claim
        written = yield from Send(claim.method, claim.path, sending, last_modified, 0.5)
        progress.shown["send"] = written.exchange
        return progress.result(written.error if isinstance(written, CallFailed) else None)


@dataclass
class MemoryStore:
    """One request; what was asked and handed in is kept."""

    made: Claim | None = field(default_factory=claim)
    sendable: bool = True
    holds_lease: bool = True
    goes_on: bool = True
    edited: tuple[Own, ...] = ()
    begun: list[str | None] = field(default_factory=list)
    noted: list[Any] = field(default_factory=list)
    results: list[AttemptResult] = field(default_factory=list)

    def claim(self, request_id: str) -> Claim | None:
        return self.made if request_id == "r1" else None

    def begin(self, claim: Claim, last_modified: str | None) -> Sending | None:
        assert claim == self.made
        self.begun.append(last_modified)
        return SENDING if self.sendable else None

    def finish(self, claim: Claim, result: AttemptResult) -> bool:
        assert claim == self.made
        self.results.append(result)
        return self.holds_lease

    def drifted(
        self,
        claim: Claim,
        members: Sequence[str],
        found: Mapping[str, Any],
        *,
        park: bool,
        attempt: Mapping[str, Any],
        unknown: bool,
    ) -> bool:
        assert claim == self.made
        self.noted.append((members, found, park, attempt, unknown))
        return self.goes_on

    def own(self, claim: Claim) -> Sequence[Own]:
        assert claim == self.made
        return self.edited


@dataclass
class MemoryClient:
    """Answers at once; `calls` has each call's step or path, and the seconds that it was given."""

    reads: Callable[[], Reading] = lambda: Reading({}, "m1", {"status": 200, "latencyMs": 1.5})
    writes: Callable[[], Written] = lambda: Written(conflict=False, exchange={"status": 204, "latencyMs": 2})
    calls: list[tuple[Any, float]] = field(default_factory=list)

    def read(self, path: str, *, deadline: float) -> Reading:
        self.calls.append((path, deadline - time.monotonic()))
        return self.reads()

    def send(self, request: Send, *, deadline: float) -> Written:
        self.calls.append((request, deadline - time.monotonic()))
        return self.writes()


def refuses() -> Any:
    raise REFUSED


def engine(store: MemoryStore, client: MemoryClient, *, timeout_s: float = 100) -> Engine:
    return Engine(store, store, {"avos": FarSide(ShortWay(), client, timeout_s)})


def deliver(store: MemoryStore, client: MemoryClient) -> str | None:
    """Both halves, the ticket going through JSON as it does through the broker."""
    driven = engine(store, client)
    ticket = driven.get_last_modified("r1")
    return None if ticket is None else driven.send_patch(json.loads(json.dumps(ticket)))


def test_both_halves_of_a_patch_are_one_attempt() -> None:
    store, client = MemoryStore(), MemoryClient()
    with capture_logs() as lines:
        assert deliver(store, client) == "delivered"
    path = claim().path
    assert [asked for asked, _ in client.calls] == [path, Send("PATCH", path, SENDING, "m1", 0.5)]
    assert store.begun == ["m1"]
    [result] = store.results
    assert (result.error, result.attempt["get"]["status"], result.attempt["send"]["status"]) == (
        None,
        200,
        204,
    )
    [line] = lines
    assert 0 < line.pop("ms_left") <= 100_000
    assert line == {
        "event": "attempt",
        "log_level": "info",
        "outcome": "delivered",
        "request_id": "r1",
        "content_media_id": "C1",
        "method": "PATCH",
        "path": path,
        "code": None,
        "unknown": False,
        "retry_after_s": None,
        "rounds": 1,
        "get_status": 200,
        "get_ms": 1.5,
        "send_status": 204,
        "send_ms": 2,
    }


@pytest.mark.parametrize("method", ["PATCH", "PUT"])
def test_a_refused_claim_asks_nobody(method: str) -> None:
    store, client = MemoryStore(None), MemoryClient()
    driven = engine(store, client)
    assert (driven.get_last_modified if method == "PATCH" else driven.send)("r1") is None
    assert (client.calls, store.results) == ([], [])


def test_another_method_is_one_task() -> None:
    store, client = MemoryStore(claim("PUT")), MemoryClient()
    assert engine(store, client).send("r1") == "delivered"
    assert store.begun == [None]
    assert [asked.method for asked, _ in client.calls] == ["PUT"]


def test_a_failure_is_written_down_and_logged() -> None:
    store, client = MemoryStore(claim(unknown={"members": []})), MemoryClient(writes=refuses)
    with capture_logs() as lines:
        assert deliver(store, client) == "failed"
    [result] = store.results
    assert result.error == replace(REFUSED.error, unknown={"members": []})
    [line] = lines
    assert (line["outcome"], line["code"], line["unknown"], line["retry_after_s"], line["send_status"]) == (
        "failed",
        "throttled",
        True,
        30,
        429,
    )


def test_a_first_half_that_fails_hands_nothing_on() -> None:
    store, client = MemoryStore(), MemoryClient(reads=refuses)
    assert deliver(store, client) is None
    [result] = store.results
    assert (result.error, result.attempt["outcome"]) == (REFUSED.error, "failed")
    assert store.begun == []


def test_what_the_store_has_ended_is_not_finished_again() -> None:
    store, client = MemoryStore(sendable=False), MemoryClient()
    with capture_logs() as lines:
        assert deliver(store, client) == "nothing_to_send"
    assert (len(client.calls), store.results) == (1, [])
    assert [line["outcome"] for line in lines] == ["nothing_to_send"]


@pytest.mark.parametrize("goes_on", [True, False])
def test_a_foreign_edit_is_noted_and_may_end_the_attempt(goes_on: bool) -> None:
    store, client = MemoryStore(edited=(Own("a", b"1", b"2"),), goes_on=goes_on), MemoryClient()
    with capture_logs() as lines:
        assert deliver(store, client) == ("delivered" if goes_on else None)
    assert store.noted == [(("a",), {"e": 1}, True, {"at": "now"}, False)]
    assert len(store.results) == goes_on
    assert [line["code"] for line in lines] == [None if goes_on else "foreign_edit"]


def test_a_lost_lease_is_said() -> None:
    store = MemoryStore(holds_lease=False)
    assert deliver(store, MemoryClient()) == "lease_lost"
    assert store.results


def test_a_ticket_holds_no_payload() -> None:
    store = MemoryStore(claim(delivered=(("a", b'"what was delivered"'),)))
    ticket = engine(store, MemoryClient()).get_last_modified("r1")
    assert ticket is not None
    text = json.dumps(ticket)
    assert "what was delivered" not in text
    assert len(text) < 1500


def test_a_ticket_of_another_release_may_hold_more_than_this_one_knows() -> None:
    driven = engine(MemoryStore(), MemoryClient())
    ticket = driven.get_last_modified("r1")
    assert ticket is not None
    ticket["claim"]["learntSince"] = 1
    assert driven.send_patch(ticket | {"alsoNew": {}}) == "delivered"


def test_the_second_half_has_what_the_first_left_over_and_a_send_its_share_of_it() -> None:
    store, client = MemoryStore(), MemoryClient()
    driven = engine(store, client)
    ticket = driven.get_last_modified("r1")
    assert ticket is not None
    assert 0 <= ticket["usedS"] < 100
    driven.send_patch(ticket | {"usedS": 60.0})
    (_, for_get), (_, for_send) = client.calls
    assert for_get <= 100
    assert for_send <= 20


def test_what_the_store_raises_goes_through_and_closes_the_attempt() -> None:
    closed: list[bool] = []

    class Away(MemoryStore):
        def begin(self, claim: Claim, last_modified: str | None) -> Sending | None:
            raise ConnectionError

    class Watched(ShortWay):
        def send(self, claim: Claim) -> Attempt[Ending]:
            try:
                return (yield from super().send(claim))
            finally:
                closed.append(True)

    store = Away()
    with pytest.raises(ConnectionError):
        Engine(store, store, {"avos": FarSide(Watched(), MemoryClient(), 1)}).send("r1")
    assert closed
    assert store.results == []
