"""Real worker processes for tests."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from tests.support.wait import until

ROOT = Path(__file__).resolve().parents[2]


class WorkerProcess:
    """`celery -A {app} worker -n {name}` with settings of its own; ready when `start` returns."""

    def __init__(
        self,
        app: str,
        name: str,
        queues: str,
        environ: Mapping[str, str],
        log: Path,
        *,
        concurrency: int = 8,
        pool: str = "threads",
    ) -> None:
        self._command = [sys.executable, "-m", "celery", "-A", app, "worker", "-n", name, "-Q", queues]
        self._command += [
            "-c",
            str(concurrency),
            "-P",
            pool,
            "--without-mingle",
            "--without-gossip",
            "-l",
            "INFO",
        ]
        self._environ = {**os.environ, **environ}
        self._log = log
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> WorkerProcess:
        with self._log.open("ab") as log:
            begin = log.tell()
            self.process = subprocess.Popen(
                self._command, cwd=ROOT, env=self._environ, stdout=log, stderr=subprocess.STDOUT
            )
        try:
            until(
                lambda: b" ready." in self._log.read_bytes()[begin:] or self._ended(),
                timeout_s=60,
                what="the worker to be ready",
            )
            assert not self._ended(), self.log()
        except BaseException:
            self.kill()
            raise
        return self

    def _ended(self) -> bool:
        assert self.process is not None
        return self.process.poll() is not None

    def log(self) -> str:
        return self._log.read_text(errors="replace")

    def stop(self, how: signal.Signals = signal.SIGTERM) -> None:
        if self.process is None:
            return
        self.process.send_signal(how)
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process = None

    def kill(self) -> None:
        self.stop(signal.SIGKILL)
