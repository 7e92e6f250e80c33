"""The client against the stand-in: what it sends, what it makes of answers, and that the token goes nowhere else."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest

from app.avos.client import AvosClient, Credentials
from app.avos.paths import live_path, source_path
from app.outgoing.attempts import CallFailed, Send
from app.outgoing.calls import SHOWN_BODY
from app.outgoing.model import Sending
from app.platform.http_client import HttpTransport
from deploy.simulators.avos import AvosStandIn

TOKEN = "s3cret-" + "x" * 30
LIVE, SOURCE = live_path("C1"), source_path("C1")


@pytest.fixture
def avos() -> Iterator[AvosStandIn]:
    with AvosStandIn(token=TOKEN) as running:
        yield running


@pytest.fixture
def client(avos: AvosStandIn) -> Iterator[AvosClient]:
    transport = HttpTransport(avos.url, pool_size=2)
    yield AvosClient(transport, Credentials(TOKEN))
    transport.close()


def soon(seconds: float = 5) -> float:
    return time.monotonic() + seconds


def patch(path: str, last_modified: str, members: tuple[tuple[str, bytes], ...]) -> Send:
    return Send("PATCH", path, Sending(members), last_modified)


def read_fails(client: AvosClient) -> CallFailed:
    with pytest.raises(CallFailed) as caught:
        client.read(LIVE, deadline=soon(0.5))
    assert TOKEN not in json.dumps(caught.value.exchange) + repr(caught.value.error)
    return caught.value


def test_a_document_is_read_and_patched_under_its_last_modified(
    avos: AvosStandIn, client: AvosClient
) -> None:
    reading = client.read(LIVE, deadline=soon())
    assert reading.document["contentMediaId"] == "C1"
    assert reading.exchange.keys() == {"path", "status", "latencyMs", "lastModified"}
    members = (("eventEndTime", b'"2026-11-21T21:45:00Z"'), ("n", b"[1.0, 12345678901234567890]"))
    written = client.send(patch(LIVE, reading.last_modified, members), deadline=soon())
    assert not written.conflict
    assert written.exchange["status"] == 200
    assert written.exchange["body"] == {
        "lastModified": reading.last_modified,
        "eventEndTime": "2026-11-21T21:45:00Z",
        "n": [1.0, 12345678901234567890],
    }
    assert "lastModified" in written.exchange["answer"]
    stale = client.send(patch(SOURCE, reading.last_modified, members), deadline=soon())
    assert stale.conflict
    assert avos.journal()[-1]["path"] == SOURCE


@pytest.mark.parametrize("value", ['"quoted" \\ back', "Ünïcode ☃", " spaces ", "a/b?c"])
def test_last_modified_is_echoed_as_it_came(avos: AvosStandIn, client: AvosClient, value: str) -> None:
    client.send(patch(LIVE, value, ()), deadline=soon())
    assert avos.journal()[-1]["lastModified"] == value


def test_last_modified_is_read_whatever_the_case_of_its_key(avos: AvosStandIn, client: AvosClient) -> None:
    avos.control(lastModified="otherCase")
    assert client.read(LIVE, deadline=soon()).last_modified == avos.state("C1")["lastModified"]  # type: ignore[index]


@pytest.mark.parametrize("how", ["missing", "empty", "number", "huge"])
def test_an_unusable_last_modified_is_an_error(avos: AvosStandIn, client: AvosClient, how: str) -> None:
    avos.control(lastModified=how)
    failed = read_fails(client)
    assert (failed.error.code, failed.error.retryable, failed.unknown) == ("no_last_modified", True, False)
    assert len(failed.exchange["answer"]) <= 1024


@pytest.mark.parametrize(
    ("fault", "code", "unknown"),
    [
        ({"kind": "malformed"}, "malformed_answer", False),
        ({"kind": "reset"}, "connection_reset", True),
        ({"kind": "hang"}, "timeout", True),
        ({"kind": "drip", "intervalMs": 50}, "timeout", True),
        ({"kind": "status", "status": 401}, "unauthorized", False),
        ({"kind": "status", "status": 404}, "not_found", False),
        ({"kind": "status", "status": 503}, "server_error", False),
        ({"kind": "status", "status": 502}, "server_error", False),  # a GET writes nothing
        ({"kind": "status", "status": 400}, "refused", False),
        ({"kind": "status", "status": 302}, "redirected", False),
    ],
)
def test_what_a_get_can_fail_with(
    avos: AvosStandIn, client: AvosClient, fault: dict[str, Any], code: str, unknown: bool
) -> None:
    avos.control(faults=[fault])
    failed = read_fails(client)
    assert (failed.error.code, failed.unknown, failed.exchange["error"]) == (code, unknown, code)


def test_retry_after_is_passed_on(avos: AvosStandIn, client: AvosClient) -> None:
    avos.fault("status", status=429, retryAfter=7)
    assert read_fails(client).error.retry_after_s == 7


def test_an_avos_that_is_down_has_received_nothing(avos: AvosStandIn, client: AvosClient) -> None:
    avos.control(down="refuse")
    failed = read_fails(client)
    assert (failed.error.code, failed.unknown, failed.error.destination_fault) == (
        "connect_failed",
        False,
        True,
    )


WRITES = [
    ({"kind": "reset"}, "connection_reset", True),
    ({"kind": "hang"}, "timeout", True),
    ({"kind": "status", "status": 502}, "server_error", True),  # a gateway doesn't know either
    ({"kind": "status", "status": 504}, "server_error", True),
    ({"kind": "status", "status": 503}, "server_error", False),
    ({"kind": "status", "status": 500}, "server_error", False),
    ({"kind": "status", "status": 429, "retryAfter": 30}, "throttled", False),
    ({"kind": "status", "status": 400}, "refused", False),
]


@pytest.mark.parametrize(("fault", "code", "unknown"), WRITES)
@pytest.mark.parametrize("method", ["PATCH", "POST", "PUT", "DELETE"])
def test_what_a_write_can_fail_with(
    avos: AvosStandIn, client: AvosClient, method: str, fault: dict[str, Any], code: str, unknown: bool
) -> None:
    request = patch(LIVE, "x", ()) if method == "PATCH" else Send(method, "/external/x", Sending())
    avos.control(faults=[fault | ({"when": "after"} if unknown else {})])
    with pytest.raises(CallFailed) as caught:
        client.send(request, deadline=soon(0.5))
    failed = caught.value
    assert (failed.error.code, failed.unknown, failed.exchange["error"]) == (code, unknown, code)
    assert (failed.error.retryable, failed.error.retry_after_s) == (
        code != "refused",
        fault.get("retryAfter"),
    )
    assert not unknown or failed.error.destination_fault
    assert TOKEN not in json.dumps(failed.exchange) + repr(failed.error)


@pytest.mark.parametrize("status", [409, 412])
def test_a_condition_that_holds_no_more_is_a_conflict_and_of_other_methods_a_refusal(
    avos: AvosStandIn, client: AvosClient, status: int
) -> None:
    avos.control(faults=[{"kind": "status", "status": status}])
    written = client.send(patch(LIVE, "x", ()), deadline=soon())
    assert (written.conflict, written.exchange["status"]) == (True, status)
    assert "error" not in written.exchange
    with pytest.raises(CallFailed) as caught:
        client.send(Send("PUT", "/external/x", Sending()), deadline=soon())
    assert (caught.value.error.code, caught.value.error.retryable) == ("refused", False)


def test_a_write_that_never_left_is_known_not_to_have_been_applied(
    avos: AvosStandIn, client: AvosClient
) -> None:
    avos.control(down="refuse")
    with pytest.raises(CallFailed) as caught:
        client.send(Send("POST", "/external/x", Sending()), deadline=soon(0.5))
    error = caught.value.error
    assert (error.code, error.retryable, caught.value.unknown) == ("connect_failed", True, False)


def test_other_methods_are_sent_as_they_are(avos: AvosStandIn, client: AvosClient) -> None:
    def send(method: str, sending: Sending) -> dict[str, Any]:
        return client.send(Send(method, "/external/x", sending), deadline=soon()).exchange

    exchange = send("POST", Sending(body=b'{"a": 1}'))
    assert (exchange["status"], exchange["body"]) == (201, {"a": 1})
    send("PUT", Sending(body=b"plain text", content_type="text/plain"))
    exchange = send("DELETE", Sending())
    assert exchange.keys() == {"method", "path", "status", "latencyMs", "answer"}
    assert [entry["body"] for entry in avos.journal()] == [{"a": 1}, "plain text", None]
    with pytest.raises(CallFailed) as caught:
        send("DELETE", Sending())
    assert caught.value.error.code == "not_found"


def test_header_and_scheme_are_settings() -> None:
    with AvosStandIn(token=TOKEN, auth_header="X-Api-Key", auth_scheme="") as avos:
        transport = HttpTransport(avos.url, pool_size=1)
        right = AvosClient(transport, Credentials(TOKEN, "X-Api-Key", ""))
        wrong = AvosClient(transport, Credentials(None))
        assert right.show("C1", timeout_s=5).last_modified
        assert read_fails(wrong).error.code == "unauthorized"
        transport.close()
    assert TOKEN not in repr(Credentials(TOKEN))


def test_an_answer_that_repeats_the_token_does_not_get_it_into_the_history(
    avos: AvosStandIn, client: AvosClient
) -> None:
    avos.edit("C1", {"echo": f"Bearer {TOKEN}", "more": "y" * 3000})
    avos.control(lastModified="missing")
    assert "Bearer ***" in read_fails(client).exchange["answer"]


def test_without_an_avos_every_call_says_so() -> None:
    failed = read_fails(AvosClient(None, Credentials(None)))
    assert failed.error.code == "connect_failed"
    assert "MEDIAOPS_AVOS_URL" in failed.error.detail


def test_a_body_of_the_greatest_length_is_shown_whole(client: AvosClient) -> None:
    text = json.dumps("y" * (SHOWN_BODY - len('{"lastModified":"x","long":""}'))).encode()
    written = client.send(patch(LIVE, "x", (("long", text),)), deadline=soon())
    assert isinstance(written.exchange["body"], dict)


def test_a_long_body_is_shown_cut_off(client: AvosClient) -> None:
    long = (("long", json.dumps("y" * 20_000).encode()),)
    written = client.send(patch(LIVE, "x", long), deadline=soon())
    assert isinstance(written.exchange["body"], str)
    assert len(written.exchange["body"]) == 1024
