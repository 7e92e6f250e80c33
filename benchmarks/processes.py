"""Processes that a measurement starts: how they end, and what they cost according to /proc."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[1]
_TICKS: Final = os.sysconf("SC_CLK_TCK")


class Broken(Exception):
    """A measurement can't go on; the text says where to look."""


@dataclass(frozen=True)
class Memory:
    """Megabytes: all that is resident, and the share that is this process's when shared pages are divided."""

    rss: float
    pss: float


class Program:
    """One started process and the children that it made itself."""

    def __init__(self, name: str, command: Sequence[str], environ: Mapping[str, str], logs: Path) -> None:
        self.name = name
        self.log = logs / f"{name}.log"
        with self.log.open("w") as output:
            self._process = subprocess.Popen(
                command, env=dict(environ), cwd=ROOT, stdout=output, stderr=subprocess.STDOUT
            )

    @property
    def pid(self) -> int:
        return self._process.pid

    def check(self) -> None:
        """Raises Broken when it has ended."""
        if self._process.poll() is not None:
            raise Broken(f"{self.name} ended with status {self._process.returncode}:\n{tail(self.log)}")

    def stop(self, timeout_s: float = 15) -> None:
        """End it in order, or by force after `timeout_s`."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            for pid in reversed(family(self.pid)):
                os.kill(pid, signal.SIGKILL)
            self._process.wait()


def stop_all(programs: Sequence[Program]) -> None:
    """All at once; each has its own time to end."""
    for program in programs:
        if program._process.poll() is None:  # noqa: SLF001 - its own module
            program._process.terminate()  # noqa: SLF001
    for program in programs:
        program.stop()


def tail(file: Path, lines: int = 12) -> str:
    """The end of a log."""
    return "\n".join(file.read_text(errors="replace").splitlines()[-lines:])


def wait_until(condition: Callable[[], bool], what: str, *, timeout_s: float, every_s: float = 0.02) -> None:
    """Raises Broken when it doesn't come true in time."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > deadline:
            raise Broken(f"{what}: not within {timeout_s:g} s.")
        time.sleep(every_s)


def family(pid: int) -> list[int]:
    """A process and all its descendants, parents first."""
    found, number = [pid], 0
    while number < len(found):
        for task in _listed(Path(f"/proc/{found[number]}/task")):
            try:
                found += [int(child) for child in (task / "children").read_text().split()]
            except OSError:
                continue  # it has just ended
        number += 1
    return found


def cpu_s(pids: Sequence[int]) -> float:
    """Seconds of processor time, user and system, that these processes and all their descendants have used."""
    total = 0
    for pid in {member for parent in pids for member in family(parent)}:
        try:
            stat = Path(f"/proc/{pid}/stat").read_text()
        except OSError:
            continue
        fields = stat.rpartition(")")[2].split()
        total += int(fields[11]) + int(fields[12])
    return total / _TICKS


def stolen_s() -> float:
    """Seconds, on all cores together, in which this machine stood still because its host ran something else."""
    return int(Path("/proc/stat").read_text().split()[8]) / _TICKS


def memory(pid: int) -> Memory:
    """Of one process, without its children."""
    values: dict[str, float] = {}
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        name, _, rest = line.partition(":")
        if name in ("Rss", "Pss"):
            values[name] = int(rest.split()[0]) / 1024
    return Memory(values["Rss"], values["Pss"])


def _listed(folder: Path) -> list[Path]:
    try:
        return list(folder.iterdir())
    except OSError:
        return []
