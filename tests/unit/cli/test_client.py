"""The client of our API: what it sends, and what it says when something goes wrong."""

from __future__ import annotations

import socket

import pytest
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

from app.client import ApiClient, ApiRefused, Patience, Unreachable, problems_in, segment
from tests.unit.cli.conftest import TOKEN


class Waits:
    """A clock that only moves when someone waits."""

    def __init__(self) -> None:
        self.now = 0.0
        self.pauses: list[float] = []
        self.said: list[str] = []

    def wait(self, seconds: float) -> None:
        self.now += seconds
        self.pauses.append(seconds)

    def patience(self, seconds: float = 60) -> Patience:
        return Patience(seconds, wait=self.wait, clock=lambda: self.now, say=self.said.append)


def test_a_call_carries_the_token_and_an_idempotency_key(client: ApiClient, httpserver: HTTPServer) -> None:
    httpserver.expect_request(
        "/x",
        method="POST",
        headers={"Authorization": f"Bearer {TOKEN}"},
        query_string={"a": "ü/&", "b": "true"},
    ).respond_with_json({"ok": 1})
    assert client.call("POST", "/x", params={"a": "ü/&", "b": True, "c": None}, body={"n": 2**60}) == {
        "ok": 1
    }
    request = httpserver.log[0][0]
    assert len(request.headers["Idempotency-Key"]) == 32
    assert request.get_json() == {"n": 2**60}


def test_a_problem_names_its_fields(client: ApiClient, httpserver: HTTPServer) -> None:
    body = {
        "code": "invalid",
        "detail": "2 fields.",
        "field": "a",
        "errors": [{"title": "t", "detail": "too long"}],
    }
    httpserver.expect_request("/x").respond_with_json(body, status=400)
    with pytest.raises(ApiRefused) as caught:
        client.get("/x")
    assert (caught.value.status, caught.value.code) == (400, "invalid")
    assert caught.value.problems == [("a", "too long")]
    assert problems_in({}) == []


def test_an_error_without_a_problem_document_still_has_words(
    client: ApiClient, httpserver: HTTPServer
) -> None:
    httpserver.expect_request("/x").respond_with_data("<html>", status=502)
    with pytest.raises(ApiRefused, match="HTTP 502"):
        client.get("/x")


def test_another_service_at_the_address_is_noticed(client: ApiClient, httpserver: HTTPServer) -> None:
    httpserver.expect_request("/x").respond_with_data("<html>hello")
    httpserver.expect_request("/y").respond_with_data("", status=302, headers={"Location": "/login"})
    with pytest.raises(Unreachable, match="isn't the mediaops-sync API"):
        client.get("/x")
    with pytest.raises(Unreachable, match="redirects to /login"):
        client.get("/y")


def test_nobody_listening_is_told_as_such() -> None:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        with pytest.raises(Unreachable, match="nobody listens there"):
            ApiClient(f"http://127.0.0.1:{held.getsockname()[1]}", TOKEN).get("/x")


def test_a_busy_api_is_asked_again_with_the_same_key(client: ApiClient, httpserver: HTTPServer) -> None:
    waits = Waits()
    for status, headers in ((503, {"Retry-After": "2"}), (429, {"Retry-After": "0.5"}), (503, {})):
        httpserver.expect_ordered_request("/x").respond_with_json(
            {"detail": "Busy."}, status=status, headers=headers
        )
    httpserver.expect_ordered_request("/x").respond_with_json({"ok": True})
    assert client.call("POST", "/x", body={}, patience=waits.patience()) == {"ok": True}
    assert waits.pauses[:2] == [2, 0.5]
    assert len({request.headers["Idempotency-Key"] for request, _ in httpserver.log}) == 1
    assert waits.said[0] == "Busy.; trying again in 2 s"


def test_patience_ends(client: ApiClient, httpserver: HTTPServer) -> None:
    waits = Waits()
    httpserver.expect_request("/x").respond_with_json({"detail": "Busy."}, status=503)
    with pytest.raises(ApiRefused):
        client.call("POST", "/x", body={}, patience=waits.patience(10))
    assert waits.now <= 10


def test_a_refusal_is_not_repeated(client: ApiClient, httpserver: HTTPServer) -> None:
    httpserver.expect_oneshot_request("/x").respond_with_json({"detail": "No."}, status=409)
    with pytest.raises(ApiRefused, match="No"):
        client.call("POST", "/x", patience=Waits().patience())


def test_pages_are_followed_to_the_end(client: ApiClient, httpserver: HTTPServer) -> None:
    def page(request: Request) -> Response:
        assert request.args["state"] == "failed"
        at = int(request.args.get("cursor", "0"))
        following = f'"{at + 1}"' if at < 2 else "null"
        return Response(
            f'{{"requests": [{{"id": "{at}"}}], "next": {following}}}', mimetype="application/json"
        )

    httpserver.expect_request("/r").respond_with_handler(page)
    assert [one["id"] for one in client.pages("/r", "requests", {"state": "failed"})] == ["0", "1", "2"]


def test_an_id_is_one_segment() -> None:
    assert segment("a/b c?ü") == "a%2Fb%20c%3F%C3%BC"
