"""The real API on a free port, and beat: what a test needs beside workers."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Mapping
from pathlib import Path

from werkzeug.serving import BaseWSGIServer, make_server

from app.http.factory import create_app
from app.packages import build
from app.settings import Settings
from tests.support.worker import ROOT


class Served:
    """The API in a thread of this process, on a port of its own."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._server: BaseWSGIServer | None = None

    def start(self) -> str:
        """Its URL."""
        self._server = make_server("127.0.0.1", 0, create_app(build(self._settings)), threaded=True)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return f"http://127.0.0.1:{self._server.port}"

    def stop(self) -> None:
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None


class BeatProcess:
    """`celery beat`, which asks for the ticks."""

    def __init__(self, environ: Mapping[str, str], log: Path) -> None:
        self._environ = {**os.environ, **environ}
        self._log = log
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        command = [sys.executable, "-m", "celery", "-A", "workers.app", "beat", "-l", "INFO"]
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                command, cwd=ROOT, env=self._environ, stdout=log, stderr=subprocess.STDOUT
            )

    def stop(self) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait(20)
            self._process = None
