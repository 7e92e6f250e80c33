"""The fleet at a glance, timelines, hold and release, and why."""

from __future__ import annotations

from typing import Any

import pytest

from app.outgoing.decision import AttemptError, AttemptResult
from app.outgoing.store import OutgoingStore
from app.watch.canaries import Canaries
from tests.support.keys import AllKeys
from tests.unit.http.conftest import Caller
from tests.unit.http.plan import deliver_all, event, job, plan_and_register
from tests.unit.http.test_middleware import check_problem
from tests.unit.http.test_requests import ask, fail


def fleet(caller: Caller, query: str = "") -> list[dict[str, Any]]:
    listed: list[dict[str, Any]] = caller.get(f"/api/custom/contentmedia{query}").json["contentmedia"]
    return listed


def states(caller: Caller, query: str = "") -> dict[str, str]:
    return {member["contentMediaId"]: member["state"] for member in fleet(caller, query)}


def test_a_content_media_goes_from_behind_to_in_step(caller: Caller, system: Any) -> None:
    plan_and_register(caller)
    assert states(caller) == {"CM1": "behind"}
    deliver_all(system)
    (member,) = fleet(caller)
    assert member == {
        "contentMediaId": "CM1",
        "state": "in_step",
        "held": False,
        "missing": None,
        "livestreamId": "L1",
        "eventId": "ev-1",
        "eventName": "Home - Away",
        "jobId": "j-1",
        "preKoUtc": "2036-11-21T19:30:00Z",
        "eventEnd": "2036-11-21T21:45:00Z",
    }


def test_each_state_is_found_by_its_filter(caller: Caller, system: Any) -> None:
    for number in range(1, 5):
        plan_and_register(caller, number)
        deliver_all(system)
    caller.delete("/api/custom/events/ev-1")
    deliver_all(system)
    changed = {**event("L2"), "eventEnd": "2036-11-21T22:00:00Z"}
    request_id = caller.put("/api/custom/events/ev-2", json=changed).json["requestIds"][0]
    fail(system, request_id)
    caller.put("/api/custom/events/ev-3", json={**event("L3"), "eventEnd": "2036-11-21T22:00:00Z"})
    expected = {"CM1": "orphaned", "CM2": "failing", "CM3": "behind", "CM4": "in_step"}
    assert states(caller) == expected
    for media, state in expected.items():
        assert states(caller, f"?state={state}") == {media: state}
    assert states(caller, "?livestreamId=L3") == {"CM3": "behind"}
    assert states(caller, "?eventId=ev-4&name=HOME") == {"CM4": "in_step"}
    assert states(caller, "?name=nobody") == {}
    check_problem(caller.get("/api/custom/contentmedia?state=well"), 400, field="state")


def test_deleting_the_job_orphans_too(caller: Caller, system: Any) -> None:
    plan_and_register(caller)
    caller.delete("/api/custom/jobs/j-1")
    (member,) = fleet(caller)
    assert (member["state"], member["missing"]) == ("orphaned", "no_job")


def test_the_fleet_is_paged_by_id_whatever_its_case(caller: Caller) -> None:
    for number, media in enumerate(["b", "A", "C", "d"], start=1):
        plan_and_register(caller, number, media)
    seen: list[str] = []
    cursor = ""
    for _ in range(4):
        page = caller.get(f"/api/custom/contentmedia?limit=2{cursor}").json
        seen += [member["contentMediaId"] for member in page["contentmedia"]]
        if page["next"] is None:
            break
        cursor = f"&cursor={page['next']}"
    assert seen == ["A", "b", "C", "d"]
    check_problem(caller.get("/api/custom/contentmedia?cursor=~"), 400, field="cursor")


def test_hold_keeps_and_release_lets_go(caller: Caller, system: Any) -> None:
    plan_and_register(caller)
    held = caller.post("/api/custom/contentmedia/cm1/hold")
    assert held.json == {"contentMediaId": "cm1", "held": True, "changed": True}
    assert system[OutgoingStore].promote("avos") == 0
    assert fleet(caller)[0]["held"] is True
    assert caller.post("/api/custom/contentmedia/CM1/hold").json["changed"] is False
    assert caller.post("/api/custom/contentmedia/CM1/release").json["changed"] is True
    deliver_all(system)
    assert states(caller) == {"CM1": "in_step"}
    for verb in ("hold", "release"):
        refused = caller.post(f"/api/custom/contentmedia/misspelt/{verb}")
        check_problem(refused, 404, code="content_media_not_found")


def test_a_hold_is_listed_and_outlives_its_registration_until_it_is_released(
    caller: Caller, system: Any
) -> None:
    """Planning moves a content media to another livestream by ending its registration: that ends nobody's hold."""
    plan_and_register(caller)
    plan_and_register(caller, 2)
    for media in ("cm1", "CM2"):
        caller.post(f"/api/custom/contentmedia/{media}/hold")
    caller.delete("/api/custom/livestreams/registrations?livestreamId=L1&contentMediaId=CM1")
    first = caller.get("/api/custom/holds?limit=1").json
    (held,) = first["holds"]
    assert (held["contentMediaId"], held["livestreamId"], held["by"]) == ("CM1", None, "bootstrap")
    assert held["since"].startswith("20")
    rest = caller.get(f"/api/custom/holds?cursor={first['next']}").json
    assert [(one["contentMediaId"], one["livestreamId"]) for one in rest["holds"]] == [("CM2", "L2")]
    registered = caller.post(
        "/api/custom/livestreams/registrations?livestreamId=L1", json={"contentMediaId": "CM1"}
    )
    assert registered.status_code == 201
    assert system[OutgoingStore].promote("avos") == 0
    caller.delete("/api/custom/livestreams/registrations?livestreamId=L1&contentMediaId=CM1")
    system[OutgoingStore].client.delete(
        AllKeys.of(system.keys).timeline("CM1"), AllKeys.of(system.keys).requests_of("CM1")
    )  # long ago
    assert caller.post("/api/custom/contentmedia/CM1/release").json["changed"] is True
    assert [one["contentMediaId"] for one in caller.get("/api/custom/holds").json["holds"]] == ["CM2"]


def test_the_timeline_tells_what_happened_newest_first(caller: Caller, system: Any) -> None:
    plan_and_register(caller)
    caller.post("/api/custom/contentmedia/CM1/hold")
    page = caller.get("/api/custom/contentmedia/cm1/timeline?limit=1").json
    assert page["timeline"][0]["what"] == "held"
    assert page["timeline"][0]["detail"] == {"by": "bootstrap"}
    rest = caller.get(f"/api/custom/contentmedia/CM1/timeline?cursor={page['next']}").json
    assert "registered" in {entry["what"] for entry in rest["timeline"]}


@pytest.mark.parametrize(
    "cursor", ["x", "LTE.MQ", "OTk5OTk5OTk5OTk5OTk5OTk5OTk5OTk5OTk5OTk5OQ.MA", "%C3%B8.MA", "."]
)
def test_a_cursor_that_was_never_ours(caller: Caller, cursor: str) -> None:
    plan_and_register(caller)
    assert caller.get(f"/api/custom/contentmedia/CM1/timeline?cursor={cursor}").status_code in {200, 400}
    assert caller.get(f"/api/custom/requests?cursor={cursor}").status_code in {200, 400}
    assert caller.get(f"/api/custom/contentmedia?cursor={cursor}").status_code in {200, 400}
    assert caller.get(f"/api/custom/events?cursor={cursor}").status_code in {200, 400}


def why(caller: Caller, identifier: str) -> dict[str, str]:
    """What each kind has to say, as one text."""
    answer = caller.get(f"/api/custom/why/{identifier}")
    assert answer.status_code == 200, answer.text
    return {finding["kind"]: " ".join(finding["sentences"]) for finding in answer.json["findings"]}


def test_why_explains_each_kind_of_id(caller: Caller, system: Any) -> None:
    booking, source = plan_and_register(caller)
    assert "waits for its turn: 0 of at most 200" in why(caller, booking)["request"]
    assert f"waits behind {booking}" in why(caller, source)["request"]
    assert "registered for livestream L1" in why(caller, "cm1")["contentMedia"]
    assert "belongs to event ev-1" in why(caller, "L1")["livestream"]
    assert "Job j-1 counts" in why(caller, "ev-1")["event"]
    assert "the job that counts" in why(caller, "j-1")["job"]
    check_problem(caller.get("/api/custom/why/nothing"), 404, code="id_not_found")
    deliver_all(system)
    assert "was delivered" in why(caller, booking)["request"]
    assert "in step" in why(caller, "CM1")["contentMedia"]


def test_why_names_what_stands_in_the_way(caller: Caller, system: Any) -> None:
    booking, _ = plan_and_register(caller)
    caller.post("/api/custom/contentmedia/CM1/hold")
    assert "holds its content media" in why(caller, booking)["request"]
    caller.post("/api/custom/contentmedia/CM1/release")
    caller.post("/api/custom/destinations/avos/pause")
    assert "paused by bootstrap" in why(caller, booking)["request"]
    caller.post("/api/custom/destinations/avos/resume")
    fail(system, booking)
    text = why(caller, booking)["request"]
    assert "timeout" in text
    assert "tried once" in text


def test_why_looks_at_the_lane_that_a_generic_request_has_been_given(caller: Caller) -> None:
    first, second = (ask(caller, lane="mine", body={"n": n}).json["requestIds"][0] for n in (1, 2))
    assert f"waits behind {first}" in why(caller, second)["request"]


def test_why_tells_orphans_and_later_jobs(caller: Caller) -> None:
    plan_and_register(caller)
    caller.put("/api/custom/jobs/j-2", json=job("ev-1"))
    assert "j-2 was updated later" in why(caller, "j-1")["job"]
    caller.put("/api/custom/jobs/j-3", json=job("ev-9"))
    assert "no such event yet" in why(caller, "j-3")["job"]
    caller.delete("/api/custom/events/ev-1")
    assert "orphaned" in why(caller, "CM1")["contentMedia"]
    assert "is in no event" in why(caller, "L1")["livestream"]
    operation = caller.post("/api/custom/requests/retry?state=failed").json["id"]
    assert "retry by bootstrap" in why(caller, operation)["operation"]


def test_why_of_a_final_request(caller: Caller, system: Any) -> None:
    rejected = ask(caller).json["requestIds"][0]
    fail(system, rejected, "refused", retryable=False)
    assert "A person must look" in why(caller, rejected)["request"]
    caller.post(f"/api/custom/requests/{rejected}/discard")
    assert "discarded by an operator" in why(caller, rejected)["request"]


@pytest.mark.parametrize("code", ["unknown_outcome", "foreign_edit"])
def test_why_says_what_a_person_should_look_for(caller: Caller, system: Any, code: str) -> None:
    (request_id,) = ask(caller).json["requestIds"]
    fail(system, request_id, code, retryable=False)
    (finding,) = caller.get(f"/api/custom/why/{request_id}").json["findings"]
    (cause,) = finding["causes"]
    assert (cause["code"], cause["requestId"]) == ("rejected", request_id)
    assert code in cause["says"]
    assert "Look there first" in cause["todo"] or "overwrites" in cause["todo"]


def causes(caller: Caller, identifier: str, kind: str) -> dict[str, dict[str, Any]]:
    found = caller.get(f"/api/custom/why/{identifier}").json["findings"]
    (finding,) = [one for one in found if one["kind"] == kind]
    return {cause["code"]: cause for cause in finding["causes"]}


@pytest.mark.parametrize(
    ("identifier", "kind"),
    [
        ("CM1", "contentMedia"), ("L1", "livestream"), ("ev-1", "event"), ("j-1", "job"), ("L1:cm1", "registration"),
        ("hOME - aw", "contentMedia"), ("M1", "contentMedia"), ("C…1", "contentMedia"),
    ],
)  # fmt: skip
def test_why_tells_the_requests_of_whatever_has_the_id_or_name(
    caller: Caller, system: Any, identifier: str, kind: str
) -> None:
    booking, _ = plan_and_register(caller)
    fail(system, booking, "refused", retryable=False)
    found = causes(caller, identifier, kind)
    assert found["rejected"]["requestId"] == booking
    assert found["rejected"]["since"] is not None
    assert f"requests retry {booking}" in found["rejected"]["todo"]
    assert "waiting" in found
    about = " ".join(caller.get(f"/api/custom/why/{identifier}").json["findings"][0]["about"])
    assert f"since {found['rejected']['since']}" in about or "is behind" in about or "out of step" in about


def test_why_of_a_part_of_a_request_id(caller: Caller) -> None:
    booking, _ = plan_and_register(caller)
    for part in (booking[:8], f"{booking[:6]}…{booking[-6:]}"):
        assert booking in why(caller, part)["request"]
    check_problem(caller.get(f"/api/custom/why/{booking[:5]}"), 404, code="id_not_found")


def test_why_lists_what_has_the_text_in_its_name(caller: Caller) -> None:
    for number in range(1, 13):
        plan_and_register(caller, number)
    (finding,) = caller.get("/api/custom/why/Home").json["findings"]
    assert finding["kind"] == "matches"
    assert "More than 10" in finding["about"][0]
    assert "CM1: behind; Home - Away" in finding["about"][1]
    caller.put("/api/custom/events/lonely", json={"name": "Nobody's Cup"})
    assert "Nobody's Cup" in why(caller, "nobody's")["event"]


def test_why_of_an_outage_names_the_breaker_and_the_expiry(caller: Caller, system: Any) -> None:
    for number in range(1, 6):
        plan_and_register(caller, number)
    for number in range(1, 5):
        booking = caller.get(f"/api/custom/requests?contentMediaId=CM{number}&limit=2").json["requests"][-1][
            "id"
        ]
        system[OutgoingStore].promote("avos")
        claim = system[OutgoingStore].claim(booking)
        if claim is None:
            break
        system[OutgoingStore].begin(claim, None)
        error = AttemptError("connect_failed", "Nobody listens there.", destination_fault=True)
        attempt = {"at": "2026-11-21T12:00:00Z", "outcome": "failed", "error": "connect_failed"}
        assert system[OutgoingStore].finish(claim, AttemptResult(attempt=attempt, error=error))
    for identifier, kind in (("CM1", "contentMedia"), ("ev-1", "event"), ("avos", "destination")):
        breaker = causes(caller, identifier, kind)["breaker_open"]
        assert "connect_failed: Nobody listens there." in breaker["says"]
        assert breaker["since"]
        assert "probe" in breaker["next"]
    first = causes(caller, "CM1", "contentMedia")["failed"]
    assert "It expires at 20" in first["next"]
    assert "It expires at 20" in causes(caller, "CM5", "contentMedia")["waiting"]["next"]


def test_why_of_what_is_held_and_not_registered_any_more(caller: Caller) -> None:
    plan_and_register(caller)
    caller.post("/api/custom/contentmedia/CM1/hold")
    caller.delete("/api/custom/livestreams/registrations?livestreamId=L1&contentMediaId=CM1")
    assert "(bootstrap)" in causes(caller, "CM1", "contentMedia")["held"]["says"]
    assert "and ended at" in why(caller, "L1:CM1")["registration"]


def test_why_names_queues_that_nobody_works_on(caller: Caller, system: Any) -> None:
    plan_and_register(caller)
    for _ in range(5):
        system[Canaries]._round()
    found = causes(caller, "CM1", "contentMedia")
    assert "Nobody works on the queue" in found["workers_silent"]["says"]
