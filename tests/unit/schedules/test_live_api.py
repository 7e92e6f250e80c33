"""The Live API: the call in each dialect, what its answers mean, and the way of an attempt."""

from __future__ import annotations

import time
from typing import Any

import pytest
from pytest_httpserver import HTTPServer

from app.outgoing.attempts import Begin, CallFailed, Closed, Ending, Read, Reading, Send, Written
from app.outgoing.decision import AttemptError, AttemptResult
from app.outgoing.model import Sending
from app.platform.http_client import HttpTransport
from app.schedules.attempt import SHARE, LiveApiWay
from app.schedules.live_api import Action, LiveApiClient, LiveJob, job_path, named_in
from tests.support.attempts import claim, follow

KEY = "secret-key-of-the-account"
PATH = job_path("acc", "a/1")
ACTIVATE = f"{PATH}/activate"


def client(server: HTTPServer, dialect: str = "v1") -> LiveApiClient:
    return LiveApiClient(
        HttpTransport(server.url_for("").rstrip("/"), pool_size=1), {"acc": KEY}, dialect=dialect
    )


def send(live_api: LiveApiClient, path: str = ACTIVATE) -> Written:
    return live_api.send(Send("PUT", path, Sending()), deadline=time.monotonic() + 5)


def test_paths_name_account_job_and_action() -> None:
    assert ACTIVATE == "/accounts/acc/jobs/a%2F1/activate"
    assert named_in(ACTIVATE) == (PATH, Action.ACTIVATE)
    assert named_in(PATH) == (PATH, None)


@pytest.mark.parametrize(
    ("dialect", "path", "spelled", "headers"),
    [
        ("v1", ACTIVATE, "/v1/jobs/a%2F1/activate", {"X-API-KEY": KEY}),
        ("v1", f"{PATH}/deactivate", "/v1/jobs/a%2F1/deactivate", {"X-API-KEY": KEY}),
        ("v2", ACTIVATE, "/v2/accounts/acc/jobs/a%2F1/start", {"Authorization": f"Bearer {KEY}"}),
        ("v2", f"{PATH}/deactivate", "/v2/accounts/acc/jobs/a%2F1/stop", {"Authorization": f"Bearer {KEY}"}),
    ],
)
def test_the_call_in_each_dialect(
    httpserver: HTTPServer, dialect: str, path: str, spelled: str, headers: dict[str, str]
) -> None:
    httpserver.expect_request(spelled.replace("%2F", "/"), method="PUT", headers=headers).respond_with_json(
        {"id": "x"}
    )
    written = send(client(httpserver, dialect), path)
    assert written.exchange["path"] == spelled
    assert written.exchange["status"] == 200
    [(request, _)] = httpserver.log
    assert request.environ["RAW_URI"] == spelled
    assert request.data == b""
    assert KEY not in repr(written)


@pytest.mark.parametrize(
    ("status", "body", "code", "retryable"),
    [
        (401, {}, "unauthorized", True),
        (404, {}, "not_found", False),
        (400, {"message": "no"}, "refused", False),
        (429, {}, "throttled", True),
        (500, {"message": "x"}, "server_error", True),
        (500, {"statusCode": 500, "message": "no_streaming_capacity_in_region"}, "no_capacity", True),
        (503, {}, "server_error", True),
    ],
)
def test_what_its_refusals_mean(
    httpserver: HTTPServer, status: int, body: dict[str, Any], code: str, retryable: bool
) -> None:
    httpserver.expect_request("/v1/jobs/a/1/activate").respond_with_json(body, status=status)
    with pytest.raises(CallFailed) as failed:
        send(client(httpserver))
    assert (failed.value.error.code, failed.value.error.retryable) == (code, retryable)
    assert failed.value.exchange["error"] == code
    assert failed.value.unknown is False


def test_an_answer_that_repeats_the_key_doesn_t_get_it_into_the_record(httpserver: HTTPServer) -> None:
    httpserver.expect_request("/v1/jobs/a/1/activate").respond_with_data(f"bad key {KEY}", status=401)
    with pytest.raises(CallFailed) as failed:
        send(client(httpserver))
    assert failed.value.exchange["answer"] == "bad key ***"


def test_an_account_without_a_key_and_a_missing_setting_are_named(httpserver: HTTPServer) -> None:
    with pytest.raises(CallFailed) as failed:
        send(client(httpserver), "/accounts/other/jobs/1/activate")
    assert "MEDIAOPS_LIVE_API_KEYS has no key of the account other" in failed.value.error.detail
    with pytest.raises(CallFailed) as failed:
        send(LiveApiClient(None, {"acc": KEY}, dialect="v1"))
    assert "MEDIAOPS_LIVE_API_URL" in failed.value.error.detail


@pytest.mark.parametrize("dialect", ["v1", "v2"])
def test_a_job_is_read(httpserver: HTTPServer, dialect: str) -> None:
    job = {"id": "a/1", "static": True, "state": "waiting", "sep_state": "ready"}
    httpserver.expect_request("/v1/jobs/a/1").respond_with_json({"job": job})
    httpserver.expect_request("/v2/accounts/acc/jobs/a/1").respond_with_json(job)
    assert client(httpserver, dialect).job("acc", "a/1", timeout_s=5) == LiveJob(True, "waiting", "ready")


@pytest.mark.parametrize(
    ("sep_state", "activated", "deactivated"),
    [
        ("none", False, True),
        ("waiting", False, True),
        ("pending_activation", True, False),
        ("activation_in_progress", True, False),
        ("ready", True, False),
        ("pending_deactivation", False, True),
        ("deactivation_in_progress", False, True),
        ("cancelled", False, True),
        ("finished", False, True),
        ("something new", False, False),
    ],
)
def test_when_nothing_is_left_to_do(sep_state: str, activated: bool, deactivated: bool) -> None:
    job = LiveJob(True, "waiting", sep_state)
    assert (job.shows(Action.ACTIVATE), job.shows(Action.DEACTIVATE)) == (activated, deactivated)


# The way of an attempt ----------------------------------------------------------------------------

OK = Written(conflict=False, exchange={"status": 200})


def failed(code: str, *, unknown: bool = False, **error: Any) -> CallFailed:
    return CallFailed(AttemptError(code, "why", **error), unknown=unknown, exchange={"error": code})


REFUSED = failed("refused", status=409, retryable=False)
LOST = failed("timeout", unknown=True, destination_fault=True)
AWAY = failed("server_error", status=503, destination_fault=True)


def reads(sep_state: str) -> Reading:
    return Reading({"job": {"static": True, "sep_state": sep_state}}, "", {"job": sep_state})


@pytest.mark.parametrize(
    ("action", "answer", "look", "code", "unknown"),
    [
        ("activate", OK, None, None, False),
        ("activate", AWAY, None, "server_error", False),
        ("activate", REFUSED, reads("ready"), None, False),  # it is active already
        ("activate", REFUSED, reads("waiting"), "refused", False),
        ("deactivate", REFUSED, reads("waiting"), None, False),  # it has switched itself off
        ("deactivate", REFUSED, reads("ready"), "refused", False),
        ("activate", LOST, reads("pending_activation"), None, False),
        ("activate", LOST, reads("waiting"), "timeout", True),
        ("activate", LOST, AWAY, "timeout", True),
    ],
)
def test_an_attempt(
    action: str,
    answer: Written | CallFailed,
    look: Reading | CallFailed | None,
    code: str | None,
    unknown: bool,
) -> None:
    path = f"{PATH}/{action}"
    steps: list[Any] = [(Begin(), Sending()), (Send("PUT", path, Sending(), share=SHARE), answer)]
    if look is not None:
        steps.append((Read(PATH), look))
    ending = run(path, steps)
    assert isinstance(ending, AttemptResult)
    assert (ending.error.code if ending.error else None) == code
    assert (ending.error is not None and ending.error.unknown is not None) is unknown


def test_nothing_is_sent_where_the_store_says_no() -> None:
    assert run(ACTIVATE, [(Begin(), None)]) == Closed("nothing_to_send")


def run(path: str, steps: list[Any]) -> Ending:
    return follow(LiveApiWay().send(claim(method="PUT", path=path)), steps)
