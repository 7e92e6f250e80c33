"""The plain side's processes: server, Flask under gunicorn, one Celery worker with its pool. See `naive/`."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from celery import Celery, chain

from app.local.layout import free_port
from app.platform.embedded import wait_ready
from app.platform.redis import connect
from benchmarks import load
from benchmarks.processes import Memory, Program, family, stop_all, wait_until
from benchmarks.sides import BODY, of_all, server

_QUEUE: Final = "celery"
_HELD: Final = "held-back"
_TASKS: Final = "benchmarks.naive.tasks"


class Plain:
    """`tuning` is one of `naive/settings.py`."""

    def __init__(self, folder: Path, avos_url: str, tuning: str, *, workers: bool = True) -> None:
        self.name = f"naive {tuning}"
        self.port = free_port()
        self._folder = folder
        self._server = server(folder)
        self._environ = {
            **os.environ,
            "NAIVE_AVOS_URL": avos_url,
            "NAIVE_REDIS_SOCKET": str(self._server.socket),
            "NAIVE_TUNING": tuning,
        }
        self._celery = self._publisher()
        self._redis = connect(self._server.url, timeout_s=30)
        self._programs: dict[str, Program] = {}
        try:
            self._start(workers=workers)
        except BaseException:
            self.stop()
            raise

    def _publisher(self) -> Celery:
        url = f"redis+socket://{self._server.socket}"
        celery = Celery("naive-publisher", broker=url, backend=url, set_as_current=False)
        celery.conf.task_default_queue = _HELD
        return celery

    def _start(self, *, workers: bool) -> None:
        self._programs["redis"] = self._run("redis", self._server.prepare())
        wait_ready(self._server.url)
        address = f"127.0.0.1:{self.port}"
        gunicorn = [sys.executable, "-m", "gunicorn", "-k", "gevent", "-w", "2", "-b", address]
        self._programs["api"] = self._run(
            "api", [*gunicorn, "--keep-alive", "20", "--no-control-socket", "benchmarks.naive.web:app"]
        )
        if workers:
            celery = [sys.executable, "-m", "celery", "-A", _TASKS, "worker", "-E"]
            self._programs["worker"] = self._run("worker", celery)
            wait_until(self._answers, "the naive worker answers", timeout_s=30, every_s=0.1)
        wait_until(self._serves, "the naive view answers", timeout_s=30, every_s=0.1)

    def _run(self, name: str, command: Sequence[str]) -> Program:
        return Program(name, command, self._environ, self._folder)

    def _answers(self) -> bool:
        self.check()
        return bool(self._celery.control.ping(timeout=0.3))

    def _serves(self) -> bool:
        self.check()
        try:
            load.Connection(self.port).close()
        except OSError:
            return False
        return True

    def fill(self, media: Sequence[str]) -> None:
        for name in media:
            first = self._celery.signature(f"{_TASKS}.get_last_modified", args=(name, dict(BODY)))
            then = self._celery.signature(f"{_TASKS}.send_patch", queue=_QUEUE)
            chain(first, then).apply_async()

    def release(self) -> None:
        self._redis.rename(_HELD, _QUEUE)

    def call(self, media: str) -> bytes:
        return load.request("POST", f"/updates/{media}", dict(BODY))

    def pids(self) -> Mapping[str, list[int]]:
        workers = [self._programs["worker"].pid] if "worker" in self._programs else []
        return {
            "redis": [self._programs["redis"].pid],
            "api": [self._programs["api"].pid],
            "workers": workers,
        }

    def worker_memory(self) -> Mapping[str, list[Memory]]:
        main, *pool = family(self._programs["worker"].pid)
        return {"pool process": of_all(pool), "its parent": of_all([main])}

    def check(self) -> None:
        for program in self._programs.values():
            program.check()

    def stop(self) -> None:
        redis = self._programs.pop("redis", None)
        stop_all(list(self._programs.values()))
        self._celery.close()
        self._redis.close()
        if redis is not None:
            redis.stop()
