"""`doctor` on real parts: what runs is seen as running, and what doesn't is named."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.cli.checks import check_queues, check_redis, check_work
from app.packages import build
from app.settings import Settings
from app.watch.canaries import Canaries
from tests.integration.served import BeatProcess
from tests.support.server import RealServer
from tests.support.wait import until
from tests.support.worker import WorkerProcess

pytestmark = pytest.mark.processes


@pytest.fixture
def environ(own_server: RealServer, tenant: str, tmp_path: Path) -> dict[str, str]:
    return {
        "MEDIAOPS_REDIS_URL": own_server.url,
        "MEDIAOPS_TENANT": tenant,
        "MEDIAOPS_DATA_DIR": str(tmp_path / "data"),
    }


def test_our_own_server_is_as_it_must_be(environ: dict[str, str]) -> None:
    found = {one.what: one.state for one in check_redis(Settings.load(environ))}
    assert found == dict.fromkeys(
        ("redis", "redis version", "redis persistence", "redis memory", "clocks"), "ok"
    )


def test_a_queue_without_a_worker_and_a_missing_beat_are_named(
    environ: dict[str, str], tmp_path: Path
) -> None:
    settings = Settings.load(environ)
    assert {one.state for one in check_queues(settings)} == {"bad"}
    work = {one.what: one.state for one in check_work(settings)}
    assert (work["beat"], work["ticks"]) == ("bad", "bad")
    name = f"both@{settings.tenant}"
    worker = WorkerProcess(
        "workers.app", name, "pending,ticks", environ, tmp_path / "worker.log", concurrency=2
    )
    beat = BeatProcess(environ, tmp_path / "beat.log")
    try:
        worker.start()
        beat.start()
        found = {one.what: one for one in check_queues(settings)}
        canaries = build(settings)[Canaries]
        until(lambda: canaries.report().beats, what="beat's pulse")
        work = {one.what: one.state for one in check_work(settings)}
    finally:
        beat.stop()
        worker.stop()
    assert {what: one.state for what, one in found.items()} == {
        "queue pending": "ok", "queue live": "bad", "queue ticks": "ok",
        "queue deliveries": "bad", "queue deliveries-slow": "bad",
    }  # fmt: skip
    assert (work["beat"], work["ticks"]) == ("ok", "ok")
    assert "-Q live" in str(found["queue live"].way_out)
