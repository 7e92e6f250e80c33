"""The audit's rounds: what is near, how much a tick does, and when it leaves AVOS alone."""

from __future__ import annotations

from datetime import timedelta

import pytest

from app.outgoing.store import OutgoingStore
from app.planning.service import PlanningService
from deploy.simulators.avos import AvosStandIn
from tests.support.keys import AllKeys
from tests.unit.drift.conftest import Near

THEIRS = "2040-01-01T00:00:00Z"


def test_only_what_is_near_is_compared(near: Near) -> None:
    near.plan(1)
    near.plan(2, near.kick_off + timedelta(days=3))
    near.plan(3, near.kick_off - timedelta(days=1))
    near.plan(4, near.kick_off - timedelta(hours=7))  # ended three hours ago
    assert near.audit.tick() == 2
    assert near.drift() == {"Cm1": "in_step", "Cm4": "in_step"}


def test_an_end_in_the_last_year_stops_no_round(near: Near) -> None:
    """Stored before times were bounded."""
    near.plan(1)
    near.system[PlanningService].put("event", "ev-1", {**near.event(1), "eventEnd": "9999-12-31T23:59:59Z"})
    near.deliver()
    assert near.audit.tick() == 1


def test_what_it_finds_is_listed_counted_and_told_once(near: Near, avos: AvosStandIn) -> None:
    for number in (1, 2, 3):
        near.plan(number)
    avos.edit("Cm2", {"eventEndTime": THEIRS})
    avos.control("Cm3", shows="none")
    for _ in range(3):
        near.audit.tick()
    assert near.drift() == {"Cm1": "in_step", "Cm2": "drifted", "Cm3": "not_observable"}
    assert near.drift("?state=drifted") == {"Cm2": "drifted"}
    assert near.told() == 1
    metrics = near.metrics()
    assert 'mediaops_drift_content_media{state="drifted"} 1.0' in metrics
    assert 'mediaops_drift_content_media{state="not_observable"} 1.0' in metrics
    assert "mediaops_drift_round_age_seconds" in metrics
    listed = near.caller.get("/api/custom/drift").json
    assert listed["round"]["endedAt"] is not None
    assert (listed["round"]["underWay"], listed["round"]["compared"]) == (False, 3)


def test_the_list_is_paged(near: Near) -> None:
    for number in range(1, 5):
        near.plan(number)
    near.audit.tick()
    seen, cursor = [], ""
    while True:
        page = near.caller.get(f"/api/custom/drift?limit=2{cursor}").json
        seen += [one["contentMediaId"] for one in page["drift"]]
        if page["next"] is None:
            break
        cursor = f"&cursor={page['next']}"
    assert seen == ["Cm1", "Cm2", "Cm3", "Cm4"]
    assert near.caller.get("/api/custom/drift?cursor=%21").status_code == 400


def test_a_round_is_spread_over_its_interval(near: Near) -> None:
    for number in range(1, 9):
        near.plan(number)
    audit = near.audit_of(interval_s=100)
    before = near.gets()
    done = [audit.tick() for _ in range(9)]
    assert done == [1] * 8 + [0], "eight of them in ten ticks: one a tick"
    assert near.gets() - before == 8
    assert near.caller.get("/api/custom/drift").json["round"]["underWay"] is False
    assert audit.tick() == 0, "the next round begins an interval after this one began"


def test_what_is_busy_is_skipped_and_keeps_its_result(near: Near, avos: AvosStandIn) -> None:
    near.plan(1)
    near.plan(2)
    near.audit.tick()
    near.caller.put("/api/custom/events/ev-1", json={**near.event(1), "eventEnd": THEIRS})
    before = near.gets()
    assert near.audit.tick() == 1
    assert near.gets() - before == 1
    assert near.drift() == {"Cm1": "in_step", "Cm2": "in_step"}
    assert near.caller.get("/api/custom/drift").json["round"]["skipped"] == 1


@pytest.mark.parametrize("how", ["paused", "breaker", "full"])
def test_avos_is_left_alone(near: Near, how: str) -> None:
    near.plan()
    system = near.system
    key = AllKeys.of(system.keys).destination("avos")
    if how == "full":
        limit = system[OutgoingStore].destinations.of("avos").in_flight
        system.redis.zadd(AllKeys.of(system.keys).live("avos"), {f"r{n}": 9e15 for n in range(limit)})
    else:
        system.redis.hset(key, how, "1")
    before = near.gets()
    assert (near.audit.tick(), near.gets()) == (0, before)
    assert near.drift() == {}


def test_an_avos_that_does_not_answer_is_asked_once_a_tick(near: Near, avos: AvosStandIn) -> None:
    for number in (1, 2, 3):
        near.plan(number)
    avos.control(faults=[{"kind": "status", "status": 503, "on": "get"}])
    before = near.gets()
    assert (near.audit.tick(), near.gets() - before) == (0, 1)
    avos.control(faults=[])
    near.audit.tick()
    assert near.drift() == {"Cm2": "in_step", "Cm3": "in_step"}, "and what hung is passed over this round"
    near.audit.tick()
    assert len(near.drift()) == 3


def test_what_is_no_longer_registered_is_forgotten(near: Near, avos: AvosStandIn) -> None:
    near.plan(1)
    near.plan(2)
    avos.edit("Cm1", {"eventEndTime": THEIRS})
    near.audit.tick()
    near.caller.delete("/api/custom/livestreams/registrations?livestreamId=L1&contentMediaId=Cm1")
    assert near.drift() == {"Cm2": "in_step"}
    near.audit.tick()
    assert 'mediaops_drift_content_media{state="drifted"} 0.0' in near.metrics()
    assert not near.system.redis.keys("*drift:result:cm1")


def test_healing_by_the_audit(healing: Near, avos: AvosStandIn) -> None:
    healing.plan(1)
    ours = healing.field("Cm1", "txEventType")
    avos.edit("Cm1", None, {"txEventType": "Theirs"})
    healing.audit.tick()
    assert healing.deliver() == ["delivered"]
    assert healing.field("Cm1", "txEventType") == ours
    healing.audit.tick()
    assert healing.drift() == {"Cm1": "in_step"}
