"""A real server for tests: its own directory, a UNIX socket, never an existing database."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

from app.platform.embedded import EmbeddedServer, stop
from app.settings import embedded_socket


class RealServer:
    """A running Valkey that a test may stop, kill, freeze and start again on the same files."""

    def __init__(self, directory: Path, *, fsync: str = "no") -> None:
        self.layout = EmbeddedServer(
            directory=directory / "valkey", socket=embedded_socket(directory), fsync=fsync, max_memory="512mb"
        )
        self._process: subprocess.Popen[str] | None = None

    @property
    def url(self) -> str:
        return self.layout.url

    @property
    def broker_url(self) -> str:
        return self.url.replace("unix://", "redis+socket://")

    def start(self) -> RealServer:
        self.layout.directory.parent.mkdir(parents=True, exist_ok=True)
        with (self.layout.directory.parent / "valkey.log").open("a") as log:
            self._process = self.layout.start(log)
        return self

    def stop(self) -> None:
        if self._process is not None:
            stop(self._process)
            self._process = None

    def kill(self) -> None:
        """As a power cut would, as far as the process is concerned."""
        self._signal(signal.SIGKILL)
        assert self._process is not None
        self._process.wait()
        self._process = None

    def freeze(self) -> None:
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self._signal(signal.SIGCONT)

    def _signal(self, number: int) -> None:
        assert self._process is not None
        os.kill(self._process.pid, number)
