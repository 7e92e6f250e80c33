"""What is compared: one side takes updates in and brings them to the far side, with processes that can be looked at."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Protocol

from app.outgoing.model import AVOS, NewRequest
from app.platform.embedded import EmbeddedServer
from app.platform.keys import fold
from benchmarks.processes import Memory, memory

# Above what the largest table of the measurements needs; the server's other settings stay as they are everywhere.
MAX_MEMORY: Final = "8gb"

# What one update writes: the times of a booking, without the lastModified that the GET gives.
BODY: Final[Mapping[str, Any]] = {
    "bookingPreKOStartTime": "2026-11-21T19:30:00.000Z",
    "bookingStartTime": "2026-11-21T18:00:00.000Z",
    "eventEndTime": "2026-11-21T21:45:00.000Z",
}


class Side(Protocol):
    """One of the two ways, started and ready."""

    name: str
    port: int  # of its API

    def fill(self, media: Sequence[str]) -> None:
        """Take in one update for each content media, and hold all of them back."""

    def release(self) -> None:
        """Let the backlog go, all at once."""

    def call(self, media: str) -> bytes:
        """The HTTP request that asks for one update."""

    def pids(self) -> Mapping[str, list[int]]:
        """Its processes, by what they do: `redis`, `api`, `workers`."""

    def worker_memory(self) -> Mapping[str, list[Memory]]:
        """Of every process that delivers updates, by its role."""

    def check(self) -> None:
        """Raises Broken when a process has ended."""

    def stop(self) -> None: ...


def server(folder: Path) -> EmbeddedServer:
    """The embedded server as `make run` has it: append-only file, fsync with every change."""
    return EmbeddedServer(folder / "valkey", folder / "valkey" / "valkey.sock", max_memory=MAX_MEMORY)


def of_all(pids: Sequence[int]) -> list[Memory]:
    return [memory(pid) for pid in pids]


def patch(media: str) -> NewRequest:
    """An update as our side accepts it, for a content media without a registration."""
    return NewRequest(
        destination=AVOS,
        lane=fold(media),
        kind="generic",
        method="PATCH",
        path=f"/external/contentMedia/live/{media}",
        members=BODY,
        content_media_id=media,
    )
