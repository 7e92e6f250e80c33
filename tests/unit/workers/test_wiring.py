"""Every task that anybody sends exists, and goes to a queue that some worker consumes."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

from app import packages
from app.platform.dispatch import (
    DELIVER,
    EVENTS,
    GET_LAST_MODIFIED,
    PROMOTE,
    SEND,
    SEND_PATCH,
)
from tests.support.worker import ROOT

QUEUES = [queue.name for queue in packages.QUEUES]

_LOOK = """
import json
from workers.app import app
app.loader.import_default_modules()
route = lambda name: app.amqp.router.route({}, name)["queue"].name
tasks = [name for name in app.tasks if not name.startswith("celery.")]
print(json.dumps({
    "tasks": tasks,
    "routes": {name: route(name) for name in tasks},
    "queues": sorted(app.amqp.queues),
    "beat": {name: entry["task"] for name, entry in app.conf.beat_schedule.items()},
    "schedules": {name: entry["schedule"] for name, entry in app.conf.beat_schedule.items()},
    "conf": {name: app.conf[name] for name in (
        "accept_content", "task_acks_late", "result_backend", "task_ignore_result", "worker_pool",
        "task_create_missing_queues", "worker_send_task_events", "broker_transport_options")},
}))
"""


@pytest.fixture(scope="module")
def wiring() -> dict[str, Any]:
    """What a worker process knows; looked at in a process of its own, because Celery's settings are global."""
    environ = {"MEDIAOPS_TENANT": "wiring", "MEDIAOPS_RETRY_INTERVAL_S": "7", "PATH": ""}
    done = subprocess.run(
        [sys.executable, "-c", _LOOK], cwd=ROOT, env=environ, capture_output=True, text=True, check=True
    )
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.mark.parametrize("task", [PROMOTE, GET_LAST_MODIFIED, SEND_PATCH, SEND, DELIVER])
def test_what_the_scripts_send_is_registered_and_consumed(task: str, wiring: dict[str, Any]) -> None:
    assert wiring["routes"][task] == task.partition(".")[0]
    assert wiring["routes"][task] in QUEUES


def test_every_beat_entry_is_a_task_and_every_tick_has_an_entry(wiring: dict[str, Any]) -> None:
    ticks = {task for task in wiring["tasks"] if task.startswith("ticks.")}
    assert set(wiring["beat"].values()) == ticks
    assert {wiring["routes"][task] for task in ticks} == {"ticks"}


def test_the_retry_comes_as_often_as_it_is_set(wiring: dict[str, Any]) -> None:
    assert wiring["schedules"]["retry-failed"] == 7


def test_every_task_goes_to_a_queue_that_is_consumed(wiring: dict[str, Any]) -> None:
    # To the second queue of deliveries only scripts send.
    assert set(wiring["queues"]) == set(QUEUES) == {*wiring["routes"].values(), EVENTS[1]}


def test_messages_are_json_wake_ups_without_results(wiring: dict[str, Any]) -> None:
    conf = wiring["conf"]
    assert conf["accept_content"] == ["json"]
    assert conf["result_backend"] is None
    assert conf["task_ignore_result"]
    assert not conf["task_acks_late"]
    assert not conf["task_create_missing_queues"]
    assert conf["worker_send_task_events"]
    options = conf["broker_transport_options"]
    assert options["global_keyprefix"] == "wiring:"
    assert (options["socket_timeout"], options["max_retries"], options["ack_emulation"]) == (5, 0, False)


def test_a_worker_that_delivers_nothing_to_aws_never_loads_boto3() -> None:
    look = "import sys, workers.app, workers.container; print('boto3' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", look], cwd=ROOT, env={"PATH": ""}, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "False", "it costs each process a quarter of a second and twenty megabytes"
