"""`schedules` on the command line, metrics and `doctor`, against the real API and the Live API's stand-in."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from structlog.testing import capture_logs

from app.cli.root import main
from app.client import ApiClient
from app.packages import build
from app.platform.container import Container
from app.schedules.checks import check_schedules
from app.schedules.store import ScheduleStore
from app.settings import Settings
from deploy.simulators.live import LiveStandIn
from tests.integration.served import Served
from tests.support.server import RealServer

TOKEN = "test-token-" + "0" * 32
Run = Callable[..., Result]


@pytest.fixture
def given(real_server: RealServer, tenant: str, tmp_path: Path) -> Iterator[Settings]:
    with LiveStandIn(key="k") as live:
        yield Settings.load(
            {
                "MEDIAOPS_REDIS_URL": real_server.url,
                "MEDIAOPS_TENANT": tenant,
                "MEDIAOPS_DATA_DIR": str(tmp_path),
                "MEDIAOPS_API_TOKEN": TOKEN,
                "MEDIAOPS_LIVE_API_URL": live.url,
                "MEDIAOPS_LIVE_API_KEYS": "acc=k",
                "MEDIAOPS_LIVE_API_BYPASS_PROXY": "true",
            },
            running=False,
        )


@pytest.fixture
def url(given: Settings) -> Iterator[str]:
    served = Served(given)
    with capture_logs():
        yield served.start()
        served.stop()


@pytest.fixture
def run(url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    monkeypatch.setenv("MEDIAOPS_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("MEDIAOPS_API_TOKEN", TOKEN)

    def invoke(*args: str, exits: int = 0) -> Result:
        result = CliRunner().invoke(main, ["--url", url, "schedules", *args])
        assert result.exit_code == exits, result.output
        return result

    return invoke


@pytest.fixture
def system(given: Settings) -> Container:
    return build(given)


def read(result: Result) -> Any:
    return json.loads(result.stdout)


ACCOUNT = ("--account", "acc")


def test_a_workflow_on_the_command_line(run: Run) -> None:
    begins = int(time.time()) + 600
    times = ("--start", str(begins), "--stop", "2099-01-01T00:00:00Z")
    made = read(run("create", *ACCOUNT, "--job", "j1", *times, "--catch-up", "60", "--json"))
    assert (made["catchUp"], made["deactivation"]["time_utc"]) == (60, 4_070_908_800)
    name = made["workflow_id"]
    assert read(run("list", *ACCOUNT, "--state", "pending", "--json")) == [made]
    assert name in run("list", *ACCOUNT).stdout
    assert "j1" in run("show", *ACCOUNT, name).stdout
    [first] = read(run("preview", "--hours", "1", "--json"))
    assert (first["what"], first["workflow"]["workflow_id"]) == ("activation", name)
    assert "activation" in run("preview").stdout
    moved = read(run("move", *ACCOUNT, name, "--start", str(begins + 60), "--json"))
    assert moved["activation"]["time_utc"] == begins + 60
    assert "cancelled" in run("cancel", *ACCOUNT, name).stdout
    again = run("cancel", *ACCOUNT, name, exits=1)
    assert "Nothing of this workflow is pending any more." in again.output


def test_mistakes_are_named(run: Run) -> None:
    assert "Give --start, --stop or both." in run("move", *ACCOUNT, "0" * 32, exits=2).output
    assert (
        "RFC 3339" in run("create", *ACCOUNT, "--job", "j", "--start", "soon", "--stop", "1", exits=2).output
    )
    past = run("create", *ACCOUNT, "--job", "j", "--start", "1", "--stop", "2", exits=1)
    assert "The activation lies in the past." in past.output


def test_many_workflows_come_page_by_page(run: Run, url: str) -> None:
    client = ApiClient(url, TOKEN)
    begins = int(time.time()) + 600
    for number in range(5):
        body = {
            "job_id": f"j{number}",
            "activation": {"time_utc": begins},
            "deactivation": {"time_utc": begins + 60},
        }
        client.post("/v1/scheduler/jobstartstop", body, params={"account_id": "acc"})
    client.close()
    assert len(read(run("list", *ACCOUNT, "--limit", "4", "--json"))) == 4


def test_metrics_and_checks_say_how_timers_stand(run: Run, url: str, system: Container) -> None:
    assert [(one.what, one.state) for one in check_schedules(system)] == [("live-api", "ok")]
    begins = int(time.time()) + 1
    times = ("--start", str(begins), "--stop", str(begins + 600))
    run("create", *ACCOUNT, "--job", "j1", *times)
    client = ApiClient(url, TOKEN)
    text = client.text("/metrics")
    assert "mediaops_schedule_timers 2.0" in text
    store = system[ScheduleStore]
    while store.fire()[0] == 0:
        time.sleep(0.01)
    text = client.text("/metrics")
    assert 'mediaops_schedule_tasks_total{outcome="fired",task="activation"} 1.0' in text
    assert 'mediaops_schedule_lateness_seconds_bucket{le="+Inf"} 1.0' in text
    assert "mediaops_schedule_timers 1.0" in text
    client.close()
    overdue = {f"activation:1:{'0' * 32}": 1}
    system.client.zadd(store.keys.timers, overdue)
    findings = {one.what: (one.state, one.detail) for one in check_schedules(system)}
    assert findings["timers"][0] == "bad"
