"""Starts, asks and stops supervisor, which starts again what dies."""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import subprocess
import sys
import time
import xmlrpc.client
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final

from supervisor.xmlrpc import SupervisorTransport

from app.local.layout import ROOT, Layout, write_private
from app.local.programs import Stage, supervisor_config
from app.settings import environment

_GONE: Final = (OSError, xmlrpc.client.Error, ConnectionError)


class InUse(Exception):
    """Another run has this data directory; the text says which, and what to do."""


class Failed(Exception):
    """Something doesn't come up; the text says where to look."""


@dataclass(frozen=True)
class Process:
    """One process as supervisor sees it."""

    name: str
    state: str
    pid: int
    started: int


@contextlib.contextmanager
def only_run(data_dir: Path) -> Iterator[None]:
    """Lock the data directory for one `up`. Raises InUse."""
    with (data_dir / "up.lock").open("a+") as lock:
        if not _take(lock):
            lock.seek(0)
            pid = lock.read().strip()
            raise InUse(
                f"Another run (process {pid or 'unknown'}) is using {data_dir}. Stop it (Ctrl-C there, or `kill {pid}`), "
                "or choose another directory with MEDIAOPS_DATA_DIR."
            )
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        yield


def _take(lock: IO[str]) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


class Supervisor:
    """The supervisor of one run."""

    def __init__(self, layout: Layout, stages: Sequence[Stage]) -> None:
        self._layout = layout
        self._stages = stages
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def _rpc(self) -> Any:
        # One for each call: a signal may have cut the last one off halfway.
        transport = SupervisorTransport(None, None, f"unix://{self._layout.run_dir / 'supervisor.sock'}")
        return xmlrpc.client.ServerProxy("http://127.0.0.1", transport=transport).supervisor

    def start(self) -> None:
        """Start supervisor itself; it starts nothing yet. Ends what a run that was killed has left behind."""
        self._layout.run_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        config = self._layout.data_dir / "supervisor.conf"
        write_private(config, supervisor_config(self._layout, self._stages))
        with (self._layout.data_dir / "supervisor.lock").open("a+") as lock:
            if not _take(lock):
                self._end_orphan(lock)
            command = [sys.executable, "-m", "supervisor.supervisord", "-n", "-c", str(config)]
            with (self._layout.logs / "supervisor.out").open("wb") as output:
                self._process = subprocess.Popen(
                    command,
                    cwd=ROOT,
                    env=environment(self._layout.chosen),
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    # The terminal's Ctrl-C must reach us only, so supervisor is in a process group of its own, in our session.
                    process_group=0,
                    # It keeps this lock as long as it runs, so that the next run knows.
                    pass_fds=(lock.fileno(),),
                )
        self._wait(lambda: self._rpc.getState()["statename"] == "RUNNING", 15, "supervisor")

    def _end_orphan(self, lock: IO[str]) -> None:
        """The run that started it was killed; stop its processes in order."""
        pid_file = self._layout.run_dir / "supervisor.pid"
        pid = int(pid_file.read_text().strip())
        os.kill(pid, signal.SIGTERM)
        deadline = time.monotonic() + 90
        while not _take(lock):
            if time.monotonic() > deadline:
                raise InUse(
                    f"An earlier run's supervisor (process {pid}) doesn't end. Look at it, or kill it."
                )
            time.sleep(0.1)

    @property
    def alive(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def start_stage(self, stage: Stage) -> None:
        """Start a stage's programs, without waiting for them to be ready."""
        self._rpc.startProcessGroup(stage.name, False)

    def stop_stage(self, stage: Stage) -> None:
        """Stop a stage's programs and wait until they have ended."""
        self._rpc.stopProcessGroup(stage.name, True)

    def end(self, process: Process) -> None:
        """Kill a process that does nothing; supervisor starts it again. It may not react to any other signal."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(process.pid, signal.SIGKILL)

    def processes(self) -> list[Process]:
        """All of them; empty when supervisor is gone."""
        try:
            return [
                Process(one["name"], one["statename"], one["pid"], one["start"])
                for one in self._rpc.getAllProcessInfo()
            ]
        except _GONE:
            return []

    def shutdown(self) -> None:
        """End supervisor, and with it in order whatever still runs."""
        if self._process is None:
            return
        if self.alive:
            self._process.terminate()
        try:
            self._process.wait(120)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _wait(self, condition: Any, timeout_s: float, what: str) -> None:
        deadline = time.monotonic() + timeout_s
        while True:
            with contextlib.suppress(*_GONE):
                if condition():
                    return
            if not self.alive or time.monotonic() > deadline:
                raise Failed(f"{what} doesn't start; look at {self._layout.logs}.")
            time.sleep(0.05)
