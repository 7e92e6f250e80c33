"""Which of this machine's processes `up` starts again."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import fakeredis
import pytest

from app.local.layout import lay_out
from app.local.programs import stages
from app.local.stalls import PATIENCE_S, UNKNOWN_PATIENCE_S, Stalls
from app.local.supervisor import Process
from app.packages import QUEUES
from app.platform.dispatch import Envelope
from app.platform.errors import Unavailable
from app.platform.keys import Keys
from app.watch.canaries import Canaries
from app.watch.model import Sent


class Machine:
    """supervisor's list of processes, a watch on a server in the process, and a clock."""

    def __init__(self, tmp_path: Path) -> None:
        self.client: Any = fakeredis.FakeRedis()
        self.canaries = Canaries(self.client, Keys("t"), Envelope("t"), QUEUES)
        self.now = 0.0
        layout = lay_out({"PATH": os.environ["PATH"], "MEDIAOPS_DATA_DIR": str(tmp_path)})
        found = stages(layout)
        self.stalls = Stalls(layout, found, canaries=self.canaries, clock=lambda: self.now)
        self.processes = [
            Process(name, "RUNNING", pid, 0) for name, pid in (("live1", 11), ("beat", 12), ("api", 13))
        ]
        self.canaries.enrol("live1@host", 11, ("live",))
        self.canaries.pulse("beat@host", 12)

    def look(self, after_s: float = 0) -> list[str]:
        self.now += after_s
        return [process.name for process in self.stalls.look(self.processes)]

    def silence(self) -> None:
        self.client.hset("t:watch:sent", "live1@host", Sent(1, 1000).encode())
        self.client.hset("t:watch:beats", "beat@host", "1 12")


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def test_a_silent_worker_and_a_silent_beat_are_ended_once_they_were_silent_for_a_while(
    machine: Machine,
) -> None:
    assert machine.look() == machine.look(1000) == []
    machine.silence()
    assert machine.look() == machine.look(PATIENCE_S - 1) == []
    assert machine.look(1) == ["live1", "beat"]
    # One that was started again is another.
    machine.processes = [Process(one.name, one.state, one.pid + 10, 0) for one in machine.processes]
    assert machine.look(PATIENCE_S) == []


def test_a_moment_of_work_or_of_an_absent_store_starts_the_patience_anew(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine.silence()
    machine.look()
    machine.canaries.enrol("live1@host", 11, ("live",))
    assert machine.look(PATIENCE_S) == ["beat"]

    def away() -> None:
        raise Unavailable("The store is full.", code="store_full")

    with monkeypatch.context() as patch:
        patch.setattr(machine.canaries, "check_writes", away)
        assert machine.look(1) == []
    assert machine.look(PATIENCE_S) == []
    assert machine.look(PATIENCE_S) == ["beat"]


def test_a_process_that_never_makes_itself_known_gets_longer_and_those_unwatched_are_left_alone(
    machine: Machine,
) -> None:
    machine.canaries.withdraw("live1@host")
    assert machine.look() == machine.look(UNKNOWN_PATIENCE_S - 1) == []
    assert machine.look(1) == ["live1"]
    machine.processes = [Process("live1", "STARTING", 11, 0), Process("api", "RUNNING", 13, 0)]
    assert machine.look(UNKNOWN_PATIENCE_S) == []
