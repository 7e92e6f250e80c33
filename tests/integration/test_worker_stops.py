"""Workers that are stopped in order, again and again: what they had popped is done, or goes back at once."""

from __future__ import annotations

import itertools
import json
import threading
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from redis import Redis

from app.platform.dispatch import Envelope
from app.platform.redis import connect
from tests.integration.load import Load
from tests.integration.plan import Match, soon
from tests.integration.verdicts import judgement
from tests.support.deployment import LIVE, QUICK, TENANT, Deployment
from tests.support.events import EventLog
from tests.support.server import RealServer
from tests.support.wait import until
from tests.support.worker import WorkerProcess

pytestmark = [pytest.mark.processes, pytest.mark.slow, pytest.mark.timeout(300)]


class Bench:
    """Workers of the queue `live` with few threads, and what their tasks have noted."""

    def __init__(self, client: Redis, environ: dict[str, str], folder: Path, tenant: str) -> None:
        self.client = client
        self.envelope = Envelope(tenant)
        self._environ = environ
        self._folder = folder
        self.pushed = 0

    def worker(self, name: str) -> WorkerProcess:
        log = self._folder / f"{name}.log"
        made = WorkerProcess(
            "tests.support.noting_app", f"{name}@test", "live", self._environ, log, concurrency=4
        )
        return made.start()

    def push(self, seconds: float) -> None:
        self.pushed += 1
        message = json.loads(self.envelope.canary("live", "live", 0))
        message["headers"] |= {"task": "live.note", "id": uuid.uuid4().hex}
        message["body"] = json.dumps(
            [[self.pushed, seconds], {}, {"callbacks": None, "errbacks": None, "chain": None, "chord": None}]
        )
        self.client.lpush(self.envelope.queue_key("live"), json.dumps(message))

    def noted(self) -> dict[int, int]:
        """How often each was run."""
        found: Any = self.client.hgetall(f"{self.envelope.prefix}noted")
        return {int(number): int(times) for number, times in found.items()}


@pytest.fixture
def bench(own_server: RealServer, tenant: str, tmp_path: Path) -> Iterator[Bench]:
    environ = {
        "MEDIAOPS_REDIS_URL": own_server.url,
        "MEDIAOPS_TENANT": tenant,
        "MEDIAOPS_DATA_DIR": str(tmp_path / "data"),
    }
    client = connect(own_server.url, timeout_s=10)
    yield Bench(client, environ, tmp_path, tenant)
    client.close()


def test_each_message_is_run_once_however_often_workers_are_stopped(bench: Bench) -> None:
    names = ("live1", "live2")
    workers = {name: bench.worker(name) for name in names}
    ended = threading.Event()

    def load() -> None:
        while not ended.wait(0.01):
            bench.push(0.03)

    pushing = threading.Thread(target=load)
    pushing.start()
    try:
        for name in itertools.islice(itertools.cycle(names), 10):
            workers[name].stop()
            workers[name] = bench.worker(name)
    finally:
        ended.set()
        pushing.join()
    until(lambda: bench.client.llen(bench.envelope.queue_key("live")) == 0, timeout_s=60)
    for worker in workers.values():
        worker.stop()  # what it has begun comes to its end
    assert bench.noted() == dict.fromkeys(range(1, bench.pushed + 1), 1)


def test_what_a_worker_has_not_begun_goes_back_before_it_has_ended_and_is_never_told_of(
    bench: Bench, own_server: RealServer
) -> None:
    events = EventLog(own_server.broker_url, bench.envelope.prefix).start()
    worker = bench.worker("live1")
    for _ in range(4):
        bench.push(6)
    for _ in range(3):
        bench.push(0)
    queue = bench.envelope.queue_key("live")
    until(lambda: bench.client.llen(queue) == 0, what="the worker to take them")
    assert worker.process is not None
    worker.process.terminate()
    until(lambda: bench.client.llen(queue) == 3, what="what waits behind four to come back")
    assert worker.process.poll() is None
    assert bench.noted() == {}
    worker.stop()
    assert bench.noted() == dict.fromkeys(range(1, 5), 1)
    told = [event["type"] for event in events.all() if event["type"].startswith("task-")]
    events.stop()
    assert sorted(told) == sorted(["task-received", "task-started", "task-succeeded"] * 4)
    numbers = [json.loads(json.loads(text)["body"])[0][0] for text in bench.client.lrange(queue, 0, -1)]
    assert numbers == [7, 6, 5]


def test_a_rolling_restart_under_load_costs_no_lane_its_lease(tmp_path: Path) -> None:
    with Deployment(tmp_path, **QUICK) as deployment:
        matches = [Match(deployment.api, kick_off=soon(hours=6)).in_step() for _ in range(20)]
        loads = [Load(part, pause_s=0.1).start() for part in (matches[:10], matches[10:])]
        try:
            for name in itertools.islice(itertools.cycle(LIVE), 10):
                deployment.parts[name].stop()
                deployment.parts[name].start()
                deployment.wait_ready(name)
        finally:
            for load in loads:
                load.stop()
        deployment.settle()
        assert judgement(deployment, loads) == {}
        client = connect(deployment.server.url, timeout_s=10)
        counters: Any = client.hgetall(f"{TENANT}:counters")
        client.close()
    assert b"avos:lease_lost" not in counters, "a request was claimed or popped by a worker that then ended"
    assert int(counters[b"avos:delivered"]) > 100
