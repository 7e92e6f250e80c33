"""Planning's endpoints: status codes, headers and refusals."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote

import pytest

from tests.unit.planning.conftest import Caller, Services, event_body, job_body

EVENT = "/api/custom/events/ev-1"
JOB = "/api/custom/jobs/j-1"


def test_an_event_is_created_shown_changed_and_deleted(api: Caller) -> None:
    created = api("PUT", EVENT, json=event_body() | {"sourceVersion": 1})
    assert created.status_code == 201
    assert created.json["eventId"] == "ev-1"
    assert created.json["requestIds"] == []
    assert created.json["createdAt"] == created.json["updatedAt"]
    shown = api("GET", EVENT)
    assert shown.status_code == 200
    assert {name: shown.json[name] for name in event_body()} == event_body()
    assert shown.json["sourceVersion"] == 1
    assert shown.headers["ETag"] == created.headers["ETag"] == f'"{shown.json["revision"]}"'
    changed = api("PUT", EVENT, json=event_body(name="b"), headers={"If-Match": shown.headers["ETag"]})
    assert changed.status_code == 200
    assert (
        api("PUT", EVENT, json=event_body(), headers={"If-Match": shown.headers["ETag"]}).status_code == 412
    )
    deleted = api("DELETE", EVENT)
    assert (deleted.status_code, deleted.json["eventId"]) == (200, "ev-1")
    assert deleted.json["deletedAt"]
    assert api("GET", EVENT).status_code == api("DELETE", EVENT).status_code == 404


def test_what_is_known_already_need_not_be_sent_again(api: Caller) -> None:
    tag = api("PUT", EVENT, json=event_body()).headers["ETag"]
    assert api("GET", EVENT, headers={"If-None-Match": tag}).status_code == 304


def test_a_job_of_an_unknown_event_is_taken_and_says_so(api: Caller) -> None:
    answer = api("PUT", JOB, json=job_body())
    assert (answer.status_code, answer.json["eventKnown"]) == (201, False)
    api("PUT", EVENT, json=event_body())
    assert api("PUT", JOB, json=job_body()).json["eventKnown"] is True


def test_a_change_answers_the_requests_that_it_queued(api: Caller, services: Services) -> None:
    services.planned_and_registered()
    answer = api("PUT", EVENT, json=event_body(pre_ko="2026-11-21T20:00:00Z"))
    assert len(answer.json["requestIds"]) == 1
    assert api("PUT", EVENT, json=event_body(pre_ko="2026-11-21T20:00:00Z")).json["requestIds"] == []


def test_an_older_version_is_a_conflict_with_its_own_code(api: Caller) -> None:
    api("PUT", EVENT, json=event_body() | {"sourceVersion": "2026-11-20T10:00:00Z"})
    late = api("PUT", EVENT, json=event_body(name="b") | {"sourceVersion": "2026-11-20T09:00:00Z"})
    assert (late.status_code, late.json["code"], late.json["field"]) == (
        409,
        "source_version_older",
        "sourceVersion",
    )
    assert api("DELETE", EVENT + "?sourceVersion=2026-11-20T09:00:00Z").status_code == 409
    assert api("DELETE", EVENT + "?sourceVersion=7").json["code"] == "source_version_kind"
    assert api("DELETE", EVENT + "?sourceVersion=2026-11-20T11:00:00Z").status_code == 200


@pytest.mark.parametrize(
    "identifier",
    ["../../etc/passwd", "a/b", "a//b", "a/", "%2e%2e", "%2f", "user@host", "x?y#z", "ä ö", "a:b", "..x"],
)
@pytest.mark.parametrize("kind", ["events", "jobs"])
def test_an_id_may_hold_anything_that_can_be_quoted(api: Caller, kind: str, identifier: str) -> None:
    path = f"/api/custom/{kind}/{quote(identifier, safe='')}"
    body = event_body() if kind == "events" else job_body()
    assert api("PUT", path, json=body).status_code == 201
    shown = api("GET", path)
    assert shown.status_code == 200
    assert shown.json["eventId" if kind == "events" else "jobId"] == identifier
    [listed] = api("GET", f"/api/custom/{kind}").json[kind]
    assert listed["revision"] == shown.json["revision"]
    assert api("DELETE", path).status_code == 200


@pytest.mark.parametrize("identifier", ["x" * 2000, "a%00b", "a%1Fb", "%FF", "%20"])
def test_an_id_that_cannot_be_meant_is_refused(api: Caller, identifier: str) -> None:
    answer = api("PUT", f"/api/custom/events/{identifier}", json=event_body())
    assert (answer.status_code, answer.json["field"]) == (400, "eventId")


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"{", 400),
        (b"", 400),
        (b"[" * 5000 + b"]" * 5000, 400),
        (b'{"name": NaN}', 400),
        (b'{"name": "a", "name": "b"}', 400),
        (b'{"name": "\\ud800"}', 400),
        (b'{"name": "\\u0000"}', 400),
        (b'{"name": "\xff"}', 400),
        (b"null", 400),
        (b'"text"', 400),
        (b'{"name": 7}', 400),
    ],
)
def test_a_body_that_cannot_be_read_is_refused(api: Caller, body: bytes, status: int) -> None:
    for path in (EVENT, JOB, "/api/custom/messages"):
        method = "POST" if path.endswith("messages") else "PUT"
        answer = api(method, path, data=body, content_type="application/json")
        assert answer.status_code == status
        assert answer.json["errors"][0]["detail"]


def test_another_content_type_and_another_method_are_refused(api: Caller) -> None:
    assert api("PUT", EVENT, data="x", content_type="text/plain").status_code == 415
    assert api("POST", EVENT, json={}).status_code == 405


def test_unknown_parameters_are_refused_everywhere(api: Caller) -> None:
    for method, path in (("PUT", EVENT), ("GET", EVENT), ("DELETE", EVENT), ("GET", "/api/custom/events")):
        answer = api(method, f"{path}?colour=red", json=event_body() if method == "PUT" else None)
        assert (answer.status_code, answer.json["field"]) == (400, "colour")


def test_lists_come_in_pages(api: Caller) -> None:
    for number in range(3):
        api("PUT", f"/api/custom/jobs/j-{number}", json=job_body())
    first = api("GET", "/api/custom/jobs?limit=2").json
    rest = api("GET", f"/api/custom/jobs?limit=2&cursor={first['next']}").json
    assert [one["jobId"] for one in first["jobs"] + rest["jobs"]] == ["j-0", "j-1", "j-2"]
    assert rest["next"] is None
    for query, field in (
        ("limit=0", "limit"),
        ("limit=x", "limit"),
        ("limit=1001", "limit"),
        ("cursor=x", "cursor"),
    ):
        answer = api("GET", f"/api/custom/jobs?{query}")
        assert (answer.status_code, answer.json["field"]) == (400, field)


def test_messages_are_answered_per_item(api: Caller) -> None:
    good: dict[str, Any] = {"type": "event", "id": "ev-1", "body": event_body()}
    bad = {"type": "job", "id": "j-1", "body": {"eventId": 5}}
    answer = api("POST", "/api/custom/messages", json={"messages": [good, bad]})
    assert answer.status_code == 200
    first, second = answer.json["results"]
    assert (first["index"], first["status"], first["requestIds"]) == (0, 200, [])
    assert (second["index"], second["status"]) == (1, 400)
    assert second["errors"][0]["title"] == "Bad Request"
    assert "messages[1].body.eventId" in second["errors"][0]["detail"]


@pytest.mark.parametrize(
    "body", [{}, {"messages": {}}, {"messages": [], "more": 1}, {"messages": [1] * 1001}]
)
def test_a_batch_without_a_proper_list_is_refused(api: Caller, body: dict[str, Any]) -> None:
    answer = api("POST", "/api/custom/messages", json=body)
    assert answer.status_code == 400
    assert answer.json["field"] in {"messages", "more"}


def test_a_key_repeats_the_answer_and_refuses_another_body(api: Caller) -> None:
    key = {"Idempotency-Key": "k-1"}
    first = api("PUT", EVENT, json=event_body(), headers=key)
    again = api("PUT", EVENT, json=event_body(), headers=key)
    assert (first.status_code, again.status_code) == (201, 201)
    assert first.json == again.json
    other = api("PUT", EVENT, json=event_body(name="b"), headers=key)
    assert (other.status_code, other.json["field"]) == (422, "Idempotency-Key")
    assert api("PUT", JOB, json=job_body(), headers=key).status_code == 201
    assert api("PUT", EVENT, json=event_body(), headers={"Idempotency-Key": "a b"}).status_code == 400


def test_reading_and_writing_need_their_scopes(api: Caller) -> None:
    reader = api.tokens.create("reader", ["read"]).secret
    writer = api.tokens.create("writer", ["write"]).secret
    assert api("PUT", EVENT, json=event_body(), token=reader).status_code == 403
    assert api("DELETE", EVENT, token=reader).status_code == 403
    assert api("POST", "/api/custom/messages", json={"messages": []}, token=reader).status_code == 403
    assert api("PUT", EVENT, json=event_body(), token=writer).status_code == 201
    assert api("GET", EVENT, token=writer).status_code == 403
    assert api("GET", EVENT, token="x" * 40).status_code == 401


def test_bodies_come_back_byte_for_byte_where_json_could_be_mangled(api: Caller) -> None:
    body = event_body(livestreams=())
    body["name"] = 'é \U0001f3c6 " \\ / </script>'
    api("PUT", EVENT, json=body)
    api("PUT", JOB, data=json.dumps(job_body() | {"nodes": []}), content_type="application/json")
    assert api("GET", EVENT).json["livestreams"] == []
    assert api("GET", EVENT).json["name"] == body["name"]
    assert api("GET", JOB).json["nodes"] == []


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"If-Match": '"1"'}, 200),
        ({"If-Match": "*"}, 200),
        ({"If-Match": '"2", "1"'}, 200),
        ({"If-Match": 'W/"1"'}, 412),
        ({"If-Match": '"2"'}, 412),
        ({"If-Match": "1"}, 412),
        ({"If-None-Match": '"1"'}, 304),
        ({"If-None-Match": 'W/"1"'}, 304),
        ({"If-None-Match": "*"}, 304),
        ({"If-None-Match": '"2"'}, 200),
    ],
)
def test_reading_under_a_condition(api: Caller, headers: dict[str, str], status: int) -> None:
    api("PUT", EVENT, json=event_body())
    answer = api("GET", EVENT, headers=headers)
    assert answer.status_code == status
    if status == 412:
        assert answer.content_type == "application/problem+json"
        assert (answer.json["code"], answer.json["field"]) == ("precondition_failed", "If-Match")
    else:
        assert answer.headers["ETag"] == '"1"'
    assert (answer.data == b"") == (status == 304)
