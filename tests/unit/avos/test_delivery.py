"""Attempts, on the real stand-in over HTTP and a small in-memory store."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from typing import Any, Final

import pytest

from app.avos.client import AvosClient, Credentials
from app.avos.delivery import ROUNDS, Delivery, Ticket
from app.avos.paths import live_path, source_path
from app.outgoing.decision import AttemptError, AttemptResult, Signal, signal
from app.outgoing.model import Claim, Sending, encode
from app.platform.http_client import HttpTransport
from deploy.simulators.avos import AvosStandIn

LIVE, SOURCE = live_path("C1"), source_path("C1")
END = "2026-11-21T21:45:00Z"
WANTED = {"eventEndTime": END}
TOKEN = "s3cret-" + "x" * 30


class MemoryStore:
    """One request; `begun` and `results` keep what was asked and handed in."""

    def __init__(
        self,
        path: str = LIVE,
        method: str = "PATCH",
        members: dict[str, Any] | None = None,
        unknown: dict[str, Any] | None = None,
    ) -> None:
        self.claimable = True
        self.members = WANTED if members is None else members
        self.body: bytes | None = None
        self.on_begin: Callable[[], None] = lambda: None
        self.begun: list[str | None] = []
        self.results: list[AttemptResult] = []
        self.holds_lease = True
        self.sendable = True
        self.made = Claim(
            request_id="r1",
            token="t",
            fence=1,
            destination="avos",
            method=method,
            path=path,
            kind="booking",
            content_media_id="C1",
            at_ms=1_795_289_400_000,
            lease_until_ms=1_795_289_415_000,
            unknown=unknown,
        )

    def claim(self, request_id: str) -> Claim | None:
        return self.made if self.claimable and request_id == "r1" else None

    def begin(self, claim: Claim, last_modified: str | None) -> Sending | None:
        assert claim == self.made
        self.begun.append(last_modified)
        self.on_begin()
        if not self.sendable:
            return None
        return Sending(tuple((name, encode(value)) for name, value in self.members.items()), self.body)

    def finish(self, claim: Claim, result: AttemptResult) -> bool:
        assert claim == self.made
        json.dumps(result.attempt)  # it goes into the record's history
        assert TOKEN not in repr(result)
        self.results.append(result)
        return self.holds_lease

    @property
    def attempt(self) -> Any:
        return self.results[-1].attempt

    @property
    def error(self) -> AttemptError:
        error = self.results[-1].error
        assert error is not None
        return error


@pytest.fixture
def avos() -> Iterator[AvosStandIn]:
    with AvosStandIn(token=TOKEN) as running:
        yield running


@pytest.fixture
def transport(avos: AvosStandIn) -> Iterator[HttpTransport]:
    made = HttpTransport(avos.url, pool_size=2)
    yield made
    made.close()


def deliver(store: MemoryStore, transport: HttpTransport, *, timeout_s: float = 5) -> str | None:
    """Both links, the ticket going through JSON as it does through the broker."""
    delivery = Delivery(store, AvosClient(transport, Credentials(TOKEN)), timeout_s=timeout_s)
    if store.made.method != "PATCH":
        return delivery.send("r1")
    ticket = delivery.get_last_modified("r1")
    return None if ticket is None else delivery.send_patch(json.loads(json.dumps(ticket)))


def methods(avos: AvosStandIn) -> list[str]:
    return [entry["method"] for entry in avos.journal()]


def applied(avos: AvosStandIn) -> list[Any]:
    return [entry["body"] for entry in avos.journal() if entry["applied"] and entry["method"] != "EDIT"]


def test_a_get_then_a_patch_under_its_last_modified(avos: AvosStandIn, transport: HttpTransport) -> None:
    store = MemoryStore()
    assert deliver(store, transport) == "delivered"
    get, patch = avos.journal()
    assert (get["method"], patch["method"], patch["applied"]) == ("GET", "PATCH", True)
    assert patch["body"] == {"lastModified": patch["before"]} | WANTED
    assert store.begun == [patch["before"]]
    (result,) = store.results
    assert result.error is None
    assert set(result.attempt) == {"at", "get", "send", "outcome"}
    assert result.attempt["at"] == "2026-11-21T19:30:00Z"
    assert result.attempt["get"]["lastModified"] == patch["before"]
    assert result.attempt["send"]["body"] == patch["body"]
    assert result.attempt["send"]["status"] == 200


def test_the_source_patch_reads_the_content_media(avos: AvosStandIn, transport: HttpTransport) -> None:
    assert deliver(MemoryStore(SOURCE, members={"txEventType": "New"}), transport) == "delivered"
    assert [entry["path"] for entry in avos.journal()] == [LIVE, SOURCE]
    assert avos.state("C1")["source"] == {"txEventType": "New"}  # type: ignore[index]


def test_a_generic_patch_reads_its_own_path(avos: AvosStandIn, transport: HttpTransport) -> None:
    assert deliver(MemoryStore("/external/x"), transport) == "delivered"
    assert [entry["path"] for entry in avos.journal()] == ["/external/x", "/external/x"]


def test_a_refused_claim_sends_nothing(avos: AvosStandIn, transport: HttpTransport) -> None:
    store = MemoryStore()
    store.claimable = False
    assert deliver(store, transport) is None
    assert (methods(avos), store.results) == ([], [])


def test_a_refused_begin_sends_nothing_and_finishes_nothing(
    avos: AvosStandIn, transport: HttpTransport
) -> None:
    store = MemoryStore()
    store.sendable = False
    assert deliver(store, transport) == "nothing_to_send"
    assert (methods(avos), store.results) == (["GET"], [])


def test_a_lost_lease_is_said(transport: HttpTransport) -> None:
    store = MemoryStore()
    store.holds_lease = False
    assert deliver(store, transport) == "lease_lost"


@pytest.mark.parametrize("status", [409, 412])
def test_a_conflict_is_read_again_and_written_at_once(
    avos: AvosStandIn, transport: HttpTransport, status: int
) -> None:
    avos.control(conflictStatus=status, faults=[{"kind": "edit", "on": "patch", "next": 2}])
    store = MemoryStore()
    assert deliver(store, transport) == "delivered"
    assert [m for m in methods(avos) if m != "EDIT"] == ["GET", "PATCH"] * 3
    assert len(store.begun) == 3
    patch = avos.journal()[-1]
    assert patch["lastModified"] == patch["before"] == store.begun[-1]
    assert [step["send"]["status"] for step in store.attempt["earlier"]] == [status, status]
    assert store.attempt["send"]["status"] == 200


def test_conflicts_have_a_bound(avos: AvosStandIn, transport: HttpTransport) -> None:
    avos.fault("conflict", on="patch")
    store = MemoryStore()
    assert deliver(store, transport) == "failed"
    assert (store.error.code, store.error.retryable, store.error.unknown) == ("conflict", True, None)
    assert methods(avos).count("PATCH") == ROUNDS
    assert applied(avos) == []


def test_members_are_claimed_again_for_each_sending(avos: AvosStandIn, transport: HttpTransport) -> None:
    """A newer request may take members away between two rounds."""
    avos.fault("conflict", on="patch", next=1)
    store = MemoryStore(members={"a": 1, "b": 2})

    def drop() -> None:
        if len(store.begun) == 2:
            store.members = {"b": 2}

    store.on_begin = drop
    assert deliver(store, transport) == "delivered"
    (written,) = applied(avos)
    assert written.keys() == {"lastModified", "b"}


# Nobody answers, or a gateway that doesn't know either whether AVOS has got it.
LOST: Final = (
    {"kind": "reset"},
    {"kind": "hang"},
    {"kind": "status", "status": 502},
    {"kind": "status", "status": 504},
)


@pytest.mark.parametrize("fault", LOST)
def test_an_applied_write_whose_answer_was_lost_is_read_back(
    avos: AvosStandIn, transport: HttpTransport, fault: dict[str, Any]
) -> None:
    avos.control(faults=[fault | {"when": "after", "on": "patch", "next": 1}])
    store = MemoryStore()
    assert deliver(store, transport, timeout_s=1) == "delivered"
    assert methods(avos) == ["GET", "PATCH", "GET"]
    assert store.attempt["shown"] == "equal"
    assert store.attempt["send"]["error"] in ("connection_reset", "timeout", "server_error")
    assert store.attempt["readBack"]["status"] == 200


@pytest.mark.parametrize("fault", LOST)
def test_a_write_that_was_lost_on_the_way_is_sent_again(
    avos: AvosStandIn, transport: HttpTransport, fault: dict[str, Any]
) -> None:
    avos.control(faults=[fault | {"when": "before", "on": "patch", "next": 1}])
    store = MemoryStore()
    assert deliver(store, transport, timeout_s=1) == "delivered"
    assert methods(avos) == ["GET", "PATCH", "GET", "PATCH"]
    assert len(applied(avos)) == 1
    assert len(store.begun) == 2
    assert store.results[-1].suspect, "the first may still be carried out"


@pytest.mark.parametrize("shows", ["none", "some"])
def test_what_is_not_shown_is_written_again_under_the_fresh_condition(
    avos: AvosStandIn, transport: HttpTransport, shows: str
) -> None:
    avos.control(shows=shows, faults=[{"kind": "reset", "when": "after", "on": "patch", "next": 1}])
    store = MemoryStore(members={"a": 1, "b": 2})
    assert deliver(store, transport) == "delivered"
    assert len(applied(avos)) == 2
    assert avos.journal()[-1]["lastModified"] == avos.journal()[1]["after"]


@pytest.mark.parametrize("shows", ["otherCase", "zoneless"])
def test_values_are_recognised_in_other_spellings(
    avos: AvosStandIn, transport: HttpTransport, shows: str
) -> None:
    avos.control(shows=shows, faults=[{"kind": "reset", "when": "after", "on": "patch", "next": 1}])
    store = MemoryStore(SOURCE, members={"at": END, "list": [{"resource": "A", "order": 1}]})
    assert deliver(store, transport) == "delivered"
    assert len(applied(avos)) == 1


def test_a_foreign_edit_after_a_lost_write_is_written_over_under_the_fresh_condition(
    avos: AvosStandIn, transport: HttpTransport
) -> None:
    avos.fault("reset", when="after", on="patch", next=1)
    store = MemoryStore()

    class Edited(AvosClient):
        def read(self, path: str, *, deadline: float) -> Any:
            if applied(avos) and len(applied(avos)) == 1:
                avos.edit("C1", {"eventEndTime": "2020-01-01T00:00:00Z"})
            return super().read(path, deadline=deadline)

    delivery = Delivery(store, Edited(transport, Credentials(TOKEN)), timeout_s=5)
    ticket = delivery.get_last_modified("r1")
    assert ticket is not None
    assert delivery.send_patch(ticket) == "delivered"
    assert avos.state("C1")["fields"] == WANTED  # type: ignore[index]


def test_when_reading_back_fails_too_the_outcome_is_unknown(
    avos: AvosStandIn, transport: HttpTransport
) -> None:
    store = MemoryStore()
    store.on_begin = lambda: avos.control(
        faults=[{"kind": "reset", "when": "after", "on": "patch"}, {"kind": "status", "on": "get"}]
    )
    assert deliver(store, transport) == "failed"
    assert store.error.code == "connection_reset"
    assert store.error.retryable
    assert store.error.unknown == {"members": ["eventEndTime"], "lastModified": store.begun[0]}
    assert store.attempt["readBack"]["status"] == 500
    assert methods(avos) == ["GET", "PATCH", "GET"]


def test_a_late_write_of_ours_that_is_in_the_way_counts(avos: AvosStandIn, transport: HttpTransport) -> None:
    """The first PATCH is answered by nobody and applied only after it was read back."""
    avos.fault("reset", when="before", on="patch", next=1)
    store = MemoryStore()

    def arrive_late() -> None:
        if len(store.begun) == 2:
            avos.edit("C1", WANTED)

    store.on_begin = arrive_late
    assert deliver(store, transport) == "delivered"
    assert [m for m in methods(avos) if m != "EDIT"] == ["GET", "PATCH", "GET", "PATCH", "GET"]
    assert applied(avos) == []


def test_a_write_is_sent_twice_at_most_when_answers_are_lost(
    avos: AvosStandIn, transport: HttpTransport
) -> None:
    avos.fault("reset", when="before", on="patch")
    store = MemoryStore()
    assert deliver(store, transport) == "failed"
    assert methods(avos) == ["GET", "PATCH", "GET", "PATCH", "GET"]
    assert store.error.unknown is not None


def test_the_next_attempt_compares_before_it_writes(avos: AvosStandIn, transport: HttpTransport) -> None:
    avos.edit("C1", WANTED)
    store = MemoryStore(unknown={"members": ["eventEndTime"], "lastModified": "old"})
    assert deliver(store, transport) == "delivered"
    assert "PATCH" not in methods(avos)
    assert store.attempt["shown"] == "equal"


def test_the_next_attempt_writes_what_is_not_there(avos: AvosStandIn, transport: HttpTransport) -> None:
    store = MemoryStore(unknown={"members": ["eventEndTime"], "lastModified": "old"})
    assert deliver(store, transport) == "delivered"
    assert applied(avos)[0]["eventEndTime"] == END


@pytest.mark.parametrize("on", ["get", "patch"])
def test_an_unknown_outcome_is_not_forgotten_by_a_later_failure(
    avos: AvosStandIn, transport: HttpTransport, on: str
) -> None:
    unknown = {"members": ["eventEndTime"], "lastModified": "old"}
    avos.fault("status", status=503, on=on)
    store = MemoryStore(unknown=unknown)
    deliver(store, transport)
    assert (store.error.code, store.error.unknown) == ("server_error", unknown)


@pytest.mark.parametrize(
    ("fault", "code", "outcome"),
    [
        ({"status": 400, "on": "patch"}, "refused", "rejected"),
        ({"status": 401, "on": "get"}, "unauthorized", "failed"),
        ({"status": 404, "on": "get"}, "not_found", "failed"),
        ({"status": 429, "on": "patch", "retryAfter": 30}, "throttled", "failed"),
        ({"status": 500, "on": "patch"}, "server_error", "failed"),
        ({"status": 503, "on": "get"}, "server_error", "failed"),
    ],
)
def test_an_answer_that_says_no_is_an_error_with_a_code(
    avos: AvosStandIn, transport: HttpTransport, fault: dict[str, Any], code: str, outcome: str
) -> None:
    avos.control(faults=[{"kind": "status"} | fault])
    store = MemoryStore()
    assert deliver(store, transport) == (None if fault["on"] == "get" else outcome)
    assert (store.attempt["outcome"], store.attempt["error"]["code"]) == (outcome, code)
    assert store.error.unknown is None
    assert store.error.retry_after_s == fault.get("retryAfter")


@pytest.mark.parametrize("slow", [{"kind": "hang"}, {"kind": "drip", "intervalMs": 50, "headers": True}])
def test_an_attempt_ends_within_its_deadline(
    avos: AvosStandIn, transport: HttpTransport, slow: dict[str, Any]
) -> None:
    store = MemoryStore()
    store.on_begin = lambda: avos.control(faults=[slow])
    started = time.monotonic()
    assert deliver(store, transport, timeout_s=0.6) == "failed"
    assert time.monotonic() - started < 1.2
    assert store.error.code == "timeout"


def test_a_ticket_of_another_release_may_hold_more_than_this_one_knows(transport: HttpTransport) -> None:
    store = MemoryStore()
    delivery = Delivery(store, AvosClient(transport, Credentials(TOKEN)), timeout_s=5)
    ticket = delivery.get_last_modified("r1")
    assert ticket is not None
    ticket["claim"]["learntSince"] = 1
    assert delivery.send_patch(ticket | {"alsoNew": {}}) == "delivered"


def test_the_second_link_has_what_the_first_left_over(avos: AvosStandIn, transport: HttpTransport) -> None:
    delivery = Delivery(store := MemoryStore(), AvosClient(transport, Credentials(TOKEN)), timeout_s=5)
    ticket: Ticket | None = delivery.get_last_modified("r1")
    assert ticket is not None
    assert len(json.dumps(ticket)) < 1500
    assert delivery.send_patch(ticket | {"usedS": 5.1}) == "failed"
    assert store.error.code == "timeout"
    assert methods(avos) == ["GET"]
    assert store.error.unknown is None


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
def test_other_methods_are_sent_without_a_get(
    avos: AvosStandIn, transport: HttpTransport, method: str
) -> None:
    store = MemoryStore("/external/x", method)
    store.body = None if method == "DELETE" else b'{"a": 1}'
    assert deliver(store, transport) == "delivered"
    assert methods(avos) == [method]
    assert store.begun == [None]
    assert store.attempt["send"]["method"] == method


@pytest.mark.parametrize(
    ("fault", "code"), [(LOST[0], "connection_reset"), (LOST[2], "server_error"), (LOST[3], "server_error")]
)
@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
def test_a_lost_answer_parks_a_post_and_repeats_the_others(
    avos: AvosStandIn, transport: HttpTransport, method: str, fault: dict[str, Any], code: str
) -> None:
    avos.control(faults=[fault | {"when": "after"}])
    store = MemoryStore("/external/x", method)
    parked = method == "POST"
    assert deliver(store, transport) == ("rejected" if parked else "failed")
    found = (store.error.code, store.error.retryable, store.error.unknown)
    assert found == ("unknown_outcome" if parked else code, not parked, {})
    assert signal(store.error) is Signal.DOUBT, "that nobody answered counts for the breaker"


def test_503_says_that_it_was_not_applied(avos: AvosStandIn, transport: HttpTransport) -> None:
    avos.fault("status", status=503)
    for method in ("POST", "PUT", "DELETE"):
        store = MemoryStore("/external/x", method)
        assert deliver(store, transport) == "failed"
        assert (store.error.retryable, store.error.unknown) == (True, None)
    avos.fault("status", status=503, on="patch")
    store = MemoryStore()
    assert deliver(store, transport) == "failed"
    assert store.error.unknown is None
    assert methods(avos)[-2:] == ["GET", "PATCH"], "not read back"


def test_a_post_that_never_left_is_tried_again(avos: AvosStandIn, transport: HttpTransport) -> None:
    avos.control(down="refuse")
    store = MemoryStore("/external/x", "POST")
    assert deliver(store, transport) == "failed"
    assert (store.error.code, store.error.retryable) == ("connect_failed", True)


def test_after_an_unknown_delete_not_found_is_delivered(avos: AvosStandIn, transport: HttpTransport) -> None:
    deliver(MemoryStore("/external/x", "DELETE"), transport)
    store = MemoryStore("/external/x", "DELETE", unknown={})
    assert deliver(store, transport) == "delivered"
    store = MemoryStore("/external/x", "DELETE")
    assert deliver(store, transport) == "failed"
    assert store.error.code == "not_found"


def test_a_refused_begin_sends_no_other_method_either(avos: AvosStandIn, transport: HttpTransport) -> None:
    store = MemoryStore("/external/x", "POST")
    store.sendable = False
    assert deliver(store, transport) == "nothing_to_send"
    store.claimable = False
    assert deliver(store, transport) is None
    assert methods(avos) == []
