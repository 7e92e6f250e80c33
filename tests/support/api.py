"""The API as it runs: gunicorn with its settings, as a process of its own."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import requests

from tests.support.wait import until

ROOT = Path(__file__).parents[2]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class ApiProcess:
    """gunicorn on a free port of this machine; `environ` are the settings."""

    def __init__(self, environ: Mapping[str, str], log: Path) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.log = log
        self._environ = {
            **{name: value for name, value in os.environ.items() if not name.startswith("MEDIAOPS_")},
            **environ,
            "MEDIAOPS_HTTP_PORT": str(self.port),
        }
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> ApiProcess:
        command = [sys.executable, "-m", "gunicorn", "-c", "app/http/gunicorn_conf.py"]
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [*command, "app.http.wsgi:application()"],
                cwd=ROOT,
                env=self._environ,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        try:
            until(self._answers, timeout_s=60, what="the API to answer")
        except BaseException:
            self.stop()
            raise
        return self

    def stop(self) -> None:
        """In order, as a supervisor would."""
        if self._process is None:
            return
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
        self._process = None

    def memory_mb(self) -> float:
        """What its worker processes have resident, together."""
        assert self._process is not None
        master = self._process.pid
        children = Path(f"/proc/{master}/task/{master}/children").read_text().split()
        pages = [int(Path(f"/proc/{child}/statm").read_text().split()[1]) for child in children]
        return sum(pages) * os.sysconf("SC_PAGE_SIZE") / 1e6

    def _answers(self) -> bool:
        assert self._process is not None
        if self._process.poll() is not None:
            raise AssertionError(f"the API ended: {self.log.read_text()[-3000:]}")
        try:
            return requests.get(f"{self.url}/healthz", timeout=2).ok
        except (requests.ConnectionError, requests.Timeout):
            return False  # it listens before its workers have loaded
