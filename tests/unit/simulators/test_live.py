"""The stand-in of the Live API: states over time, both dialects, faults. Its clock is moved by the test."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import requests

from deploy.simulators.live import LiveStandIn

KEY = "the-key"


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def live(clock: Clock) -> Iterator[LiveStandIn]:
    with LiveStandIn(key=KEY, clock=clock) as live:
        yield live


def call(live: LiveStandIn, method: str, path: str, key: str = KEY) -> tuple[int, Any]:
    headers = {"Authorization": f"Bearer {key}"} if path.startswith("/v2") else {"X-API-KEY": key}
    answer = requests.request(method, live.url + path, headers=headers, timeout=5)
    return answer.status_code, answer.json()


def sep_state(live: LiveStandIn, job: str = "a") -> str:
    state = live.state(job)
    assert state is not None
    return str(state["sep_state"])


def test_a_job_is_activated_becomes_ready_and_is_deactivated(live: LiveStandIn, clock: Clock) -> None:
    assert call(live, "GET", "/v1/jobs/a") == (
        200,
        {
            "job": {
                "id": "a",
                "static": True,
                "state": "standby",
                "sep_state": "waiting",
                "redundant_group": None,
            }
        },
    )
    assert call(live, "PUT", "/v1/jobs/a/activate") == (200, {"id": "a"})
    states = []
    for second in (0, 11, 12, 59, 60):
        clock.now = 1000 + second
        states.append(sep_state(live))
    assert states == ["pending_activation"] * 2 + ["activation_in_progress"] * 2 + ["ready"]
    assert call(live, "PUT", "/v1/jobs/a/activate")[0] == 400, "it is active already"
    assert call(live, "PUT", "/v1/jobs/a/deactivate") == (200, {"id": "a"})
    assert sep_state(live) == "waiting"
    assert call(live, "PUT", "/v1/jobs/a/deactivate")[0] == 400
    applied = [
        (one["action"], one["applied"], one["before"], one["after"])
        for one in live.journal()
        if one["action"]
    ]
    assert applied == [
        ("activate", True, "waiting", "pending_activation"),
        ("activate", False, "ready", "ready"),
        ("deactivate", True, "ready", "waiting"),
        ("deactivate", False, "waiting", "waiting"),
    ]


def test_what_no_encoder_feeds_switches_itself_off(live: LiveStandIn, clock: Clock) -> None:
    for job in ("a", "fed"):
        call(live, "PUT", f"/v1/jobs/{job}/activate")
    live.job("fed", encoder=True)
    clock.now += 1799
    assert call(live, "GET", "/v1/jobs/a")[1]["job"]["sep_state"] == "ready"
    clock.now += 1
    assert call(live, "GET", "/v1/jobs/a")[1]["job"]["sep_state"] == "waiting"
    assert call(live, "GET", "/v1/jobs/fed")[1]["job"]["state"] == "processing"


def test_the_second_dialect_switches_the_same_jobs(live: LiveStandIn) -> None:
    assert call(live, "PUT", "/v2/accounts/acc/jobs/a/start") == (200, {"id": "a"})
    assert call(live, "GET", "/v1/jobs/a")[1]["job"]["sep_state"] == "pending_activation"
    assert call(live, "PUT", "/v2/accounts/acc/jobs/a/start") == (
        400,
        {
            "error_code": "BAD_REQUEST",
            "message": "the job is active already",
            "status": 400,
            "sub_code": "bad_request",
        },
    )
    assert call(live, "PUT", "/v2/accounts/acc/jobs/a/stop")[0] == 200
    assert [one["dialect"] for one in live.journal()] == ["v2", "v1", "v2", "v2"]


def test_a_group_s_jobs_are_switched_together(live: LiveStandIn) -> None:
    for job in ("a", "b"):
        live.job(job, group="g")
    assert call(live, "PUT", "/v1/jobs/g/activate") == (200, {"id": "g"})
    assert (sep_state(live, "a"), sep_state(live, "b")) == ("pending_activation", "pending_activation")


def test_who_may_call_and_what_there_is(live: LiveStandIn) -> None:
    assert call(live, "GET", "/v1/jobs/a", key="wrong")[0] == 401
    assert call(live, "GET", "/v2/accounts/acc/jobs/a", key="wrong")[1]["error_code"] == "UNAUTHORIZED"
    live.control(mustBeKnown=True)
    assert call(live, "GET", "/v1/jobs/a")[0] == 404
    live.job("a", static=False)
    assert call(live, "GET", "/v1/jobs/a")[1]["job"]["static"] is False
    assert call(live, "PUT", "/v1/jobs/a/activate") == (
        400,
        {"statusCode": 400, "message": "the job isn't static"},
    )
    assert call(live, "GET", "/v3/jobs")[0] == 404


def test_too_many_at_once(live: LiveStandIn) -> None:
    live.control(capacity=1)
    assert call(live, "PUT", "/v1/jobs/a/activate")[0] == 200
    status, body = call(live, "PUT", "/v1/jobs/b/activate")
    assert (status, body["statusCode"]) == (500, 500)
    assert "no_streaming_capacity_in_region" in body["message"]
    call(live, "PUT", "/v1/jobs/a/deactivate")
    assert call(live, "PUT", "/v1/jobs/b/activate")[0] == 200


def test_faults_by_switch(live: LiveStandIn) -> None:
    live.fault("status", job="a", status=503, next=1)
    assert call(live, "PUT", "/v1/jobs/a/activate")[0] == 503
    assert call(live, "PUT", "/v1/jobs/a/activate")[0] == 200
    live.fault("reset", job="b", when="after", next=1)
    with pytest.raises(requests.ConnectionError):
        call(live, "PUT", "/v1/jobs/b/activate")
    assert sep_state(live, "b") == "pending_activation"
    assert [one["fault"] for one in live.journal()] == ["status", None, "reset"]
    assert requests.put(f"{live.url}/_control", json={"global": {"readyS": -1}}, timeout=5).status_code == 400
