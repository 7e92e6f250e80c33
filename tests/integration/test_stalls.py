"""The watch on real processes: a queue that nobody consumes, workers that are connected and silent, a beat that stopped."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from celery import Celery

from app.cli.checks import check_work
from app.http.factory import create_app
from app.local.programs import beat_command, worker_command
from app.packages import build
from app.platform.dispatch import EVENTS
from app.platform.keys import Keys
from app.settings import Settings
from app.watch.canaries import Canaries
from app.watch.evaluation import Report
from tests.support.callers import eventually
from tests.support.processes import Part
from tests.support.server import RealServer
from tests.support.worker import ROOT

pytestmark = [pytest.mark.slow, pytest.mark.processes, pytest.mark.timeout(300)]
HOST = socket.gethostname()
Start = Callable[..., Part]


@pytest.fixture
def environ(own_server: RealServer, tenant: str, tmp_path: Path) -> dict[str, str]:
    return {
        "MEDIAOPS_REDIS_URL": own_server.url,
        "MEDIAOPS_TENANT": tenant,
        "MEDIAOPS_DATA_DIR": str(tmp_path / "data"),
        # A worker counts as silent after fifteen seconds and three attempts.
        "MEDIAOPS_AVOS_TIMEOUT_S": "0.5",
    }


@pytest.fixture
def settings(environ: dict[str, str]) -> Settings:
    return Settings.load(environ)


@pytest.fixture
def start(environ: dict[str, str], tmp_path: Path) -> Iterator[Start]:
    """Starts workers and beat; all at once, they are waited for by what the watch knows."""
    parts: list[Part] = []

    def begin(name: str, command: list[str]) -> Part:
        given = {**os.environ, **environ, "PYTHONPATH": str(ROOT)}
        part = Part(name, command, given, tmp_path / f"{name}.log", lambda _: True)
        part.start()
        parts.append(part)
        return part

    yield begin
    for part in parts:
        part.ask_to_stop()
    for part in parts:
        part.wait_stopped()


def stuck_command(name: str) -> list[str]:
    command = worker_command(name, "live", 1)
    command[command.index("workers.app")] = "tests.support.stuck_app"
    return command


def test_who_stands_still_is_seen_and_what_has_to_be_ended_is_ended(
    start: Start, settings: Settings, environ: dict[str, str]
) -> None:
    system = build(settings)

    def when(condition: Callable[[Report], bool], what: str) -> Report:
        seen: list[Report] = []

        def there() -> bool:
            seen[:] = [system[Canaries].report()]
            return condition(seen[0])

        try:
            eventually(there, timeout_s=90, what=what)
        except AssertionError as error:
            raise AssertionError(f"{error}: {seen}") from None
        return seen[0]

    parts = {
        name: start(name, worker_command(name, name.rstrip("2"), 2)) for name in ("pending", "ticks", "live2")
    }
    parts["deliveries"] = start("deliveries", worker_command("deliveries", ",".join(EVENTS), 2))
    parts["live"] = start("live", stuck_command("live"))
    parts["beat"] = start("beat", beat_command())
    every = {f"{name}@{HOST}" for name in parts if name != "beat"}
    found = when(
        lambda report: (
            set(report.workers) == every
            and bool(report.beats)
            and all(queue.latency_s is not None for queue in report.queues.values())
        ),
        "every process to be known and every queue's canary to be run",
    )
    assert found.silent == []
    assert [one for one in check_work(settings) if one.state != "ok"] == []

    # Nobody consumes `pending`; one live process is frozen; the other's only thread never comes back.
    parts["pending"].stop()
    parts["live2"].freeze()
    hang(settings, f"live@{HOST}")
    found = when(
        lambda report: (
            report.silent == [f"live2@{HOST}", f"live@{HOST}"]
            and report.queues["pending"].stalled
            and report.queues["live"].stalled
        ),
        "them to be seen",
    )
    assert found.queues["pending"].workers == ()
    assert found.queues["live"].silent == (f"live2@{HOST}", f"live@{HOST}")
    assert not found.queues["ticks"].stalled
    wrong = {one.what: one for one in check_work(settings) if one.state != "ok"}
    assert set(wrong) == {"canary pending", "canary live", f"worker live@{HOST}", f"worker live2@{HOST}"}
    assert "nobody consumes" in wrong["canary pending"].detail
    with create_app(system).test_client() as client:
        ready = client.get("/readyz")
        assert ready.status_code == 200  # the API goes on accepting
        assert ready.json is not None
        assert ready.json["checks"]["work"]["ok"] is False
        assert ready.json["checks"]["workers"][f"live2@{HOST}"]["ok"] is False
        metrics = client.get("/metrics").text
    assert f'mediaops_process_silent{{process="live2@{HOST}"}} 1.0' in metrics
    assert 'mediaops_queue_stalled{queue="pending"} 1.0' in metrics
    assert "mediaops_silent_processes 2.0" in metrics
    # At most one canary waits in a queue, however long.
    queues = ("pending", "live", f"live@{HOST}.dq2", f"live2@{HOST}.dq2")
    assert max(int(system.redis.llen(f"{settings.tenant}:{name}")) for name in queues) == 1

    # The stuck one answers Celery's ping; the container's health check ends it all the same.
    assert health("live", environ) == (1, False)
    assert parts["live"].alive
    code, ended = health("--end-silent", "live", environ)
    assert (code, ended) == (1, True)
    eventually(lambda: not parts["live"].alive, what="the stuck worker to end")
    parts["live"].start()
    parts["live2"].thaw()
    parts["pending"].start()
    found = when(
        lambda report: not report.silent and not any(queue.stalled for queue in report.queues.values()),
        "all to be well again",
    )

    # Beat stops: nothing else tells of it.
    parts["beat"].freeze()
    found = when(lambda report: report.silent == [f"beat@{HOST}"], "the silent beat to be seen")
    assert next(one.what for one in check_work(settings) if one.state != "ok") == "beat"
    assert health("--end-silent", "beat", environ) == (1, True)
    eventually(lambda: not parts["beat"].alive, what="the frozen beat to end")

    # What ends in order isn't missed.
    parts["beat"].start()
    when(lambda report: not report.silent, "beat to be back")
    parts["live2"].stop()
    parts["beat"].stop()
    found = system[Canaries].report()
    assert set(found.workers) == every - {f"live2@{HOST}"}
    assert found.beats == {}


def hang(settings: Settings, worker: str) -> None:
    """Give this worker, whose pool has one thread, a task that never ends."""
    celery = Celery("stalls-test", broker=settings.broker_url, set_as_current=False)
    celery.conf.broker_transport_options = {"global_keyprefix": Keys(settings.tenant).prefix}
    celery.conf.worker_direct = True
    try:
        celery.send_task("live.hang", exchange="C.dq2", routing_key=worker)
    finally:
        celery.close()


def health(*arguments: str | dict[str, str]) -> tuple[int, bool]:
    """The exit code of the container's check, and whether it has ended the process."""
    *words, environ = arguments
    assert isinstance(environ, dict)
    command = [sys.executable, "-m", "deploy.health", *map(str, words)]
    done = subprocess.run(
        command, cwd=ROOT, env={**os.environ, **environ}, capture_output=True, text=True, check=False
    )
    return done.returncode, "was ended" in done.stderr
