"""The deployment of the campaign: more processes than on a small machine, and clocks that can be stepped.

Every process is started again when it ends, as a supervisor would, and counted.
"""

from __future__ import annotations

import os
import resource
import signal
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

from app.local.programs import api_command, beat_command, worker_command
from app.platform.embedded import wait_ready
from tests.chaos import clock
from tests.chaos.stream import Subscribers
from tests.support.callers import Api
from tests.support.deployment import TOKEN, Deployment
from tests.support.processes import Part, Watch
from tests.support.server import RealServer

LIVE: Final = ("live1", "live2", "live3")
WORKERS: Final = (*LIVE, "pending1", "pending2", "ticks1", "ticks2")
DELIVERERS: Final = ("deliveries1", "deliveries2", "deliveries-slow1")
APIS: Final = ("api1", "api2")
BEATS: Final = ("beat1", "beat2")
_FEW: Final = 4
_SLOTS: Final = {"deliveries": 10, "deliveries-slow": 10}
_SLOTS_FOR_MANY: Final = {"deliveries": 50, "deliveries-slow": 500}  # as `up` has them
# Shorter than in real life, so that a lost lease and a tick are matters of seconds.
LEASE_S: Final = 3.0
RETRY_S: Final = 2.0
ATTEMPT_S: Final = 2.0
RELEASE_RATE: Final = 200
SETTINGS: Final = {
    "MEDIAOPS_RETRY_INTERVAL_S": f"{RETRY_S:g}",
    "MEDIAOPS_AVOS_TIMEOUT_S": f"{ATTEMPT_S:g}",
    "MEDIAOPS_LEASE_S": f"{LEASE_S:g}",
    "MEDIAOPS_RELEASE_RATE": f"{RELEASE_RATE}",
}


class Server(RealServer):
    """A server whose clock can be stepped and whose disk can be full."""

    def __init__(self, directory: Path, environ: dict[str, str]) -> None:
        super().__init__(directory, fsync="always")
        self._environ = environ

    def start(self) -> Server:
        self.layout.directory.parent.mkdir(parents=True, exist_ok=True)
        with (self.layout.directory.parent / "valkey.log").open("a") as log:
            self._process = subprocess.Popen(
                self.layout.prepare(),
                stdout=log,
                stderr=subprocess.STDOUT,
                text=True,
                env={**os.environ, **self._environ},
                # SIGXFSZ stays ignored, so that a file that may not grow fails to be written, as on a full disk.
                restore_signals=False,
            )
        wait_ready(self.url, timeout_s=60, process=self._process)
        return self

    def fill_disk(self) -> None:
        """From now on the append-only file can't grow."""
        assert self._process is not None
        files = self.layout.directory.glob("appendonlydir/*.incr.aof")
        grown = max((file.stat().st_size for file in files), default=0)
        _, hard = resource.prlimit(self._process.pid, resource.RLIMIT_FSIZE)
        resource.prlimit(self._process.pid, resource.RLIMIT_FSIZE, (grown + 2000, hard))

    def wait_ended(self, timeout_s: float) -> bool:
        """Whether it ended by itself within this time; it can be started again then."""
        assert self._process is not None
        try:
            self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            return False
        self._process = None
        return True


# Of the far side while it is well, by method.
QUICK_MS: Final[Mapping[str, float]] = {"get": 5, "patch": 20, "other": 10}


class ChaosDeployment(Deployment):
    """`changed`: a directory put before all others on the Python path of the workers (tests of the checker)."""

    def __init__(
        self,
        directory: Path,
        *,
        pool: str = "threads",
        slots: int = 30,
        changed: Path | None = None,
        many_hang: bool = False,
        settings: Mapping[str, str] | None = None,
        usual_latency: Mapping[str, float] = QUICK_MS,
    ) -> None:
        super().__init__(directory, **{**SETTINGS, **(settings or {})})
        directory.mkdir(parents=True, exist_ok=True)
        library = clock.build(directory)
        self.clocks = {
            name: clock.Clock(library, directory / f"{name}.clock") for name in ("server", "workers", "beat1")
        }
        self.server: Server = Server(directory, self.clocks["server"].environ)
        self.subscribers = Subscribers(directory)
        self.usual_latency = dict(usual_latency)  # of the far side, when it is well
        self._pool = pool
        self._slots = slots
        self._changed = changed
        self._many_hang = many_hang
        self.apis: list[Api] = []

    def _start(self) -> None:
        self._stack.callback(self.server.stop)
        self.server.start()
        self._start_far_side()
        self._settings |= self.subscribers.start(self._stack)
        for name in APIS:
            environ = self._environment()
            api = Api(f"http://127.0.0.1:{environ['MEDIAOPS_HTTP_PORT']}", TOKEN)
            self._stack.callback(api.close)
            self.apis.append(api)
            self._part(name, api_command(), environ, lambda _, api=api: _answers(api))
        self._api = self.apis[0]
        workers = {**self._environment(), **self.clocks["workers"].environ}
        if self._changed is not None:
            workers["PYTHONPATH"] = str(self._changed)
        for name in (*WORKERS, *DELIVERERS):
            self._part(name, self._worker(name), workers, lambda part: " ready." in part.written)
        for name in BEATS:
            environ = self._environment() | (self.clocks[name].environ if name in self.clocks else {})
            self._part(name, beat_command(), environ, lambda _: self._ticks())
        started = [part for part in self.parts.values() if part.name != "avos"]
        for part in started:
            part.start()
        for part in started:
            part.wait_ready(120)
        self._watch = Watch(list(self.parts.values()))
        self._watch.start()

    def _worker(self, name: str) -> list[str]:
        queue = name.rstrip("123")
        of_events = _SLOTS_FOR_MANY if self._many_hang else _SLOTS
        slots = self._slots if queue == "live" else of_events.get(queue, _FEW)
        command = worker_command(name, queue, slots)
        command[command.index("threads")] = self._pool if queue == "live" else "threads"
        return command

    def _stop(self) -> None:
        for part in self.parts.values():
            for pid in family(part):
                _send(pid, signal.SIGCONT)
        for part in self.parts.values():
            if part.name in APIS:  # gunicorn would wait for connections that are kept alive
                part.ask_to_stop(signal.SIGQUIT)
        super()._stop()

    # What a fault does to a process -----------------------------------------------------------------------------------

    def kill(self, name: str) -> bool:
        """SIGKILL of all of it; whether it was there."""
        part = self.parts[name]
        pids = family(part)
        there = part.alive
        part.kill()
        for pid in pids[1:]:  # gunicorn's own workers
            _send(pid, signal.SIGKILL)
        return there

    def freeze(self, name: str) -> list[int]:
        pids = family(self.parts[name])
        for pid in pids:
            _send(pid, signal.SIGSTOP)
        return pids

    def thaw(self, pids: Sequence[int]) -> None:
        for pid in pids:
            _send(pid, signal.SIGCONT)

    def restart_in_order(self, name: str, timeout_s: float) -> bool:
        """SIGTERM; whether it ended in time. It is started again by who looks after it."""
        part = self.parts[name]
        process = part.process
        if process is None or not part.alive:
            return False
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            part.kill()
            return False
        return True


def _answers(api: Api) -> bool:
    with suppress(OSError):
        return api.call("GET", "/readyz", timeout_s=3).status == 200
    return False


def family(part: Part) -> list[int]:
    """The process and its children, which only gunicorn has."""
    if not part.alive:
        return []
    found = [part.pid]
    with suppress(OSError):
        children = Path(f"/proc/{part.pid}/task/{part.pid}/children").read_text()
        found += [int(pid) for pid in children.split()]
    return found


def _send(pid: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, number)
