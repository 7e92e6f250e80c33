"""What the watch has recorded, as it is read at one moment."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Self

ROUND_S: Final = 5.0  # between two rounds of canaries


@dataclass(frozen=True, slots=True)
class Worker:
    """A worker process that has enrolled, by its node name (`live1@host`). `since_ms`: when."""

    name: str
    pid: int
    queues: tuple[str, ...]
    since_ms: int = 0

    def encode(self) -> str:
        kept = {"name": self.name, "pid": self.pid, "queues": self.queues, "since": self.since_ms}
        return json.dumps(kept)

    @classmethod
    def decode(cls, raw: bytes) -> Self:
        read = json.loads(raw)
        return cls(str(read["name"]), int(read["pid"]), tuple(read["queues"]), int(read["since"]))


@dataclass(frozen=True, slots=True)
class Sent:
    """The canary that was put there last. `missed`: rounds that found it not run yet, so that time in which nobody
    could look (an outage, a clock that was set) doesn't count."""

    at_ms: int
    missed: int = 0

    def encode(self) -> str:
        return f"{self.at_ms} {self.missed}"

    @classmethod
    def decode(cls, raw: bytes) -> Self:
        at, missed = raw.split()
        return cls(int(at), int(missed))


@dataclass(frozen=True, slots=True)
class Ran:
    """The canary that was run last: when it had been sent, when it ran, and in which process."""

    sent_ms: int
    at_ms: int
    by: str

    def encode(self) -> str:
        return f"{self.sent_ms} {self.at_ms} {self.by}"

    @classmethod
    def decode(cls, raw: bytes) -> Self:
        sent, at, by = raw.decode().split(" ", 2)
        return cls(int(sent), int(at), by)


@dataclass(frozen=True, slots=True)
class Pulse:
    """When a beat process has last sent something."""

    at_ms: int
    pid: int

    def encode(self) -> str:
        return f"{self.at_ms} {self.pid}"

    @classmethod
    def decode(cls, raw: bytes) -> Self:
        at, pid = raw.split()
        return cls(int(at), int(pid))


@dataclass(frozen=True, slots=True)
class WatchReading:
    """All of it. A target is a queue, or a worker process by its node name (which has an `@`)."""

    now_ms: int
    workers: Mapping[str, Worker]
    sent: Mapping[str, Sent]
    ran: Mapping[str, Ran]
    beats: Mapping[str, Pulse]

    def outstanding(self, target: str) -> Sent | None:
        """The target's canary, unless it, this very one, has been run: a clock that was set back makes newer ones older."""
        sent, ran = self.sent.get(target), self.ran.get(target)
        return None if sent is None or (ran is not None and ran.sent_ms == sent.at_ms) else sent
