"""The client against the stand-in: what it sends, what it makes of answers, and that the token goes nowhere else."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest

from app.avos.client import AvosClient, Credentials
from app.avos.errors import CallFailed
from app.avos.paths import live_path, source_path
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
    written = client.patch(LIVE, reading.last_modified, members, deadline=soon())
    assert not written.conflict
    assert written.exchange["status"] == 200
    assert written.exchange["body"] == {
        "lastModified": reading.last_modified,
        "eventEndTime": "2026-11-21T21:45:00Z",
        "n": [1.0, 12345678901234567890],
    }
    assert "lastModified" in written.exchange["answer"]
    stale = client.patch(SOURCE, reading.last_modified, members, deadline=soon())
    assert stale.conflict
    assert avos.journal()[-1]["path"] == SOURCE


@pytest.mark.parametrize("value", ['"quoted" \\ back', "Ünïcode ☃", " spaces ", "a/b?c"])
def test_last_modified_is_echoed_as_it_came(avos: AvosStandIn, client: AvosClient, value: str) -> None:
    client.patch(LIVE, value, (), deadline=soon())
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


def test_other_methods_are_sent_as_they_are(avos: AvosStandIn, client: AvosClient) -> None:
    exchange = client.send("POST", "/external/x", b'{"a": 1}', "application/json", deadline=soon())
    assert (exchange["status"], exchange["body"]) == (201, {"a": 1})
    client.send("PUT", "/external/x", b"plain text", "text/plain", deadline=soon())
    exchange = client.send("DELETE", "/external/x", None, "application/json", deadline=soon())
    assert exchange.keys() == {"method", "path", "status", "latencyMs", "answer"}
    assert [entry["body"] for entry in avos.journal()] == [{"a": 1}, "plain text", None]
    with pytest.raises(CallFailed) as caught:
        client.send("DELETE", "/external/x", None, "application/json", deadline=soon())
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


def test_a_long_body_is_shown_cut_off(client: AvosClient) -> None:
    written = client.patch(LIVE, "x", (("long", json.dumps("y" * 20_000).encode()),), deadline=soon())
    assert isinstance(written.exchange["body"], str)
    assert len(written.exchange["body"]) == 1024
