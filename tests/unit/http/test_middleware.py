"""Every bad input is answered clearly: the right status, problem+json, the field, the request id."""

from __future__ import annotations

import json
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from app.http.factory import create_app
from tests.unit.http.conftest import BOOTSTRAP, Caller, build_system

EVENT = {
    "name": "Home - Away",
    "eventEnd": "2026-11-21T21:45:00Z",
    "livestreams": [{"livestreamId": "l-1", "preKoUtc": "2026-11-21T19:30:00Z", "txEventType": "Update"}],
}
OPEN = {"/", "/healthz", "/readyz", "/metrics", "/openapi.json", "/docs", "/docs/static/<path:filename>"}


def check_problem(answer: Any, status: int, *, code: str | None = None, field: str | None = None) -> Any:
    """The answer is a whole problem; returns its body."""
    assert answer.status_code == status, answer.text
    assert answer.headers["Content-Type"] == "application/problem+json"
    body = answer.json
    assert body["status"] == status
    assert body["detail"] == body["errors"][0]["detail"]
    assert body["title"] == body["errors"][0]["title"]
    assert body["type"].endswith(body["code"])
    assert body["callId"] == answer.headers["X-Request-ID"]
    if code is not None:
        assert body["code"] == code
    if field is not None:
        assert body["field"] == field
    return body


def put_event(body: Any, caller: Caller, event_id: str = "ev-1", **options: Any) -> Any:
    given = (
        {"json": body} if not isinstance(body, bytes) else {"data": body, "content_type": "application/json"}
    )
    return caller.put(f"/api/custom/events/{event_id}", **{**given, **options})


def changed(**members: Any) -> dict[str, Any]:
    return {**EVENT, **members}


@pytest.mark.parametrize(
    ("body", "code", "field"),
    [
        (changed(name=7), "invalid_input", "name"),
        (changed(nam="x"), "invalid_input", "nam"),
        (changed(livestreams=[{"livestreamId": "l-1", "preKoUtc": "soon"}]), None, "livestreams[0].preKoUtc"),
        (changed(livestreams=[{"livestreamId": 5}]), None, "livestreams[0].livestreamId"),
        (changed(livestreams=[{"livestreamId": "l", "x": 1}]), None, "livestreams[0].x"),
        (changed(livestreams={}), None, "livestreams"),
        (changed(name="nul\0byte"), None, "name"),
        (changed(livestreams=[{"livestreamId": "l" * 2000}]), None, "livestreams[0].livestreamId"),
        (changed(name="half \ud800 pair"), None, "name"),
        (["an", "array"], "invalid_input", None),
        (b"", "invalid_json", None),
        (b"{", "invalid_json", None),
        (b'{"name": NaN}', "invalid_json", None),
        (b'{"name": 1e999}', "invalid_json", None),
        (b'{"name": "a", "name": "b"}', "duplicate_member", None),
        (b'{"name": "\xff"}', "invalid_json", None),
        (b"[" * 40_000, "json_too_deep", None),
        (b'{"name":' * 40 + b"1" + b"}" * 40, "json_too_deep", None),
        (b"9" * 5000, "invalid_json", None),
    ],
)
def test_a_body_that_does_not_fit_names_the_field(
    caller: Caller, body: Any, code: str | None, field: str | None
) -> None:
    check_problem(put_event(body, caller), 400, code=code, field=field)
    check_problem(caller.get("/api/custom/events/ev-1"), 404)  # nothing was stored


def test_every_wrong_field_is_listed(caller: Caller) -> None:
    body = check_problem(put_event(changed(name=1, eventEnd=2), caller), 400)
    assert len(body["errors"]) == 2


@pytest.mark.parametrize("content_type", ["text/plain", "application/x-www-form-urlencoded", "", None])
def test_another_content_type_is_415(caller: Caller, content_type: str | None) -> None:
    answer = caller.put("/api/custom/events/ev-1", data=json.dumps(EVENT), content_type=content_type)
    check_problem(answer, 415, code="unsupported_media_type")


def test_an_unknown_query_parameter_is_refused_everywhere(caller: Caller) -> None:
    for path in ("/api/custom/requests?stat=failed", "/api/custom/destinations?x=1", "/api/tokens?limit=1"):
        body = check_problem(caller.get(path), 400, code="unknown_parameter")
        assert body["field"] in {"stat", "x", "limit"}


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("state=lost", "state"),
        ("limit=0", "limit"),
        ("limit=1001", "limit"),
        ("limit=many", "limit"),
        ("limit=1&limit=2", "limit"),
        ("createdAfter=yesterday", "createdAfter"),
        ("contentMediaId=", "contentMediaId"),
        ("contentMediaId=a%00b", "contentMediaId"),
        ("cursor=!!", "cursor"),
        ("cursor=%F0%9F%98%80", "cursor"),
    ],
)
def test_a_query_value_that_does_not_fit_names_the_parameter(caller: Caller, query: str, field: str) -> None:
    check_problem(caller.get(f"/api/custom/requests?{query}"), 400, field=field)


@pytest.mark.parametrize("query", ["contentMediaId=%FF", "%FF=1", "contentMediaId=%ED%A0%80"])
def test_a_query_that_is_not_text_is_refused(caller: Caller, query: str) -> None:
    check_problem(caller.get(f"/api/custom/requests?{query}"), 400, code="invalid_query")


@pytest.mark.parametrize("identifier", ["x" * 2000, "a%00b", "%20", "%FF", ".", "..", "%7F", "%C2%85"])
def test_an_impossible_id_in_the_address_is_named(caller: Caller, identifier: str) -> None:
    answer = caller.put(f"/api/custom/events/{identifier}", json=EVENT)
    check_problem(answer, 400, field="eventId")


@pytest.mark.parametrize("identifier", ["a%2Fb", "..%2Fetc", "a@host", "%252e", "ø 1", "a%2F%2Fb", "a:b"])
def test_an_odd_id_is_an_id_all_the_same(caller: Caller, identifier: str) -> None:
    assert caller.put(f"/api/custom/events/{identifier}", json=EVENT).status_code == 201
    assert caller.get(f"/api/custom/events/{identifier}").json["name"] == EVENT["name"]


def test_a_large_body_is_refused_by_its_length_unread(caller: Caller) -> None:
    class Unreadable:
        def read(self, *_: int) -> bytes:
            raise AssertionError("the body was read")

    environ = {"wsgi.input": Unreadable(), "CONTENT_LENGTH": "30000000"}
    for path in ("/api/custom/messages", "/api/custom/requests"):
        answer = caller.post(path, environ_overrides=environ, content_type="application/json")
        check_problem(answer, 413, code="too_large")


def test_a_chunked_body_is_cut_off(caller: Caller) -> None:
    class Endless:
        taken = 0

        def read(self, size: int = -1) -> bytes:
            self.taken += max(size, 65536)
            assert self.taken < 4_000_000, "more was read than may be sent"
            return b"x" * (size if size > 0 else 65536)

        def readinto(self, buffer: Any) -> int:
            buffer[:] = self.read(len(buffer))
            return len(buffer)

    environ = {
        "wsgi.input": Endless(),
        "wsgi.input_terminated": True,
        "CONTENT_LENGTH": "",
        "HTTP_TRANSFER_ENCODING": "chunked",
    }
    answer = caller.post("/api/custom/requests", environ_overrides=environ, content_type="application/json")
    check_problem(answer, 413, code="too_large")


def test_messages_take_more_than_other_addresses(caller: Caller) -> None:
    padding = "x" * (1024 * 1024 + 100)
    messages = {"messages": [{"type": "event", "id": "e", "body": changed(name=padding)}]}
    assert caller.post("/api/custom/messages", json=messages).status_code == 200
    check_problem(put_event(changed(name=padding), caller), 413)


def test_a_long_query_is_414(caller: Caller) -> None:
    check_problem(caller.get("/api/custom/requests?cursor=" + "x" * 5000), 414, code="query_too_long")


def test_unknown_addresses_and_methods(caller: Caller, anonymous: FlaskClient) -> None:
    check_problem(anonymous.get("/nowhere"), 404, code="not_found")
    check_problem(caller.get("/api/custom/contentmedia/nobody/timeline"), 404, code="content_media_not_found")
    refused = caller.delete("/api/custom/requests")
    check_problem(refused, 405, code="method_not_allowed")
    assert set(refused.headers["Allow"].split(", ")) >= {"GET", "POST"}


def test_no_token_is_401_before_anything_is_read(app: Flask, anonymous: FlaskClient) -> None:
    """Every address but the open ones asks for a token first, whatever else is wrong."""
    checked = 0
    for rule in app.url_map.iter_rules():
        if rule.rule in OPEN:
            continue
        address = app.url_map.bind("x").build(rule.endpoint, dict.fromkeys(rule.arguments, "retry"))
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}:
            answer = anonymous.open(address, method=method, data=b"{", content_type="text/plain")
            if rule.rule.startswith("/v1/scheduler"):
                assert (answer.status_code, answer.json) == (401, {"message": "Unauthorized"})
            else:
                check_problem(answer, 401, code="token_missing")
            checked += 1
    assert checked > 25


def test_a_fault_of_ours_says_nothing_about_the_inside(app: Flask) -> None:
    secret = "password=hunter2"

    @app.get("/boom")
    def boom() -> str:
        raise RuntimeError(secret)

    answer = app.test_client().get("/boom", headers={"X-Request-ID": "find-me"})
    body = check_problem(answer, 500, code="internal")
    assert secret not in answer.text
    assert body["callId"] == "find-me"


@pytest.mark.parametrize(
    ("given", "kept"), [("abc-1.2:3_4", True), ("", False), ("a b", False), ("x" * 129, False)]
)
def test_a_call_id_goes_in_and_out(anonymous: FlaskClient, given: str, kept: bool) -> None:
    answer = anonymous.get("/healthz", headers={"X-Request-ID": given})
    shown = answer.headers["X-Request-ID"]
    assert (shown == given) is kept
    assert len(shown) >= 11


def test_headers_that_keep_browsers_safe(anonymous: FlaskClient) -> None:
    for path in ("/healthz", "/nowhere", "/docs", "/openapi.json"):
        with anonymous.get(path) as answer:
            headers = answer.headers
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert "default-src 'none'" in headers["Content-Security-Policy"]
        assert "unsafe" not in headers["Content-Security-Policy"]


def test_the_access_line_holds_no_secrets(caller: Caller, capsys: pytest.CaptureFixture[str]) -> None:
    caller.get("/api/custom/requests?error=hunter2", headers={"X-Request-ID": "line-1"})
    line = capsys.readouterr().out
    # A record's id is `request_id`; this is the call's.
    assert "call_id=line-1" in line
    assert "request_id" not in line
    assert "bootstrap" in line
    assert BOOTSTRAP not in line
    assert "hunter2" not in line


def test_the_bulk_limit_is_a_setting(system: Any) -> None:
    small = create_app(build_system(system.redis, "web", max_body_bytes=2000))
    answer = Caller(small, BOOTSTRAP).post("/api/custom/messages", json={"messages": ["x" * 2000]})
    check_problem(answer, 413, code="too_large")
