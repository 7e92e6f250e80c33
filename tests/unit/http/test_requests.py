"""Generic requests, the list, one record, retry and discard, bulk operations, destinations."""

from __future__ import annotations

from typing import Any

import pytest

from app.outgoing.decision import AttemptError, AttemptResult
from app.outgoing.long_poll import wait_for_end
from app.outgoing.model import State
from app.outgoing.operations import Operations
from app.outgoing.store import OutgoingStore
from tests.unit.http.conftest import Caller
from tests.unit.http.plan import deliver_all, plan_and_register
from tests.unit.http.test_middleware import check_problem


def ask(caller: Caller, **body: Any) -> Any:
    return caller.post("/api/custom/requests", json={"method": "POST", "path": "/external/things", **body})


def fail(system: Any, request_id: str, code: str = "timeout", *, retryable: bool = True) -> None:
    """What a worker writes down when AVOS doesn't take it."""
    system[OutgoingStore].promote("avos")
    claim = system[OutgoingStore].claim(request_id)
    system[OutgoingStore].begin(claim, None)
    attempt = {"at": "2026-11-21T12:00:00Z", "send": {"status": None}, "outcome": "failed", "error": code}
    error = AttemptError(code=code, detail="No answer within 10 s.", retryable=retryable)
    assert system[OutgoingStore].finish(claim, AttemptResult(attempt=attempt, error=error))


def test_a_generic_request_is_accepted_and_can_be_followed(caller: Caller) -> None:
    answer = ask(caller, body={"a": [], "n": 2**60}, lane="mine", deadline="2036-01-01T00:00:00Z")
    assert answer.status_code == 202
    (request_id,) = answer.json["requestIds"]
    assert answer.headers["Location"] == f"/api/custom/requests/{request_id}"
    record = caller.get(answer.headers["Location"]).json
    assert record["state"] == "pending"
    assert record["body"] == {"a": [], "n": 2**60}
    assert (record["lane"], record["deadline"]) == ("mine", "2036-01-01T00:00:00Z")
    assert (record["method"], record["path"], record["kind"]) == ("POST", "/external/things", "generic")
    assert record["attempts"] == []


def test_a_path_under_a_content_media_takes_its_lane(caller: Caller) -> None:
    answer = ask(caller, method="PATCH", path="/external/contentMedia/live/Cm%41", body={"x": 1})
    record = caller.get(answer.headers["Location"]).json
    assert record["lane"] == "cma"
    assert record["contentMediaId"] == "CmA"
    refused = ask(caller, method="PATCH", path="/external/contentMedia/live/CM", body={"x": 1}, lane="own")
    check_problem(refused, 400, field="lane")


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"method": "GET"}, "method"),
        ({"method": "post"}, "method"),
        ({"method": 1}, "method"),
        ({"path": "http://evil.example/x"}, "path"),
        ({"path": "//evil.example/external/"}, "path"),
        ({"path": "/external/../admin"}, "path"),
        ({"path": "/external/%2e%2e/admin"}, "path"),
        ({"path": "/external/x@host"}, "path"),
        ({"path": "/external/x#y"}, "path"),
        ({"path": "/external/x\r\nHost: y"}, "path"),
        ({"path": "/internal/x"}, "path"),
        ({"path": ""}, "path"),
        ({"path": "/external/" + "x" * 5000}, "path"),
        ({"deadline": "2020-01-01T00:00:00Z"}, "deadline"),
        ({"deadline": 5}, "deadline"),
        ({"lane": ""}, "lane"),
        ({"lane": "x" * 2000}, "lane"),
        ({"method": "PATCH"}, "body"),
        ({"method": "PATCH", "body": []}, "body"),
        ({"method": "PATCH", "body": {}}, "body"),
        ({"method": "PATCH", "body": {"lastModified": "now"}}, "body"),
        ({"surprise": 1}, "surprise"),
    ],
)
def test_what_can_not_be_sent_is_refused_by_name(caller: Caller, body: dict[str, Any], field: str) -> None:
    check_problem(ask(caller, **body), 400, field=field)
    assert caller.get("/api/custom/requests").json == {"requests": [], "next": None}


def test_a_patch_may_bring_a_last_modified_which_is_no_value_of_its_own(caller: Caller) -> None:
    body = {
        "lastModified": "2020-01-01T00:00:00Z",
        "LASTMODIFIED": "x",
        "bookingStartTime": "2026-11-21T18:00:00Z",
    }
    accepted = ask(caller, method="PATCH", path="/external/contentMedia/live/C1", body=body)
    shown = caller.get(f"/api/custom/requests/{accepted.json['requestIds'][0]}").json
    assert shown["body"] == {"bookingStartTime": "2026-11-21T18:00:00Z"}


def test_the_same_key_and_body_give_the_same_answer(caller: Caller) -> None:
    headers = {"Idempotency-Key": "k-1"}
    body = {"method": "POST", "path": "/external/things"}
    first = caller.post("/api/custom/requests", json=body, headers=headers)
    again = caller.post("/api/custom/requests", json=body, headers=headers)
    assert (first.status_code, again.status_code) == (202, 202)
    assert first.json == again.json
    assert first.headers["Location"] == again.headers["Location"]
    assert len(caller.get("/api/custom/requests").json["requests"]) == 1
    other = caller.post("/api/custom/requests", json={**body, "lane": "x"}, headers=headers)
    check_problem(other, 422, code="idempotency_key_reused")
    bad = caller.post("/api/custom/requests", json=body, headers={"Idempotency-Key": "x" * 300})
    check_problem(bad, 400, field="Idempotency-Key")


def test_the_list_is_filtered_and_paged(caller: Caller) -> None:
    ids = [ask(caller, method=method).json["requestIds"][0] for method in ("POST", "PUT", "DELETE")]
    listed = caller.get("/api/custom/requests?limit=2").json
    assert [r["id"] for r in listed["requests"]] == ids[:0:-1]
    rest = caller.get(f"/api/custom/requests?limit=2&cursor={listed['next']}").json
    assert [r["id"] for r in rest["requests"]] == ids[:1]
    assert rest["next"] is None
    only = caller.get("/api/custom/requests?method=PUT&state=pending").json["requests"]
    assert [r["id"] for r in only] == [ids[1]]
    assert caller.get("/api/custom/requests?createdAfter=2036-01-01T00:00:00Z").json["requests"] == []
    assert caller.get("/api/custom/requests?state=failed").json["requests"] == []


def test_an_operator_retries_and_discards_one(caller: Caller, system: Any) -> None:
    request_id = ask(caller, method="PUT").json["requestIds"][0]
    address = f"/api/custom/requests/{request_id}"
    check_problem(caller.post(f"{address}/retry"), 409, code="not_allowed_in_state")
    fail(system, request_id)
    record = caller.get(address).json
    assert (record["state"], record["error"]["code"], record["attemptCount"]) == ("failed", "timeout", 1)
    by_error = caller.get("/api/custom/requests?error=timeout").json["requests"]
    assert [r["id"] for r in by_error] == [request_id]
    retried = caller.post(f"{address}/retry")
    assert (retried.status_code, retried.json["state"]) == (202, "pending")
    discarded = caller.post(f"{address}/discard")
    assert (discarded.status_code, discarded.json["state"]) == (200, "discarded")
    for verb in ("retry", "discard"):
        check_problem(caller.post(f"/api/custom/requests/nothing/{verb}"), 404, code="request_not_found")


@pytest.mark.parametrize("way", ["query", "body"])
def test_all_that_match_are_an_operation_with_progress(caller: Caller, system: Any, way: str) -> None:
    ids = [ask(caller, method="PUT", path=f"/external/things/{n}").json["requestIds"][0] for n in range(3)]
    for request_id in ids[:2]:
        fail(system, request_id)
    options: dict[str, Any] = {"json": {"state": "failed"}} if way == "body" else {}
    query = "?state=failed" if way == "query" else ""
    started = caller.post(f"/api/custom/requests/discard{query}", **options)
    assert started.status_code == 202
    system[Operations].work(1.0)
    done = caller.get(started.headers["Location"]).json
    assert (done["state"], done["changed"]) == ("done", 2)
    assert len(caller.get("/api/custom/requests?state=discarded").json["requests"]) == 2


def test_discarding_everything_by_mistake_is_refused(caller: Caller) -> None:
    check_problem(caller.post("/api/custom/requests/discard"), 400)
    check_problem(caller.post("/api/custom/requests/discard", json={}), 400)
    both = caller.post("/api/custom/requests/retry?state=failed", json={"state": "failed"})
    check_problem(both, 400, field="state")
    check_problem(caller.post("/api/custom/requests/retry?stat=failed"), 400, field="stat")
    check_problem(caller.get("/api/custom/operations/nothing"), 404, code="operation_not_found")


def test_a_destination_is_paused_and_resumed(caller: Caller) -> None:
    paused = caller.post("/api/custom/destinations/avos/pause").json
    assert (paused["name"], paused["state"], paused["pausedBy"]) == ("avos", "paused", "bootstrap")
    assert caller.get("/api/custom/destinations").json["destinations"][0]["state"] == "paused"
    assert caller.post("/api/custom/destinations/avos/resume").json["state"] == "closed"
    check_problem(caller.post("/api/custom/destinations/moon/pause"), 404, code="destination_not_found")


def test_waiting_ends_with_the_final_state(caller: Caller, system: Any) -> None:
    first, _ = plan_and_register(caller)
    assert caller.get(f"/api/custom/requests/{first}?wait=0.05").json["state"] == "pending"
    deliver_all(system)
    record = caller.get(f"/api/custom/requests/{first}?wait=30").json
    assert record["state"] == "delivered"
    assert record["attempts"][0]["outcome"] == "delivered"
    check_problem(caller.get(f"/api/custom/requests/{first}?wait=31"), 400, field="wait")
    check_problem(caller.get(f"/api/custom/requests/{first}?wait=nan"), 400, field="wait")
    check_problem(caller.get("/api/custom/requests/nothing?wait=1"), 404)


def test_waiting_looks_ever_more_rarely_and_is_bounded() -> None:
    clock, pauses = [0.0], []

    def sleep(seconds: float) -> None:
        pauses.append(seconds)
        clock[0] += seconds

    state = wait_for_end(lambda: State.LIVE, 10, sleep=sleep, monotonic=lambda: clock[0])
    assert state is State.LIVE
    assert clock[0] == pytest.approx(10)
    assert pauses[0] < 0.1
    assert max(pauses) == 0.5
    assert len(pauses) < 40
