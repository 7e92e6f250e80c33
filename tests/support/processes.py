"""Real processes for tests: started, killed, frozen, and started again when they end, as a supervisor would."""

from __future__ import annotations

import signal
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

from tests.support.wait import until

ROOT: Final = Path(__file__).resolve().parents[2]
TAIL: Final = 4_000  # bytes of a log shown when something goes wrong
_SETTLED_S: Final = (
    2.0  # one that ends sooner after its start is given a second before the next (supervisor: startsecs)
)


class Part:
    """One process. `ready` tells, from what it has written since its start and from outside, whether it does its work."""

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        environ: Mapping[str, str],
        log: Path,
        ready: Callable[[Part], bool],
    ) -> None:
        self.name = name
        self.restarts = 0
        self.ended: list[float] = []  # when (monotonic) it was found to have ended unasked
        self.wanted = False  # whether somebody expects it to run
        self._command = list(command)
        self._environ = dict(environ)
        self._log = log
        self._ready = ready
        self._begin = 0
        self._started = 0.0
        self._lock = threading.Lock()
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, without waiting for it."""
        with self._lock:
            self.wanted = True
            self._start()

    def _start(self) -> None:
        with self._log.open("ab") as log:
            self._begin = log.tell()
            self.process = subprocess.Popen(
                self._command,
                cwd=ROOT,
                env=self._environ,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        self._started = time.monotonic()

    def wait_ready(self, timeout_s: float = 60) -> None:
        """Until it does its work. Raises AssertionError with the end of its log."""
        try:
            until(
                lambda: self.alive and self._ready(self), timeout_s=timeout_s, what=f"{self.name} to be ready"
            )
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.tail()}") from None

    def look_after(self) -> None:
        """Start it again if it has ended unasked; counted."""
        with self._lock:
            if not self.wanted or self.process is None or self.process.poll() is None:
                return
            if time.monotonic() - self._started < _SETTLED_S:
                return  # tried again a moment later
            self.restarts += 1
            self.ended.append(time.monotonic())
            self._start()

    @property
    def alive(self) -> bool:
        return self.process is not None and self.process.poll() is None

    @property
    def pid(self) -> int:
        assert self.process is not None, f"{self.name} was never started"
        return self.process.pid

    @property
    def written(self) -> str:
        """What it has written since its start."""
        with self._log.open("rb") as log:
            log.seek(self._begin)
            return log.read().decode(errors="replace")

    def tail(self) -> str:
        text = self._log.read_text(errors="replace") if self._log.exists() else ""
        state = (
            "runs" if self.alive else f"ended with {self.process.returncode if self.process else 'nothing'}"
        )
        return f"----- {self.name} ({state}, restarted {self.restarts} times)\n{text[-TAIL:]}"

    def kill(self) -> None:
        """SIGKILL; whoever looks after it will start it again."""
        with self._lock:
            if self.alive:
                assert self.process is not None
                self.process.kill()
                self.process.wait()

    def freeze(self) -> None:
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self._signal(signal.SIGCONT)

    def _signal(self, number: signal.Signals) -> None:
        assert self.process is not None
        self.process.send_signal(number)

    def stop(self, timeout_s: float = 20) -> None:
        """End it in order; it stays ended."""
        self.ask_to_stop()
        self.wait_stopped(timeout_s)

    def ask_to_stop(self, how: signal.Signals = signal.SIGTERM) -> None:
        with self._lock:
            self.wanted = False
            if self.alive:
                self._signal(signal.SIGCONT)
                self._signal(how)

    def wait_stopped(self, timeout_s: float = 20) -> None:
        if self.process is None:
            return
        try:
            self.process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


class Watch:
    """Looks after parts in a thread of its own."""

    def __init__(self, parts: Sequence[Part]) -> None:
        self._parts = parts
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="watch", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        while not self._stop.wait(0.05):
            for part in self._parts:
                part.look_after()
