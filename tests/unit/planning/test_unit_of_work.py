"""How often a unit of work asks the store, and what it keeps of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from app.outgoing.errors import Again
from app.outgoing.model import Acceptance, Guard, Write
from app.planning.plans import Plans
from app.planning.records import Ids, Record
from app.planning.store import PlanningStore
from app.planning.unit_of_work import UnitOfWork, run
from tests.unit.planning.conftest import Services, event_body
from tests.unit.planning.test_batch import event, job


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The questions to planning's store, each one round trip."""
    found: list[str] = []

    def noting(name: str) -> Callable[..., Any]:
        method = getattr(PlanningStore, name)

        def asking(*args: Any) -> Any:
            found.append(name)
            return method(*args)

        return asking

    for name in ("read", "generations", "record"):
        monkeypatch.setattr(PlanningStore, name, noting(name))
    return found


def test_one_change_is_read_in_three_round_trips(services: Services, asked: list[str]) -> None:
    services.planned_and_registered()
    asked.clear()
    services.put_event(pre_ko="2026-11-21T20:00:00Z")
    assert asked == ["read", "generations", "read"]
    asked.clear()
    services.put_job(start="2026-11-21T17:00:00Z")
    assert asked == ["read", "read", "generations"]


def test_a_batch_is_read_together(services: Services, asked: list[str]) -> None:
    services.planned_and_registered()
    events = [event(f"ev-{number}", livestreams=("L1", f"L-{number}")) for number in range(2, 50)]
    jobs = [job(f"j-{number}", event_id=f"ev-{number}") for number in range(2, 50)]
    asked.clear()
    services.planning.messages([*events, *jobs])
    assert asked == ["read", "generations", "read", "read"]


def test_nothing_is_read_twice(services: Services, asked: list[str]) -> None:
    services.planned_and_registered()
    unit = UnitOfWork(services.planning.store, services.outgoing)
    first = unit.read(Ids(livestreams=("L1",)))
    asked.clear()
    assert unit.read(Ids(events=("ev-1",), jobs=("j-1",))) == first
    assert asked == []


def test_what_was_added_is_written_once_and_seen_by_what_follows(services: Services) -> None:
    services.put_event()
    unit = UnitOfWork(services.planning.store, services.outgoing)
    unit.read(Ids(events=("ev-1",)))
    other = Record(event_body(name="other"), 9)
    key = services.keys.event("note")
    unit.add(Acceptance(writes=(Write("INCR", key),)), Plans(jobs={"j-9": other}))
    assert unit.plans.jobs["j-9"] == other
    unit.commit()
    unit.add(Acceptance(writes=(Write("SET", services.keys.event("end"), (1,)),)))
    unit.commit()
    assert services.client.get(key) == b"1"


def test_each_round_has_a_unit_of_its_own(services: Services) -> None:
    units: list[UnitOfWork] = []

    def work(unit: UnitOfWork) -> int:
        units.append(unit)
        never = Guard(("GET", services.keys.event("x")), "1" if len(units) < 3 else "")
        unit.add(Acceptance(guards=(never,)))
        unit.commit()
        return len(units)

    assert run(services.planning.store, services.outgoing, work) == 3
    assert len({id(unit) for unit in units}) == 3
    with pytest.raises(Again):
        services.outgoing.accept(Acceptance(guards=(Guard(("GET", services.keys.event("x")), "1"),)))
