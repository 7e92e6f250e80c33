"""The stand-in of the Live API: states over time, both dialects, faults. Its clock is moved by the test."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import requests

from deploy.simulators.live import LiveStandIn
from deploy.simulators.live.service import LiveService
from deploy.simulators.parts.journal import Journal
from tests.support.wait import until

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
    states = []
    for second in (60, 61, 62, 69, 70):
        clock.now = 1000 + second
        states.append(sep_state(live))
    assert states == ["pending_deactivation"] * 2 + ["deactivation_in_progress"] * 2 + ["waiting"]
    assert call(live, "PUT", "/v1/jobs/a/deactivate")[0] == 400
    applied = [
        (one["action"], one["applied"], one["before"], one["after"])
        for one in live.journal()
        if one["action"]
    ]
    assert applied == [
        ("activate", True, "waiting", "pending_activation"),
        ("activate", False, "ready", "ready"),
        ("deactivate", True, "ready", "pending_deactivation"),
        ("deactivate", False, "waiting", "waiting"),
    ]


def test_what_no_encoder_feeds_switches_itself_off(live: LiveStandIn, clock: Clock) -> None:
    for job in ("a", "fed"):
        call(live, "PUT", f"/v1/jobs/{job}/activate")
    live.job("fed", encoder=True)
    clock.now += 1799
    assert call(live, "GET", "/v1/jobs/a")[1]["job"]["sep_state"] == "ready"
    clock.now += 1
    assert call(live, "GET", "/v1/jobs/a")[1]["job"]["sep_state"] == "pending_deactivation"
    clock.now += 10
    assert call(live, "PUT", "/v1/jobs/a/deactivate")[0] == 400, "it is inactive already"
    assert live.journal()[-1]["before"] == "waiting"
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


# Of one job: (seconds since the start, the call or control call, the status, its state, its entry point's state) in turn.
STORIES: Mapping[str, list[tuple[float, str, int, str, str]]] = {
    "an encoder that has stopped doesn't switch it off": [
        (0, "activate", 200, "standby", "pending_activation"),
        (30, "encoder on", 200, "standby", "activation_in_progress"),
        (100, "look", 200, "processing", "ready"),
        (3000, "encoder off", 200, "disconnected", "ready"),
        (9000, "deactivate", 200, "finishing", "pending_deactivation"),
        (9010, "look", 200, "standby", "waiting"),
    ],
    "an encoder that starts too late revives nothing": [
        (0, "activate", 200, "standby", "pending_activation"),
        (1801, "encoder on", 200, "standby", "pending_deactivation"),
        (1900, "look", 200, "standby", "waiting"),
        (1900, "activate", 200, "standby", "pending_activation"),
        (3800, "look", 200, "processing", "ready"),
    ],
    "it can be activated again while it is being deactivated": [
        (0, "activate", 200, "standby", "pending_activation"),
        (5, "deactivate", 200, "standby", "pending_deactivation"),
        (6, "deactivate", 400, "standby", "pending_deactivation"),
        (8, "activate", 200, "standby", "pending_activation"),
        (9, "activate", 400, "standby", "pending_activation"),
        (68, "look", 200, "waiting", "ready"),
    ],
    "it has switched itself off at its time, whenever that is seen": [
        (0, "activate", 200, "standby", "pending_activation"),
        (1809, "look", 200, "standby", "deactivation_in_progress"),
    ],
    "it switches itself off once for each activation": [
        (0, "activate", 200, "standby", "pending_activation"),
        (1799, "deactivate", 200, "standby", "pending_deactivation"),
        (1800, "activate", 200, "standby", "pending_activation"),
        (3599, "look", 200, "waiting", "ready"),
        (3600, "look", 200, "standby", "pending_deactivation"),
    ],
}


@pytest.mark.parametrize("name", STORIES)
def test_states_over_time(name: str) -> None:
    clock = Clock()
    service = LiveService(Journal(), clock=clock)
    for at, what, status, state, sep_state in STORIES[name]:
        clock.now = 1000 + at
        assert asked(service, what) == status
        shown = service.state("a")
        assert shown is not None
        assert (at, shown["state"], shown["sep_state"]) == (at, state, sep_state)


def asked(service: LiveService, what: str) -> int | None:
    if what.startswith("encoder"):
        body = json.dumps({"on": what.endswith("on")}).encode()
        return service.control("PUT", "/_encoder/a", body).status
    if what == "look":
        return service.control("GET", "/_state/a", b"").status
    return service.handle(service.arrive("PUT", f"/v1/jobs/a/{what}", b""), {}).status


def test_times_are_set_by_switches_for_all_or_one(live: LiveStandIn, clock: Clock) -> None:
    live.control(readyS=0, stoppedS=0, selfStopS=5)
    live.control("slow", readyS=10, stoppedS=20)
    for job in ("a", "slow"):
        call(live, "PUT", f"/v1/jobs/{job}/activate")
    assert (sep_state(live), sep_state(live, "slow")) == ("ready", "pending_activation")
    clock.now += 5
    assert (sep_state(live), sep_state(live, "slow")) == ("waiting", "pending_deactivation")


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("PUT", "/_jobs/a", {"static": "no"}, 400),
        ("PUT", "/_jobs/a", {"group": 5}, 400),
        ("PUT", "/_jobs/a", {"colour": "red"}, 400),
        ("PUT", "/_jobs/a", 5, 400),
        ("PUT", "/_jobs/", {}, 404),
        ("PUT", "/_jobs/a%2Fb", {"group": None}, 200),
        ("GET", "/_state/a", None, 404),
        ("PUT", "/_encoder/a", {}, 404),
        ("PUT", "/_control", {"global": {"faults": [{"kind": "conflict"}]}}, 400),
        ("PUT", "/_control", {"global": {"faults": [{"kind": "edit"}]}}, 400),
        ("PUT", "/_control", {"contentMedia": {}}, 400),
        ("PUT", "/_control", {"global": {"capacity": True}}, 400),
    ],
)
def test_what_control_calls_answer(method: str, path: str, body: Any, status: int) -> None:
    service = LiveService(Journal())
    assert (
        service.control(method, path, json.dumps(body).encode() if body is not None else b"").status == status
    )
    assert service.state("a") is None, "what is refused makes no job"


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/v1/jobs/a/activate", 405),
        ("PUT", "/v1/jobs/a", 405),
        ("POST", "/v1/jobs/a/activate", 405),
        ("PUT", "/v1/jobs/a/start", 404),
        ("PUT", "/v2/accounts/x/jobs/a/activate", 404),
        ("PUT", "/v1/jobs/live/activate", 400),
        ("PUT", "/v2/accounts/x/jobs/live/stop", 400),
    ],
)
def test_what_is_refused_changes_nothing(method: str, path: str, status: int) -> None:
    service = LiveService(Journal(), clock=Clock())
    service.set_job("live", {"static": False})
    answer = service.handle(service.arrive(method, path, b""), {})
    assert answer.status == status
    assert service.journal.entries[-1].applied is False
    assert all(not job.on for job in service.jobs.values())


def test_a_group_s_jobs_are_switched_together(live: LiveStandIn) -> None:
    for job in ("a", "b"):
        live.job(job, group="g")
    assert call(live, "PUT", "/v1/jobs/g/activate") == (200, {"id": "g"})
    assert (sep_state(live, "a"), sep_state(live, "b")) == ("pending_activation", "pending_activation")


def test_of_a_group_only_those_are_switched_that_are_not_so_yet(live: LiveStandIn, clock: Clock) -> None:
    for job in ("a", "b"):
        live.job(job, group="g")
    live.control(capacity=2)
    call(live, "PUT", "/v1/jobs/a/activate")
    clock.now += 60
    shown = call(live, "GET", "/v1/jobs/g")[1]["job"]
    assert (shown["id"], shown["sep_state"]) == ("g", "waiting"), "not all of it is active"
    assert call(live, "PUT", "/v1/jobs/g/activate")[0] == 200, "one more is within the capacity"
    assert (sep_state(live, "a"), sep_state(live, "b")) == ("ready", "pending_activation")
    entry = live.journal()[-1]
    assert (entry["before"], entry["after"]) == ("ready,waiting", "pending_activation,ready")
    assert call(live, "PUT", "/v1/jobs/g/activate")[0] == 400


def test_who_may_call_and_what_there_is(live: LiveStandIn) -> None:
    assert call(live, "GET", "/v1/jobs/a", key="wrong")[0] == 401
    assert call(live, "GET", "/v2/accounts/acc/jobs/a", key="wrong")[1]["error_code"] == "UNAUTHORIZED"
    for path, headers in (
        ("/v1/jobs/a", {"Authorization": f"Bearer {KEY}"}),
        ("/v1/jobs/a", {"X-API-KEY": f"Bearer {KEY}"}),
        ("/v2/accounts/acc/jobs/a", {"X-API-KEY": KEY}),
    ):
        assert requests.get(live.url + path, headers=headers, timeout=5).status_code == 401, "the other's key"
    live.control(mustBeKnown=True)
    assert call(live, "GET", "/v1/jobs/a")[0] == 404
    live.job("a", static=False)
    assert call(live, "GET", "/v1/jobs/a")[1]["job"]["static"] is False
    assert call(live, "PUT", "/v1/jobs/a/activate") == (
        400,
        {"statusCode": 400, "message": "the job isn't static"},
    )
    assert call(live, "GET", "/v3/jobs")[0] == 404


def test_too_many_at_once(live: LiveStandIn, clock: Clock) -> None:
    live.control(capacity=1)
    assert call(live, "PUT", "/v1/jobs/a/activate")[0] == 200
    status, body = call(live, "PUT", "/v1/jobs/b/activate")
    assert (status, body["statusCode"]) == (500, 500)
    assert "no_streaming_capacity_in_region" in body["message"]
    status, body = call(live, "PUT", "/v2/accounts/acc/jobs/b/start")
    assert (status, body["status"]) == (500, 500)
    assert "no_streaming_capacity_in_region" in body["message"]
    call(live, "PUT", "/v1/jobs/a/deactivate")
    assert call(live, "PUT", "/v1/jobs/b/activate")[0] == 200
    clock.now += 1800
    assert call(live, "PUT", "/v1/jobs/c/activate")[0] == 200, "b, which nobody has asked for, is off"


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


def test_a_refusal_says_when_to_try_again(live: LiveStandIn) -> None:
    live.fault("status", status=429, retryAfter=7)
    for path in ("/v1/jobs/a", "/v2/accounts/acc/jobs/a"):
        headers = {"X-API-KEY": KEY, "Authorization": f"Bearer {KEY}"}
        answer = requests.get(live.url + path, headers=headers, timeout=5)
        assert (answer.status_code, answer.headers["Retry-After"]) == (429, "7")


def test_the_journal_says_when_what_was_late_was_carried_out(live: LiveStandIn) -> None:
    live.fault("late", job="a", intervalMs=100, next=1)
    with pytest.raises(requests.ConnectionError):
        call(live, "PUT", "/v1/jobs/a/activate")
    until(lambda: live.journal()[-1]["applied"], what="the late call")
    entry = live.journal()[-1]
    assert entry["appliedAt"] - entry["arrived"] >= 0.1
    assert entry["appliedWall"] >= entry["arrivedWall"]
    assert (entry["answered"], entry["fault"], entry["after"]) == (None, "late", "pending_activation")


def test_it_can_be_down_and_comes_back_by_itself(live: LiveStandIn) -> None:
    live.control(down="refuse", downForS=0.2)
    with pytest.raises(requests.ConnectionError):
        call(live, "GET", "/v1/jobs/a")

    def answers() -> bool:
        try:
            return call(live, "GET", "/v1/jobs/a")[0] == 200
        except requests.ConnectionError:
            return False

    until(answers, what="the stand-in to be up again")


def test_as_a_process_it_says_where_it_listens_and_keeps_a_journal(tmp_path: Path) -> None:
    port_file, journal, keys = tmp_path / "port", tmp_path / "journal", tmp_path / "keys"
    keys.write_text("acc=one, other=two,\n")
    command = [sys.executable, "-m", "deploy.simulators.live", "--port", "0", "--port-file", str(port_file)]
    command += ["--journal", str(journal), "--keys-file", str(keys), "--auth-header", "X-Key"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stderr is not None
            assert json.loads(process.stderr.readline())["event"] == "Live API stand-in listens"
            url = f"http://127.0.0.1:{port_file.read_text()}/v1/jobs/a/activate"
            statuses = [
                requests.put(url, headers={"X-Key": key}, timeout=5).status_code
                for key in ("", "three", "two", "one")
            ]
            process.terminate()
            assert process.wait(10) == 0
        finally:
            process.kill()
    assert statuses == [401, 401, 200, 400]
    lines = [json.loads(line) for line in journal.read_text().splitlines()]
    assert [(one["status"], one["applied"]) for one in lines] == [
        (401, False), (401, False), (200, True), (400, False),
    ]  # fmt: skip
