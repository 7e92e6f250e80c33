"""A store that freezes or dies, and requests that grow too old."""

from __future__ import annotations

import time
import uuid

import pytest

from tests.integration.load import Load
from tests.integration.plan import Match, soon, text
from tests.integration.verdicts import judgement
from tests.support.callers import eventually
from tests.support.deployment import Deployment

pytestmark = [
    pytest.mark.processes,
    pytest.mark.slow,
    pytest.mark.xdist_group("brittle"),
    pytest.mark.timeout(180),
]
FROZEN_S = 1.5


def test_what_is_older_than_the_maximum_age_expires_visibly_and_can_be_retried(brittle: Deployment) -> None:
    match = Match(brittle.api).in_step()
    brittle.avos.fault("status", media=match.media, status=500, on="patch")
    [moved] = match.move(soon(hours=6))
    brittle.api.becomes(moved, "failed", "expired")
    record = brittle.api.becomes(moved, "expired")

    assert record["attemptCount"] >= 2
    assert record["error"]["code"] == "server_error"
    assert [one["id"] for one in brittle.api.requests(state="expired", contentMediaId=match.media)] == [moved]
    assert brittle.api.what_happened(match.media)[-3:] == ["accepted", "failed", "expired"]
    told = [one["eventName"] for one in brittle.happenings() if one.get("requestId") == moved]
    assert told == ["sync-failed", "sync-expired"]
    [shown] = brittle.api.get("/api/custom/contentmedia", livestreamId=match.livestream)["contentmedia"]
    assert shown["state"] == "failing"

    brittle.avos.well(match.media)
    answer = brittle.api.call("POST", f"/api/custom/requests/{moved}/retry")
    assert answer.expect(202)["id"] == moved
    brittle.api.becomes(moved, "delivered")
    assert brittle.avos.state(match.media)["fields"]["bookingPreKOStartTime"] == text(match.kick_off)
    assert brittle.api.what_happened(match.media)[-2:] == ["retried", "delivered"]
    told = [one["eventName"] for one in brittle.happenings() if one.get("requestId") == moved]
    assert told[-2:] == ["sync-delivered", "sync-recovered"]


def test_a_frozen_store_is_answered_at_once_and_service_resumes_by_itself(brittle: Deployment) -> None:
    match = Match(brittle.api).in_step()
    token = brittle.api.post("/api/tokens", {"name": "planner", "scopes": ["read", "write"]})["token"]
    match.kick_off = soon(hours=8)
    key = {"Idempotency-Key": uuid.uuid4().hex}
    url = f"/api/custom/events/ev-{match.name}"

    longer = time.monotonic() + 6  # than the broker's socket time-out
    brittle.freeze_server()
    try:
        refused = [
            brittle.api.call("PUT", url, match.event(), headers=key),
            brittle.api.call("PUT", url, match.event(), headers=key, token=token),
            brittle.api.call("GET", "/api/custom/requests", token=token),
            brittle.api.call("GET", "/readyz"),
        ]
        assert brittle.api.call("GET", "/healthz").status == 200
        while time.monotonic() < longer:
            refused.append(brittle.api.call("GET", f"/api/custom/jobs/job-{match.name}"))
    finally:
        brittle.thaw_server()
    for answer in refused:
        assert (answer.status, "Retry-After" in answer.headers) == (503, True), answer
        assert answer.body["code"]
        assert answer.seconds < FROZEN_S, f"{answer.seconds:.2f} s"

    def accepted() -> list[str] | None:
        answer = brittle.api.call("PUT", url, match.event(), headers=key)
        return answer.body["requestIds"] if answer.status == 200 else None

    ids = eventually(accepted, timeout_s=5, what="the API to take it")
    assert ids
    brittle.api.all_become(ids, "delivered")
    assert brittle.avos.state(match.media)["fields"]["bookingPreKOStartTime"] == text(match.kick_off)


def test_a_store_that_dies_and_comes_back_on_its_files_has_lost_nothing(brittle: Deployment) -> None:
    matches = [Match(brittle.api, kick_off=soon(hours=6)).in_step() for _ in range(6)]
    brittle.restarts()
    brittle.avos.control(latencyMs={"get": 20, "patch": 60})
    loads = [Load(part, pause_s=0.03).start() for part in (matches[:3], matches[3:])]
    try:
        heard(loads[0], 15)
        brittle.power_cut()
        heard(loads[0], 15)
        brittle.server.kill()
        refused = loads[0].repeated + 5
        eventually(
            lambda: loads[0].repeated >= refused, timeout_s=30, what="planning to be refused for a while"
        )
        brittle.server.start()
        heard(loads[0], 15)
    finally:
        for load in loads:
            load.stop()
        brittle.avos.control(latencyMs=0)
    brittle.settle(timeout_s=90)
    assert judgement(brittle, loads) == {}
    Match(brittle.api).in_step()


def heard(load: Load, more: int) -> None:
    enough = len(load.acknowledged) + more
    eventually(lambda: len(load.acknowledged) >= enough, timeout_s=30, what="planning to be heard")
