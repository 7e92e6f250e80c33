"""Clocks that can be stepped: a small library, preloaded into a process, reads its step from a file.

Needs a C compiler on the machine; without one clocks aren't stepped, and the campaign says so.
"""

from __future__ import annotations

import shutil
import struct
import subprocess
from pathlib import Path


class Clock:
    """One steppable clock, shared by the processes that get its `environ`."""

    def __init__(self, library: Path | None, file: Path) -> None:
        self._library = library
        self._file = file
        self._write(0.0)

    @property
    def steppable(self) -> bool:
        return self._library is not None

    @property
    def environ(self) -> dict[str, str]:
        if self._library is None:
            return {}
        return {"LD_PRELOAD": str(self._library), "CHAOS_CLOCK": str(self._file)}

    def step(self, seconds: float) -> None:
        """How far the clock is ahead of the true time from now on."""
        self._write(seconds)

    def _write(self, seconds: float) -> None:
        packed = struct.pack("q", int(seconds * 1e6))
        if not self._file.exists():
            self._file.write_bytes(packed)
            return
        with self._file.open("r+b") as file:  # in place: others have it mapped
            file.write(packed)


def build(directory: Path) -> Path | None:
    """The library, made from `clock.c`; None where there is no compiler."""
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if compiler is None:
        return None
    library = directory / "clock.so"
    source = Path(__file__).with_name("clock.c")
    command = [compiler, "-O2", "-shared", "-fPIC", "-o", str(library), str(source), "-ldl"]
    made = subprocess.run(command, capture_output=True, text=True, check=False)
    return library if made.returncode == 0 else None
