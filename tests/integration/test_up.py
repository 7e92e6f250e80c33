"""`mediaops-sync up` on this machine: from nothing, through a crash of its parts, to the end in order, and again."""

from __future__ import annotations

import contextlib
import os
import pty
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from app.client import ApiClient
from app.local.layout import free_port
from app.settings import Settings
from tests.support.wait import until
from tests.support.worker import ROOT

pytestmark = [pytest.mark.slow, pytest.mark.processes, pytest.mark.timeout(240)]


class Up:
    """One run of the command, with its data in `data_dir`."""

    def __init__(self, data_dir: Path, *options: str, output: int | None = None) -> None:
        self.environ = {
            "MEDIAOPS_DATA_DIR": str(data_dir),
            "MEDIAOPS_HTTP_PORT": str(free_port()),
            "MEDIAOPS_FLOWER_PORT": str(free_port()),
            "MEDIAOPS_LIVE_SLOTS": "8",
            # A worker counts as silent after fifteen seconds and three attempts.
            "MEDIAOPS_AVOS_TIMEOUT_S": "0.5",
        }
        self.data_dir = data_dir
        self._log = data_dir.with_suffix(".log")
        self._begin = self._log.stat().st_size if self._log.exists() else 0
        with self._log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "app", "up", *options],
                cwd=ROOT,
                env={**os.environ, **self.environ},
                stdout=log if output is None else output,
                stderr=subprocess.STDOUT,
            )

    def said(self) -> str:
        return self._log.read_bytes()[self._begin :].decode()

    def running(self) -> Up:
        def there() -> bool:
            assert self.process.poll() is None, self.said()
            return "Ctrl-C stops it in order." in self.said()

        until(there, timeout_s=100, what="up to be up")
        return self

    def client(self) -> ApiClient:
        settings = Settings.load(self.environ)
        return ApiClient(settings.api_url, settings.api_token)

    def pid(self, program: str) -> int:
        """By supervisor's log: the newest process of this program."""
        log = (self.data_dir / "logs" / "supervisor.log").read_text()
        (*_, line) = [text for text in log.splitlines() if f"spawned: '{program}' with pid" in text]
        return int(line.rsplit(" ", 1)[1])

    def end(self, how: signal.Signals = signal.SIGINT) -> str:
        self.process.send_signal(how)
        assert self.process.wait(90) == 0, self.said()
        return self.said()

    def clear_away(self) -> None:
        """Whatever became of the test, leave no process behind."""
        self.process.terminate()
        try:
            self.process.wait(60)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        for pid_file in self.data_dir.glob("valkey/supervisor.pid"):
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(pid_file.read_text()), signal.SIGTERM)


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[[], Up]]:
    """Starts runs, all with the same data directory."""
    runs: list[Up] = []

    def begin() -> Up:
        runs.append(Up(tmp_path / "data", "--no-samples"))
        return runs[-1]

    yield begin
    for run in runs:
        run.clear_away()


def gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


def test_up_runs_survives_crashes_stops_in_order_and_finds_its_data_again(start: Callable[[], Up]) -> None:
    first = start().running()
    client = first.client()
    event = {"name": "Home - Away", "eventEnd": "2026-11-21T21:45:00Z", "livestreams": []}
    client.call("PUT", "/api/custom/events/ev-1", body=event)

    # All of it in the session of who started it.
    programs = (
        "server",
        "avos-stand-in",
        "live-stand-in",
        "flower",
        "live1",
        "live2",
        "pending",
        "ticks",
        "api",
        "beat",
    )
    pids = {program: first.pid(program) for program in programs}
    assert {os.getsid(pid) for pid in pids.values()} == {os.getsid(first.process.pid)}

    # A worker that is connected and does nothing is noticed in time (see below); meanwhile …
    os.kill(pids["pending"], signal.SIGSTOP)

    # What dies is started again.
    os.kill(pids["live1"], signal.SIGKILL)
    until(lambda: "live1 had ended and was started again" in first.said(), timeout_s=30)

    os.kill(pids["server"], signal.SIGKILL)
    until(lambda: "server had ended and was started again" in first.said(), timeout_s=30)
    assert client.get("/api/custom/events/ev-1")["name"] == "Home - Away"

    until(lambda: "pending was silent" in first.said(), timeout_s=60)
    until(lambda: first.pid("pending") != pids["pending"], timeout_s=30)

    # A beat that hangs is, too: nobody but its own missing pulse tells.
    os.kill(first.pid("beat"), signal.SIGSTOP)
    until(lambda: "beat was silent" in first.said(), timeout_s=60)
    until(lambda: first.pid("beat") != pids["beat"], timeout_s=30)
    client.close()

    # A second run in the same directory is refused, and says why.
    other = start()
    assert other.process.wait(30) == 2
    assert "Another run" in other.said()

    said = first.end()
    order = [
        said.index(f"{title} ") for title in ("Beat", "API", "Workers", "Flower", "AVOS stand-in", "Valkey")
    ]
    stopped = [
        said.index(title, said.index("Stopping")) for title in ("Beat", "API", "Workers", "Flower", "Valkey")
    ]
    assert stopped == sorted(stopped)
    assert len(order) == 6
    until(lambda: all(gone(pid) for pid in pids.values()))
    assert not (first.data_dir / "running.json").exists()

    second = start().running()
    assert second.client().get("/api/custom/events/ev-1")["name"] == "Home - Away"
    second.end(signal.SIGTERM)


def test_what_a_killed_run_left_behind_is_ended_by_the_next(start: Callable[[], Up]) -> None:
    first = start().running()
    beat = first.pid("beat")
    first.process.kill()
    first.process.wait()
    second = start().running()
    assert gone(beat)
    second.end()


def test_ctrl_c_while_it_starts_stops_what_has_been_started(start: Callable[[], Up]) -> None:
    run = start()
    until(lambda: "Valkey" in run.said(), timeout_s=30)
    said = run.end()
    assert "stopped" in said


def test_a_terminal_that_is_closed_stops_everything(tmp_path: Path) -> None:
    """Nobody reads what it says any more; what it has started must come to its end all the same."""
    terminal, end = pty.openpty()
    run = Up(tmp_path / "data", "--no-samples", output=end)
    os.close(end)
    try:
        heard = b""
        while b"Ctrl-C stops it in order." not in heard:
            heard += os.read(terminal, 4096)
        pids = [run.pid(program) for program in ("server", "live1", "api", "beat")]
        os.close(terminal)
        run.process.send_signal(signal.SIGHUP)
        run.process.wait(90)
        until(lambda: all(gone(pid) for pid in pids))
    finally:
        run.clear_away()


def test_a_store_that_nobody_answers_is_named_before_anything_starts(tmp_path: Path) -> None:
    port = free_port()
    environ = {
        **os.environ,
        "MEDIAOPS_DATA_DIR": str(tmp_path / "data"),
        "MEDIAOPS_REDIS_URL": f"redis://user:pass-word@127.0.0.1:{port}/0",
    }
    done = subprocess.run(
        [sys.executable, "-m", "app", "up"],
        cwd=ROOT, env=environ, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    said = done.stdout + done.stderr
    assert done.returncode == 2, said
    assert f"redis://127.0.0.1:{port}/0, can't be used" in said
    for words in ("Traceback", "pass-word", "Workers"):
        assert words not in said
