"""The journal: one entry per request, in order of arrival, so that a test can prove order and freshness."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deploy.simulators.parts.journal import Journal


@dataclass(slots=True)
class Entry:
    """One request. Times: `…Wall` are seconds since 1970, the others seconds of a monotonic clock."""

    seq: int
    method: str
    path: str
    contentMediaId: str | None  # noqa: N815 - as it stands in the JSON
    body: Any
    lastModified: str | None  # noqa: N815 - the one that was sent
    arrived: float
    arrivedWall: float  # noqa: N815
    answered: float | None = None
    answeredWall: float | None = None  # noqa: N815
    appliedAt: float | None = None  # noqa: N815
    appliedAs: int | None = None  # noqa: N815 - the how-manieth write of all
    before: str | None = None  # the record's lastModified when the request was handled …
    after: str | None = None  # … and after it was applied
    applied: bool = False
    status: int | None = None  # None: no answer was given (yet); of a late write, what nobody heard
    fault: str | None = None

    def as_json(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in Entry.__slots__}


class AvosJournal(Journal[Entry]):
    """The newest million entries; all of them in `file`, each once it is answered or given up."""

    def __init__(self, file: Path | None = None) -> None:
        super().__init__(file)
        self._writes = 0

    def arrival(self, method: str, path: str, media: str | None, body: Any, sent: str | None) -> Entry:
        entry = Entry(self.next_seq(), method, path, media, body, sent, time.monotonic(), time.time())
        self.entries.append(entry)
        return entry

    def applied(self, entry: Entry, after: str) -> None:
        self._writes += 1
        entry.applied, entry.after, entry.appliedAs = True, after, self._writes
        entry.appliedAt = time.monotonic()
