"""The journal of a stand-in: an entry for each request, in order of arrival, so that a test can prove order."""

from __future__ import annotations

import json
import time
from collections import deque
from pathlib import Path
from typing import Any, Final, Generic, Protocol, TextIO, TypeVar

KEPT: Final = 1_000_000


class JournalEntry(Protocol):
    """Times: `…Wall` are seconds since 1970, the others seconds of a monotonic clock."""

    seq: int
    status: int | None  # None: no answer was given (yet), or nobody heard it
    answered: float | None
    answeredWall: float | None  # noqa: N815 - as it stands in the JSON

    def as_json(self) -> dict[str, Any]: ...


E = TypeVar("E", bound=JournalEntry)


class Journal(Generic[E]):
    """The newest million entries; all of them in `file`, each once it is answered or given up."""

    def __init__(self, file: Path | None = None) -> None:
        self.entries: deque[E] = deque(maxlen=KEPT)
        self._seq = 0
        self._out: TextIO | None = file.open("a", buffering=1) if file else None

    def clear(self) -> None:
        self.entries.clear()

    def next_seq(self) -> int:
        self._seq += 1
        return self._seq

    def closed(self, entry: E, status: int | None, *, heard: bool = True) -> None:
        """The request is answered with `status`, or given up without an answer (None), or nobody heard it."""
        entry.status = status
        if status is not None and heard:
            entry.answered, entry.answeredWall = time.monotonic(), time.time()
        if self._out is not None:
            self._out.write(json.dumps(entry.as_json()) + "\n")

    def after(self, seq: int) -> list[dict[str, Any]]:
        return [entry.as_json() for entry in self.entries if entry.seq > seq]

    def close(self) -> None:
        if self._out is not None:
            self._out.close()
            self._out = None
