"""One content media: the check on demand, what it tells, and what it heals."""

from __future__ import annotations

from typing import Any

import pytest

from app.avos.client import AvosClient
from deploy.simulators.avos import AvosStandIn
from tests.unit.drift.conftest import Near
from tests.unit.http.plan import job
from tests.unit.http.test_middleware import check_problem

THEIRS = "2040-01-01T00:00:00Z"


def test_what_is_in_step(near: Near) -> None:
    near.plan()
    answer = near.check("cM1")
    assert answer.status_code == 200
    found = answer.json
    assert (found["contentMediaId"], found["state"]) == ("Cm1", "in_step")
    assert (found["members"], found["notShown"], found["error"], found["healing"]) == ([], [], None, [])
    assert near.drift() == {"Cm1": "in_step"}
    assert near.happened("Cm1")[-1] == "delivered"


def test_a_drift_is_told_once_until_it_has_gone(near: Near, avos: AvosStandIn) -> None:
    near.plan()
    ours = near.field("Cm1")
    avos.edit("Cm1", {"eventEndTime": THEIRS}, {"txEventType": "Theirs"})
    found = near.check("Cm1").json
    assert found["state"] == "drifted"
    assert found["members"] == [
        {"kind": "booking", "member": "eventEndTime", "wanted": ours, "shown": THEIRS},
        {"kind": "source", "member": "txEventType", "wanted": "Live", "shown": "Theirs"},
    ]
    again = near.check("Cm1").json
    assert again["since"] == found["since"]
    assert (near.told(), near.happened("Cm1").count("drifted"), near.deliver()) == (1, 1, [])
    avos.edit("Cm1", {"eventEndTime": "2041-01-01T00:00:00Z"})
    near.check("Cm1")
    assert near.told() == 2, "another drift"
    avos.edit("Cm1", {"eventEndTime": ours}, {"txEventType": "Live"})
    assert near.check("Cm1").json["state"] == "in_step"
    assert near.happened("Cm1")[-1] == "drift-ended"
    avos.edit("Cm1", {"eventEndTime": THEIRS})
    near.check("Cm1")
    assert near.told() == 3


@pytest.mark.parametrize(
    ("shows", "state"),
    [
        ("otherCase", "in_step"),
        ("zoneless", "in_step"),
        ("none", "not_observable"),
        ("some", "not_observable"),
    ],
)
def test_spelling_and_hiding_are_no_drift(near: Near, avos: AvosStandIn, shows: str, state: str) -> None:
    near.plan()
    avos.control(shows=shows, coarse=True)
    found = near.check("Cm1").json
    assert (found["state"], found["members"]) == (state, [])
    assert bool(found["notShown"]) is (state == "not_observable")
    assert near.told() == 0


def test_a_drift_of_what_is_shown_counts_though_not_all_is(near: Near, avos: AvosStandIn) -> None:
    near.plan()
    avos.control(shows="some")
    avos.edit("Cm1", {"bookingPreKOStartTime": THEIRS})
    found = near.check("Cm1").json
    assert (found["state"], [m["member"] for m in found["members"]]) == ("drifted", ["bookingPreKOStartTime"])
    avos.control(shows="none")
    assert near.check("Cm1").json["state"] == "not_observable"
    avos.control(shows="some")
    near.check("Cm1")
    assert near.told() == 1, "it had not gone"


def test_what_is_on_its_way_is_no_drift(near: Near) -> None:
    near.plan()
    moved = {**near.event(1), "eventEnd": THEIRS}
    near.caller.put("/api/custom/events/ev-1", json=moved)
    check_problem(near.check("Cm1"), 409, code="content_media_busy")
    near.deliver()
    assert near.check("Cm1").json["state"] == "in_step"


def test_what_is_held_or_failing_is_left_alone(near: Near) -> None:
    near.plan()
    near.caller.post("/api/custom/contentmedia/Cm1/hold")
    check_problem(near.check("Cm1"), 409, code="content_media_busy")
    near.plan(2, nodes=False)  # its source can't be composed
    check_problem(near.check("Cm2"), 409, code="content_media_busy")


def test_planning_that_moves_while_avos_is_read_is_no_drift(
    near: Near, monkeypatch: pytest.MonkeyPatch
) -> None:
    near.plan()
    read = AvosClient.read

    def late(self: AvosClient, path: str, *, deadline: float) -> Any:
        monkeypatch.undo()
        near.caller.put("/api/custom/events/ev-1", json={**near.event(1), "eventEnd": THEIRS})
        near.deliver()
        return read(self, path, deadline=deadline)

    monkeypatch.setattr(AvosClient, "read", late)
    check_problem(near.check("Cm1"), 409, code="content_media_busy")
    assert near.told() == 0
    assert near.check("Cm1").json["state"] == "in_step"


def test_what_is_sent_while_avos_is_read_is_no_drift(near: Near, monkeypatch: pytest.MonkeyPatch) -> None:
    """Planning has not changed: somebody has asked for everything once more, and it is on its way."""
    near.plan()
    near.avos.edit("Cm1", {"eventEndTime": THEIRS})
    show = AvosClient.show

    def late(self: AvosClient, media: str, *, timeout_s: float) -> Any:
        monkeypatch.undo()
        near.caller.get("/api/custom/livestreams/update?contentMediaId=Cm1")
        return show(self, media, timeout_s=timeout_s)

    monkeypatch.setattr(AvosClient, "show", late)
    check_problem(near.check("Cm1"), 409, code="content_media_busy")
    assert near.told() == 0
    near.deliver()
    assert near.check("Cm1").json["state"] == "in_step"


def test_unknown_and_unreadable_content_media(near: Near, avos: AvosStandIn) -> None:
    check_problem(near.check("nobody"), 404, code="not_registered")
    near.plan()
    avos.control(faults=[{"kind": "status", "status": 404, "on": "get"}])
    found = near.check("Cm1").json
    assert (found["state"], found["error"]["code"]) == ("unreadable", "not_found")
    assert near.drift("?state=unreadable") == {"Cm1": "unreadable"}
    avos.control(faults=[{"kind": "status", "status": 503, "on": "get"}])
    check_problem(near.check("Cm1"), 503, code="avos_unavailable")


def test_healing_sends_what_differs_through_the_queue(healing: Near, avos: AvosStandIn) -> None:
    healing.plan()
    ours = healing.field("Cm1")
    avos.edit("Cm1", {"eventEndTime": THEIRS})
    found = healing.check("Cm1").json
    [request_id] = found["healing"]
    record = healing.caller.get(f"/api/custom/requests/{request_id}").json
    assert (record["state"], record["kind"], record["body"]) == ("pending", "booking", {"eventEndTime": ours})
    assert healing.deliver() == ["delivered"]
    assert healing.field("Cm1") == ours
    assert healing.check("Cm1").json["state"] == "in_step"
    happened = healing.happened("Cm1")
    assert [word for word in happened if word not in ("accepted", "delivered")][-3:] == [
        "drifted",
        "healed",
        "drift-ended",
    ]
    assert healing.told() == 1, "the PATCH doesn't tell it again"


def test_a_far_side_that_keeps_its_value_is_not_written_to_again_and_again(
    healing: Near, avos: AvosStandIn
) -> None:
    healing.plan()
    avos.edit("Cm1", {"eventEndTime": THEIRS})
    healing.check("Cm1")
    healing.deliver()
    avos.edit("Cm1", {"eventEndTime": THEIRS})
    for _ in range(3):
        assert len(healing.check("Cm1").json["healing"]) == 1
        assert healing.deliver() == []


def test_a_caller_that_has_set_the_field_itself_is_not_overruled(healing: Near) -> None:
    healing.plan()
    body = {"eventEndTime": THEIRS}
    path = "/external/contentMedia/live/Cm1"
    healing.caller.post("/api/custom/requests", json={"method": "PATCH", "path": path, "body": body})
    healing.deliver()
    found = healing.check("Cm1").json
    assert (found["state"], found["healing"], healing.deliver()) == ("drifted", [], [])


def test_where_edits_are_parked_nothing_is_healed_by_itself(avos: AvosStandIn, tenant: str) -> None:
    near = Near(avos, tenant, drift_heal=True, foreign_edits="park")
    near.plan()
    avos.edit("Cm1", {"eventEndTime": THEIRS})
    assert (near.check("Cm1").json["healing"], near.field("Cm1")) == ([], THEIRS)
    moved = {**near.event(1), "eventEnd": "2042-01-01T00:00:00Z"}
    [request_id] = near.caller.put("/api/custom/events/ev-1", json=moved).json["requestIds"]
    near.deliver()
    assert near.caller.get(f"/api/custom/requests/{request_id}").json["error"]["code"] == "foreign_edit"


def test_the_preview_shows_both_sides(near: Near, avos: AvosStandIn) -> None:
    near.plan()
    near.caller.put("/api/custom/jobs/j-1", json={**job(), "jobInfo": {"jobName": "x"}})
    avos.edit("Cm1", {"eventEndTime": THEIRS})
    avos.control(shows="zoneless")
    answer = near.caller.get("/api/custom/contentmedia/cm1/preview")
    assert (answer.status_code, answer.headers["Cache-Control"]) == (200, "no-store")
    seen = answer.json
    booking, source = seen["requests"]
    verdicts = {one["member"]: one["verdict"] for one in booking["members"]}
    assert verdicts == {"bookingPreKOStartTime": "equal", "eventEndTime": "different"}
    assert booking["absent"] == ["bookingStartTime"]
    assert {one["verdict"] for one in source["members"]} == {"equal"}
    assert (booking["method"], booking["path"]) == ("PATCH", "/external/contentMedia/live/Cm1")
    assert seen["avos"]["status"] == 200
    assert seen["avos"]["latencyMs"] > 0
    assert seen["avos"]["lastModified"]
    assert (seen["contentMediaId"], seen["livestreamId"], seen["jobId"]) == ("Cm1", "L1", "j-1")


def test_the_preview_without_avos_or_without_a_body(near: Near, avos: AvosStandIn) -> None:
    near.plan(nodes=False)
    avos.control(faults=[{"kind": "reset", "on": "get"}])
    seen = near.caller.get("/api/custom/contentmedia/Cm1/preview").json
    assert seen["avos"]["error"]["code"] == "connection_reset"
    booking, source = seen["requests"]
    assert [one["verdict"] for one in booking["members"]] == [None] * 3
    assert (source["rejected"]["code"], source["members"]) == ("no_dmhe_resource", [])
    assert seen["failing"] is True
    check_problem(near.caller.get("/api/custom/contentmedia/nobody/preview"), 404, code="not_registered")
