"""What Flower shows of real processes at work, by its task events and by its own search."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from app.local.layout import free_port
from tests.integration.plan import Match, soon
from tests.support.callers import eventually
from tests.support.deployment import QUICK, TENANT, Deployment
from tests.support.events import EventLog
from tests.support.processes import ROOT

pytestmark = [pytest.mark.processes, pytest.mark.slow, pytest.mark.timeout(300)]
PASSWORD = "flower-password"


@pytest.fixture(scope="module")
def deployment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    # Failures are to be seen one by one: no breaker holds them back.
    with Deployment(
        tmp_path_factory.mktemp("flower"), **QUICK, MEDIAOPS_BREAKER_THRESHOLD="100"
    ) as deployment:
        yield deployment


@pytest.fixture
def events(deployment: Deployment) -> Iterator[EventLog]:
    log = EventLog(deployment.server.broker_url, f"{TENANT}:").start()
    yield log
    log.stop()


def tasks(events: EventLog) -> dict[str, dict[str, Any]]:
    """Task id → all that its events say; `kinds` in their order."""
    found: dict[str, dict[str, Any]] = {}
    for event in events.all():
        if event["type"].startswith("task-"):
            task = found.setdefault(event["uuid"], {"kinds": []})
            task["kinds"].append(event["type"].removeprefix("task-"))
            task |= event
    return found


def about(events: EventLog, name: str) -> list[dict[str, Any]]:
    """Tasks of which Flower's search would find this among the arguments."""
    return [task for task in tasks(events).values() if name in task["args"]]


def ended(events: EventLog, name: str, kind: str) -> list[dict[str, Any]]:
    return [task for task in about(events, name) if task["kinds"][-1] == kind]


def test_arguments_and_results_name_the_match_and_what_is_sent(
    deployment: Deployment, events: EventLog
) -> None:
    match = Match(deployment.api).in_step()
    title = match.event()["name"]
    eventually(lambda: len(ended(events, title, "succeeded")) == 4, what="the events of two chains")
    lines = {f"{kind} of {title} (PATCH {match.media})" for kind in ("booking", "source")}
    shown = {(task["name"], task["args"], task["result"]) for task in about(events, title)}
    assert shown == {
        (name, line, f"{result}: {line}")
        for line in lines
        for name, result in (
            ("live.get_last_modified", "read"),
            ("live.send_patch", "delivered"),
        )
    }


def test_a_delivery_that_fails_is_a_retry_with_its_reason_and_one_that_is_rejected_a_failure(
    deployment: Deployment, events: EventLog
) -> None:
    match = Match(deployment.api).in_step()
    title = match.event()["name"]
    deployment.avos.fault("status", media=match.media, status=500, on="patch")
    match.move(soon(hours=7))
    eventually(lambda: ended(events, title, "retried"), what="a retry")
    [*_, task] = ended(events, title, "retried")
    assert task["kinds"] == ["received", "started", "retried"]
    assert task["name"] == "live.send_patch"
    assert task["exception"].startswith("server_error: AVOS answered 500.")
    assert "tried again after" in task["exception"]
    assert "Traceback" not in str(task["traceback"])

    deployment.avos.fault("status", media=match.media, status=500, on="get")
    eventually(
        lambda: [t for t in ended(events, title, "retried") if t["name"] == "live.get_last_modified"],
        what="a retry whose GET has failed",
    )

    deployment.avos.well(match.media)
    deployment.avos.fault("status", media=match.media, status=400, on="patch")
    match.move(soon(hours=8))
    eventually(lambda: ended(events, title, "failed"), what="a failure")
    [*_, task] = ended(events, title, "failed")
    assert task["exception"].startswith("rejected, a person must look: ")
    deployment.avos.well(match.media)


def test_one_that_is_superseded_says_so(deployment: Deployment, events: EventLog) -> None:
    match = Match(deployment.api).in_step()
    title = match.event()["name"]
    deployment.avos.control(latencyMs={"get": 500})
    first = match.move(soon(hours=7))
    eventually(lambda: about(events, title), what="the first to begin")
    match.move(soon(hours=8))
    deployment.avos.control(latencyMs=0)
    deployment.api.all_become(first, "superseded")
    line = f"booking of {title} (PATCH {match.media})"
    eventually(
        lambda: [
            t for t in about(events, title) if t.get("result") == f"superseded by a newer request: {line}"
        ],
        what="the events of the superseded one",
    )


def test_a_tick_without_work_is_not_a_task_and_the_retry_is(deployment: Deployment, events: EventLog) -> None:
    deployment.settle()
    before = len(tasks(events))
    eventually(
        lambda: len([t for t in tasks(events).values() if t.get("name") == "ticks.retry_failed"]) >= 4,
        what="four retries",
    )
    names = Counter(task["name"] for task in list(tasks(events).values())[before:])
    assert set(names) <= {"ticks.retry_failed", "ticks.audit_consumers"}, names
    one = next(task for task in tasks(events).values() if task.get("name") == "ticks.retry_failed")
    assert one["kinds"] == ["received", "started", "succeeded"]
    assert one["result"] == "0 expired, 0 due again, 0 promoted"


def test_no_event_is_sent_for_a_task_that_did_not_run(deployment: Deployment, events: EventLog) -> None:
    matches = [Match(deployment.api, kick_off=soon(hours=6)).in_step() for _ in range(4)]
    deployment.avos.control(latencyMs={"get": 100, "patch": 100})
    for number in range(6):
        for match in matches:
            match.move(soon(hours=6, seconds=number + 1))
        deployment.parts["live1" if number % 2 else "live2"].kill()
        deployment.wait_ready("live1", "live2")
    deployment.avos.control(latencyMs=0)
    deployment.settle()
    for task in tasks(events).values():
        assert task["kinds"][:2] == ["received", "started"], task


def test_flowers_search_finds_a_match_by_its_name(deployment: Deployment, tmp_path: Path) -> None:
    port = free_port()
    environ = deployment._environment() | {
        "MEDIAOPS_FLOWER_PORT": str(port),
        "MEDIAOPS_FLOWER_PASSWORD": PASSWORD,
    }
    with (tmp_path / "flower.log").open("wb") as log:
        command = [sys.executable, "-m", "workers.flower"]
        flower = subprocess.Popen(command, cwd=ROOT, env=environ, stdout=log, stderr=subprocess.STDOUT)
    try:
        url, auth = f"http://127.0.0.1:{port}", ("operator", PASSWORD)

        def up() -> bool:
            try:
                return requests.get(f"{url}/api/workers", auth=auth, timeout=5).status_code == 200
            except requests.RequestException:
                return False

        eventually(up, what="Flower")

        def found(text: str) -> dict[str, Any]:
            answer = requests.get(f"{url}/api/tasks", params={"search": text}, auth=auth, timeout=10)
            tasks: dict[str, Any] = answer.json()
            return tasks

        def listens() -> bool:
            Match(deployment.api).in_step()
            return bool(found('"booking"'))

        # Its pages answer before it hears of tasks, and what it hasn't heard it never shows.
        eventually(listens, what="Flower to hear of tasks")
        match, other = Match(deployment.api).in_step(), Match(deployment.api).in_step()
        title = match.event()["name"]
        eventually(lambda: len(found(f'"{title}"')) == 4, what="the match to be found")
        eventually(
            lambda: len(found(f'"{other.media}"')) == 4, what="the other one's content media to be found"
        )
        assert len(found('"nobody plays this"')) == 0
    finally:
        flower.terminate()
        flower.wait(30)
