"""A live job is activated and deactivated on time, once: real server, API, workers and beat, and the Live API's stand-in."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any, Self

import pytest
import requests
from standardwebhooks import Webhook

from app.platform.redis import connect
from app.settings import Settings
from deploy.simulators.live import LiveStandIn
from tests.integration.served import BeatProcess, Served
from tests.support.receiver import Got, Receiver, Reply
from tests.support.server import RealServer
from tests.support.wait import until
from tests.support.worker import WorkerProcess

pytestmark = [pytest.mark.processes, pytest.mark.timeout(180)]

TOKEN, KEY, LIVE_KEY = "test-token-" + "0" * 32, "k" * 32, "key-of-the-live-api"


class Scheduler:
    """All that a workflow needs. `dialect`: of the Live API."""

    def __init__(
        self, server: RealServer, tenant: str, folder: Path, live: LiveStandIn, dialect: str
    ) -> None:
        self.live = live
        self.environ = {
            "MEDIAOPS_REDIS_URL": server.url,
            "MEDIAOPS_TENANT": tenant,
            "MEDIAOPS_DATA_DIR": str(folder / "data"),
            "MEDIAOPS_API_TOKEN": TOKEN,
            "MEDIAOPS_SCHEDULER_KEYS": f"acc={KEY}",
            "MEDIAOPS_LIVE_API_URL": live.url,
            "MEDIAOPS_LIVE_API_KEYS": f"acc={LIVE_KEY}",
            "MEDIAOPS_LIVE_API_BYPASS_PROXY": "true",
            "MEDIAOPS_LIVE_DIALECT": dialect,
            "MEDIAOPS_ALLOWED_CIDRS": "127.0.0.0/8",
            "MEDIAOPS_RETRY_INTERVAL_S": "1",
        }
        self._served = Served(Settings.load(self.environ, running=False))
        self.workers = {
            queue: WorkerProcess(
                "workers.app", f"{queue}@{tenant}", queue, self.environ, folder / f"{queue}.log"
            )
            for queue in ("pending", "live", "ticks")
        }
        self._beat = BeatProcess(self.environ, folder / "beat.log")

    def __enter__(self) -> Self:
        self.url = self._served.start()
        for worker in self.workers.values():
            worker.start()
        self._beat.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._beat.stop()
        for worker in self.workers.values():
            worker.stop()
        self._served.stop()

    def call(self, method: str, path: str = "", body: Any = None) -> requests.Response:
        url = f"{self.url}/v1/scheduler/jobstartstop{path}"
        return requests.request(method, url, json=body, headers={"X-API-KEY": KEY}, timeout=10)

    def create(self, job: str, begins_s: int, lasts_s: int, **more: Any) -> dict[str, Any]:
        now = int(time.time())
        times = {
            "activation": {"time_utc": now + begins_s},
            "deactivation": {"time_utc": now + begins_s + lasts_s},
        }
        answer = self.call("POST", "", {"job_id": job, **times, **more})
        assert answer.status_code == 200, answer.text
        made: dict[str, Any] = answer.json()
        return made

    def states(self, workflow: dict[str, Any]) -> tuple[str, str]:
        found = self.call("GET", f"/{workflow['workflow_id']}").json()
        return found["activation"]["state"], found["deactivation"]["state"]

    def actions(self, job: str) -> list[tuple[str, float]]:
        """What was carried out, and when it arrived."""
        return [
            (one["action"], one["arrivedWall"])
            for one in self.live.journal()
            if one["job"] == job and one["applied"]
        ]


@pytest.fixture(params=["v1", "v2"])
def scheduler(
    request: pytest.FixtureRequest, own_server: RealServer, tenant: str, tmp_path: Path
) -> Iterator[Scheduler]:
    with ExitStack() as stack:
        live = stack.enter_context(LiveStandIn(key=LIVE_KEY))
        yield stack.enter_context(Scheduler(own_server, tenant, tmp_path, live, request.param))


def test_workflows_fire_once_and_never_early(scheduler: Scheduler) -> None:
    with Receiver() as receiver:
        secret = requests.post(
            f"{scheduler.url}/api/custom/schedules/accounts/acc/secret/rotate",
            headers={"Authorization": f"Bearer {TOKEN}"},
            timeout=10,
        ).json()["secret"]
        made = [scheduler.create(f"job{n}", 3, 2, notification_url=receiver.url) for n in range(5)]
        cancelled = scheduler.create("cancelled", 3, 2)
        assert scheduler.call("DELETE", f"/{cancelled['workflow_id']}").status_code == 200
        again = scheduler.create("cancelled", 4, 2)
        until(
            lambda: all(scheduler.states(one) == ("finished", "finished") for one in [*made, again]),
            timeout_s=60,
        )
        for number, workflow in enumerate(made):
            actions = scheduler.actions(f"job{number}")
            assert [action for action, _ in actions] == ["activate", "deactivate"]
            for (_, at), task in zip(actions, ("activation", "deactivation"), strict=True):
                assert at >= workflow[task]["time_utc"], "never early"
        assert [action for action, _ in scheduler.actions("cancelled")] == ["activate", "deactivate"]
        assert scheduler.states(cancelled) == ("cancelled", "cancelled")
        until(lambda: len(receiver.got) >= 10, timeout_s=30, what="two notices of each workflow")
    for got in receiver.got:
        Webhook(secret).verify(got.body, dict(got.headers))
    told = [json.loads(got.body) for got in receiver.got]
    for workflow in made:
        own = [one for one in told if one["workflow"]["workflow_id"] == workflow["workflow_id"]]
        assert [one["action"] for one in own] == ["activate", "deactivate"]


def test_a_live_api_that_is_away_is_tried_again_and_a_ticker_that_dies_is_replaced(
    scheduler: Scheduler, own_server: RealServer, tenant: str
) -> None:
    scheduler.live.control(down="reset")
    workflow = None
    with pytest.raises(AssertionError, match="isn't known"):
        scheduler.create("a", 2, 60)
    scheduler.live.control(down="no")
    workflow = scheduler.create("a", 2, 60)
    scheduler.workers["ticks"].kill()
    scheduler.live.control(down="reset")
    time_of = workflow["activation"]["time_utc"]
    until(lambda: time.time() > time_of, what="the time of the activation")
    assert scheduler.actions("a") == []
    scheduler.workers["ticks"].start()
    with closing(connect(own_server.url)) as client:
        until(lambda: client.zcard(f"{tenant}:failed:live-api"), timeout_s=60, what="a try that failed")
    scheduler.live.control(down="no")
    until(lambda: scheduler.states(workflow) == ("finished", "pending"), timeout_s=60)
    assert [action for action, _ in scheduler.actions("a")] == ["activate"]


def test_a_dead_host_of_notices_delays_nobody(scheduler: Scheduler) -> None:
    def refuse(_: Got) -> Reply:
        return Reply(503)

    with Receiver() as receiver, Receiver(refuse) as dead:
        bad = scheduler.create("bad", 2, 60, notification_url=dead.url)
        good = scheduler.create("good", 2, 60, notification_url=receiver.url)
        until(lambda: receiver.got, timeout_s=60)
        until(lambda: dead.got, timeout_s=60)
        assert scheduler.states(good) == scheduler.states(bad) == ("finished", "pending")
        dead.answer = lambda _: Reply()
        seen = len(dead.got)
        until(lambda: len(dead.got) > seen, timeout_s=60, what="the notice to be sent again")
        first, *others = dead.got
        assert {one.headers["webhook-id"] for one in others} == {first.headers["webhook-id"]}
