"""What goes with the history of requests: deleted events and jobs, ended registrations, timelines. On fakeredis and on a
real server."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest

from app.avos.bodies import PropertyNames
from app.outgoing.model import Acceptance, Accepted, TimelineNote
from app.outgoing.store import OutgoingStore
from app.outgoing.ticks import Ticks
from app.packages import PACKAGES
from app.planning.records import Kind
from app.planning.service import PlanningService
from app.planning.store import PlanningStore
from app.platform.container import Container
from app.platform.errors import Conflict
from app.platform.redis import typed
from app.registrations.records import Pair
from app.registrations.service import RegistrationService
from app.registrations.store import RegistrationStore
from app.settings import Settings
from tests.support.outgoing import Bench
from tests.unit.planning.conftest import event_body, job_body

PAIR = Pair("L1", "Cm1")


class Plans:
    """Planning and registrations on the bench's clock, and the tick that forgets."""

    def __init__(self, bench: Bench) -> None:
        self.bench, self.keys, self.client = bench, bench.keys, bench.client
        store = PlanningStore(typed(bench.client), bench.keys)
        self.planning = PlanningService(store, bench.store, PropertyNames())
        registered = RegistrationStore(typed(bench.client), bench.keys)
        self.registrations = RegistrationService(
            registered, store, bench.store, PropertyNames(), sync_on_register=True
        )
        settings = Settings(redis_url="redis://unused", tenant=bench.keys.prefix[:-1])
        container = Container(settings, PACKAGES, redis=bench.client, given={OutgoingStore: bench.store})
        self.ticks = container[Ticks]

    def put(self, *, version: int | None = None) -> None:
        self.planning.put("event", "ev-1", event_body(), source_version=version)
        self.planning.put("job", "j-1", job_body(), source_version=version)

    def delete(self) -> None:
        self.planning.delete("job", "j-1")
        self.planning.delete("event", "ev-1")

    def later(self, days: int) -> None:
        self.bench.pass_time(days=days)
        for _ in range(3):
            self.ticks.trim()

    def left(self, *words: str) -> list[str]:
        """Names of keys whose first word is one of these."""
        names = [
            key.decode().removeprefix(self.keys.prefix) for key in self.client.keys(f"{self.keys.prefix}*")
        ]
        return sorted(name for name in names if name.split(":")[0] in words)


@pytest.fixture
def plans(bench: Bench) -> Plans:
    return Plans(bench)


def test_what_was_deleted_refuses_what_is_older_and_goes_with_the_history(plans: Plans) -> None:
    plans.put(version=5)
    plans.delete()
    plans.later(days=29)
    with pytest.raises(Conflict):
        plans.put(version=4)
    assert plans.left("event", "job") == ["event:ev-1", "event:ev-1:revision", "job:j-1"]
    plans.later(days=2)
    assert plans.left("event", "job") == []
    plans.put(version=4)


def test_what_was_not_deleted_stays(plans: Plans) -> None:
    plans.put()
    before = plans.left("event", "job")
    plans.later(days=400)
    assert plans.left("event", "job") == before


def test_a_deleted_event_stays_while_a_job_waits_for_it(plans: Plans) -> None:
    plans.put()
    plans.planning.delete("event", "ev-1")
    plans.later(days=31)
    assert "event:ev-1" in plans.left("event")
    plans.planning.delete("job", "j-1")
    plans.later(days=31)
    assert plans.left("event", "job") == []


def test_a_counter_that_only_a_job_has_left_goes(plans: Plans) -> None:
    plans.planning.put("job", "j-1", job_body())
    plans.later(days=31)
    assert plans.left("event") == ["event:ev-1:jobs", "event:ev-1:revision"]
    plans.planning.delete("job", "j-1")
    plans.later(days=31)
    assert plans.left("event", "job") == []


def meanwhile(
    plans: Plans, monkeypatch: pytest.MonkeyPatch, key: str, happens: Callable[[], object]
) -> Callable[[], bool]:
    """Have something happen after a key was looked at and before it is taken away; tells whether it was."""
    accept, done = plans.bench.store.accept, False

    def interrupted(acceptance: Acceptance) -> Accepted:
        nonlocal done
        if any(write.key == key for write in acceptance.writes) and not done:
            done = True
            happens()
        return accept(acceptance)

    monkeypatch.setattr(plans.bench.store, "accept", interrupted)
    return lambda: done


@pytest.mark.parametrize("kind", ["event", "job"])
def test_what_comes_back_while_it_is_looked_at_stays(
    plans: Plans, monkeypatch: pytest.MonkeyPatch, kind: Kind
) -> None:
    name, key, body = (
        ("ev-1", plans.keys.event("ev-1"), event_body())
        if kind == "event"
        else ("j-1", plans.keys.job("j-1"), job_body())
    )
    plans.planning.put(kind, name, body)
    plans.planning.delete(kind, name)
    plans.bench.pass_time(days=31)
    happened = meanwhile(plans, monkeypatch, key, lambda: plans.planning.put(kind, name, body))
    for _ in range(3):
        plans.ticks.trim()
    assert happened()
    assert plans.planning.get(kind, name).body == body


class TestRegistrations:
    def generation(self, plans: Plans) -> int:
        return int(plans.client.hget(plans.keys.generations, "cm1") or 0)

    def forgotten(self, plans: Plans) -> bool:
        return plans.left("registration", "registrations") == [
            "registrations:cursor",
            "registrations:generation:forgotten",
        ]

    def deliver(self, plans: Plans) -> None:
        while taken := plans.bench.take():
            for request_id in taken:
                plans.bench.send(request_id)

    def test_an_ended_one_goes_with_the_history(self, plans: Plans) -> None:
        plans.put()
        plans.registrations.register(PAIR)
        self.deliver(plans)
        plans.registrations.unregister(PAIR)
        plans.later(days=29)
        assert plans.left("registration") == ["registration:L1:cm1"]
        plans.later(days=2)
        assert self.forgotten(plans)
        assert plans.registrations.active() == []

    def test_its_generation_stays_while_a_request_of_it_is_left(self, plans: Plans) -> None:
        plans.put()
        plans.registrations.register(PAIR)
        self.deliver(plans)
        plans.registrations.unregister(PAIR)
        [kept] = plans.bench.accept(plans.bench.patch("Cm1"))
        plans.later(days=31)
        assert (plans.left("registration"), self.generation(plans)) == ([], 1)
        plans.bench.run()
        assert plans.bench.state(kept) == "delivered"
        plans.later(days=31)
        assert self.forgotten(plans)

    def test_generations_grow_whatever_was_forgotten(self, plans: Plans) -> None:
        plans.put()
        for _ in range(3):
            plans.registrations.register(PAIR)
            plans.registrations.unregister(PAIR)
        plans.later(days=31)
        assert self.forgotten(plans)
        plans.registrations.register(Pair("L1", "Other"))
        plans.registrations.unregister(Pair("L1", "Other"))
        plans.later(days=31)
        assert self.forgotten(plans)
        again = plans.registrations.register(Pair("L1", "CM1"))
        assert again.registration.generation == 5
        assert again.registration.content_media_id == "CM1", "the spelling was forgotten too"

    def test_one_that_stands_stays_whole(self, plans: Plans) -> None:
        plans.put()
        plans.registrations.register(PAIR)
        self.deliver(plans)
        before = plans.client.hgetall(plans.keys.registration("L1", "Cm1"))
        plans.later(days=400)
        assert plans.client.hgetall(plans.keys.registration("L1", "Cm1")) == before
        assert self.generation(plans) == 1

    def test_the_greatest_forgotten_generation_counts(self, plans: Plans) -> None:
        plans.planning.put("event", "ev-1", event_body(("L1", "L2")))
        plans.planning.put("job", "j-1", job_body())
        plans.registrations.register(Pair("L2", "First"))
        for _ in range(3):
            plans.registrations.register(PAIR)
            plans.registrations.unregister(PAIR)
        self.deliver(plans)
        plans.later(days=31)
        plans.registrations.unregister(Pair("L2", "First"))
        plans.later(days=31)
        assert self.forgotten(plans)
        assert plans.registrations.register(PAIR).registration.generation == 4

    @pytest.mark.parametrize("what", ["pair", "generation", "request"])
    def test_what_begins_anew_while_it_is_looked_at_stays(
        self, plans: Plans, monkeypatch: pytest.MonkeyPatch, what: str
    ) -> None:
        plans.put()
        quiet = RegistrationService(
            plans.registrations.store,
            plans.planning.store,
            plans.bench.store,
            PropertyNames(),
            sync_on_register=False,
        )
        quiet.register(PAIR)
        quiet.unregister(PAIR)
        plans.bench.pass_time(days=31)
        key = plans.keys.registration("L1", "Cm1") if what == "pair" else plans.keys.forgotten_generation

        def begin() -> None:
            if what == "request":
                plans.bench.accept(plans.bench.patch("Cm1"))
            else:
                quiet.register(PAIR)

        happened = meanwhile(plans, monkeypatch, key, begin)
        for _ in range(3):
            plans.ticks.trim()
        assert happened()
        assert self.generation(plans) == (1 if what == "request" else 2)
        assert quiet.active() == ([] if what == "request" else [PAIR])
        assert (plans.left("registration") == []) == (what == "request")


def timeline_ms(plans: Plans) -> int:
    return int(plans.client.pttl(plans.keys.timeline("Cm1")))


def test_a_timeline_goes_with_the_history_after_its_last_entry(plans: Plans) -> None:
    plans.bench.accept(notes=(TimelineNote("Cm1", "registered", {}),))
    month = plans.bench.store.keep_ms
    assert month - 60_000 < timeline_ms(plans) <= month
    plans.client.persist(plans.keys.timeline("Cm1"))  # as the release before has left it
    plans.later(days=1)
    assert month - 60_000 < timeline_ms(plans) <= month
    plans.client.pexpire(plans.keys.timeline("Cm1"), 5_000_000)
    plans.later(days=1)
    assert timeline_ms(plans) <= 5_000_000, "only another entry keeps it longer"


def test_a_full_store_is_left_as_it_is(plans: Plans) -> None:
    plans.put()
    plans.delete()
    plans.client.set(plans.keys.store_full, "1")
    plans.later(days=31)
    assert "event:ev-1" in plans.left("event")


def test_a_walk_goes_on_where_it_was(plans: Plans, monkeypatch: pytest.MonkeyPatch) -> None:
    """No tick looks at more than its share, however many keys there are."""
    monkeypatch.setattr("app.platform.walk.STEPS", 1)
    monkeypatch.setattr("app.platform.walk.STEP", 10)
    for number in range(200):
        plans.planning.put("job", f"j-{number}", job_body())
        plans.planning.delete("job", f"j-{number}")
    plans.bench.pass_time(days=31)
    # One round, and some more for a table that shrinks meanwhile; other tests have keys on this server too.
    most = 100 + plans.bench.client.dbsize() // 5
    seen: list[int] = []
    while plans.left("job"):
        plans.ticks.trim()
        seen.append(len(plans.left("job")))
        assert len(seen) < most
    assert len(seen) > 5
    assert _falls(seen)


def _falls(numbers: Sequence[Any]) -> bool:
    return list(numbers) == sorted(numbers, reverse=True)
