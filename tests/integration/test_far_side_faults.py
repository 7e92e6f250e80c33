"""What AVOS does wrong, and what becomes of it: refused, throttled, in conflict, silent, or cut off."""

from __future__ import annotations

from typing import Any

import pytest

from tests.integration.plan import Match, soon, text
from tests.integration.test_day import two_ticks
from tests.support import checker
from tests.support.callers import eventually
from tests.support.deployment import Deployment

pytestmark = [pytest.mark.processes, pytest.mark.xdist_group("deployment")]


def test_a_400_parks_that_patch_and_lets_its_sibling_through(deployment: Deployment) -> None:
    match, clock = Match(deployment.api).plan(), Match(deployment.api).in_step()
    deployment.avos.fault("status", media=match.media, status=400, on="patch", path="sourceMedia")
    booking, source = match.register()
    deployment.api.becomes(booking, "delivered")
    record = deployment.api.becomes(source, "rejected")
    assert record["error"]["code"] == "refused"
    assert record["attempts"][-1]["send"]["status"] == 400
    tried = len(deployment.avos.journal(match.media))
    two_ticks(deployment, clock)
    assert len(deployment.avos.journal(match.media)) == tried, "nobody but a person tries it again"
    assert [one["id"] for one in deployment.api.requests(state="rejected", contentMediaId=match.media)] == [
        source
    ]
    [shown] = deployment.api.get("/api/custom/contentmedia", livestreamId=match.livestream)["contentmedia"]
    assert shown["state"] == "failing"

    deployment.avos.well(match.media)
    deployment.api.post(f"/api/custom/requests/{source}/retry")
    deployment.api.becomes(source, "delivered")


@pytest.mark.parametrize(("status", "times"), [(409, 1), (412, 1), (409, 4)])
def test_a_conflict_is_read_again_at_once_and_is_no_failure(
    deployment: Deployment, status: int, times: int
) -> None:
    match = Match(deployment.api).in_step()
    before = deployment.avos.journal()[-1]["seq"]
    deployment.avos.control(
        match.media, conflictStatus=status, faults=[{"kind": "conflict", "on": "patch", "next": times}]
    )
    [moved] = match.move(soon(hours=6))
    record = deployment.api.becomes(moved, "delivered")
    assert (record["attemptCount"], record["firstFailedAt"]) == (1, None)
    journal = deployment.avos.journal(match.media, before)
    assert [entry["status"] for entry in journal if entry["method"] == "PATCH"] == [status] * times + [200]
    assert checker.unread(journal) == []
    assert "failed" not in deployment.api.what_happened(match.media)


def test_a_foreign_edit_between_get_and_patch_is_kept(deployment: Deployment) -> None:
    match = Match(deployment.api).in_step()
    deployment.avos.fault("edit", media=match.media, on="patch", next=1)
    [moved] = match.move(soon(hours=6))
    assert deployment.api.becomes(moved, "delivered")["attemptCount"] == 1
    fields = deployment.avos.state(match.media)["fields"]
    assert fields["editedBy"] == "somebody else"
    assert fields["bookingPreKOStartTime"] == text(match.kick_off)


def test_conflicts_without_end_go_to_the_failed_table_and_then_through(deployment: Deployment) -> None:
    match = Match(deployment.api).in_step()
    deployment.avos.fault("conflict", media=match.media, on="patch")
    [moved] = match.move(soon(hours=6))
    assert deployment.api.becomes(moved, "failed")["error"]["code"] == "conflict"
    deployment.avos.well(match.media)
    assert deployment.api.becomes(moved, "delivered")["attemptCount"] >= 2


def test_retry_after_is_respected(deployment: Deployment) -> None:
    match = Match(deployment.api).in_step()
    before = deployment.avos.journal()[-1]["seq"]
    deployment.avos.fault("status", media=match.media, status=429, retryAfter=5, on="patch", next=1)
    [moved] = match.move(soon(hours=6))
    record = deployment.api.becomes(moved, "failed")
    assert (record["error"]["code"], record["attempts"][-1]["error"]["retryAfter"]) == ("throttled", 5)
    deployment.api.becomes(moved, "delivered")
    refused, accepted = deployment.avos.patches(match.media, before)
    first_get_after = next(
        e for e in deployment.avos.journal(match.media, refused["seq"]) if e["method"] == "GET"
    )
    assert first_get_after["arrived"] - refused["answered"] >= 5
    assert accepted["status"] == 200


@pytest.mark.parametrize("kind", ["reset", "hang"])
def test_an_answer_that_is_lost_after_the_write_is_recognised(deployment: Deployment, kind: str) -> None:
    written, record = _lost(deployment, kind, "after")
    assert [entry["applied"] for entry in written] == [True], "not written twice"
    assert record["attemptCount"] == 1


@pytest.mark.parametrize("kind", ["reset", "hang"])
def test_a_write_that_was_lost_on_its_way_is_written_again_at_once(deployment: Deployment, kind: str) -> None:
    written, record = _lost(deployment, kind, "before")
    assert [entry["applied"] for entry in written] == [False, True]
    assert record["attemptCount"] == 1


def _lost(deployment: Deployment, kind: str, when: str) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    match = Match(deployment.api).in_step()
    before = deployment.avos.journal()[-1]["seq"]
    deployment.avos.fault(kind, media=match.media, when=when, on="patch", next=1)
    [moved] = match.move(soon(hours=6))
    record = deployment.api.becomes(moved, "delivered")
    assert deployment.avos.state(match.media)["fields"]["bookingPreKOStartTime"] == text(match.kick_off)
    return deployment.avos.patches(match.media, before), record


@pytest.mark.parametrize(
    ("code", "fault"),
    [
        ("timeout", {"kind": "hang", "on": "get"}),
        ("connection_reset", {"kind": "reset", "on": "get"}),
        ("malformed_answer", {"kind": "malformed", "on": "get"}),
        ("unauthorized", {"kind": "status", "status": 401, "on": "get"}),
        ("not_found", {"kind": "status", "status": 404, "on": "get"}),
        ("server_error", {"kind": "status", "status": 500, "on": "patch"}),
    ],
)
def test_what_fails_is_in_the_failed_table_and_delivered_by_a_tick(
    deployment: Deployment, code: str, fault: dict[str, Any]
) -> None:
    match = Match(deployment.api).in_step()
    deployment.avos.control(match.media, faults=[fault])
    [moved] = match.move(soon(hours=6))
    record = deployment.api.becomes(moved, "failed")
    assert record["error"]["code"] == code
    eventually(
        lambda: moved in [one["id"] for one in deployment.api.requests(state="failed")],
        what="it to be in the table",
    )
    deployment.avos.well(match.media)
    assert deployment.api.becomes(moved, "delivered")["attemptCount"] >= 2
    assert deployment.api.what_happened(match.media)[-3:] == ["accepted", "failed", "delivered"]


def test_all_that_were_rejected_are_retried_by_one_operation(deployment: Deployment) -> None:
    matches = [Match(deployment.api).in_step() for _ in range(6)]
    for match in matches:
        deployment.avos.fault("status", media=match.media, status=400, on="patch")
    since = text(soon())
    moved = [match.move(soon(hours=6))[0] for match in matches]
    deployment.api.all_become(moved, "rejected")
    for match in matches:
        deployment.avos.well(match.media)

    wanted = {"state": "rejected", "error": "refused", "createdAfter": since}
    answer = deployment.api.call("POST", "/api/custom/requests/retry", wanted)
    operation = answer.expect(202)
    assert answer.headers["Location"] == f"/api/custom/operations/{operation['id']}"
    done = eventually(
        lambda: (o := deployment.api.get(answer.headers["Location"]))["state"] == "done" and o,
        what="the operation",
    )
    assert done
    assert (done["changed"], done["refused"]) == (len(matches), 0)
    deployment.api.all_become(moved, "delivered")
