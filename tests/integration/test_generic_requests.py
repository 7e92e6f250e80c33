"""Requests of callers' own: sent as they are, in the order of their lane, once."""

from __future__ import annotations

import itertools
import uuid
from typing import Any

import pytest

from tests.integration.plan import Match, soon
from tests.support import checker
from tests.support.callers import Answer
from tests.support.deployment import Deployment

pytestmark = [pytest.mark.processes, pytest.mark.xdist_group("deployment")]


def send(deployment: Deployment, method: str, path: str, key: str | None = None, **more: Any) -> Answer:
    headers = {"Idempotency-Key": key} if key else None
    return deployment.api.call(
        "POST", "/api/custom/requests", {"method": method, "path": path, **more}, headers=headers
    )


def test_other_methods_are_sent_as_they_are_in_the_order_of_their_lane(deployment: Deployment) -> None:
    lane = f"lane-{uuid.uuid4().hex}"
    path = f"/external/things/{lane}"
    deployment.avos.control(latencyMs={"post": 150, "put": 80, "delete": 0})
    odd = {"empty": [], "large": 2**60 + 1, "nothing": None, "text": "é\u2028"}
    calls = [("POST", path, odd), ("PUT", path, {"n": 2}), ("POST", f"{path}/x", []), ("DELETE", path, None)]
    ids = []
    for method, to, body in calls:
        more: dict[str, Any] = {} if body is None else {"body": body}
        answer = send(deployment, method, to, lane=lane, **more)
        ids += answer.expect(202)["requestIds"]
        assert answer.headers["Location"] == f"/api/custom/requests/{ids[-1]}"
    deployment.api.all_become(ids, "delivered")

    journal = [entry for entry in deployment.avos.journal() if lane in entry["path"]]
    assert [(entry["method"], entry["path"], entry["body"]) for entry in journal] == calls
    for before, after in itertools.pairwise(journal):
        assert before["answered"] <= after["arrived"], "one at a time"


def test_the_requirements_own_patch_is_sent_with_a_fresh_last_modified(deployment: Deployment) -> None:
    match = Match(deployment.api).in_step()
    before = deployment.avos.journal()[-1]["seq"]
    body = {"bookingStartTime": "2026-11-21T18:00:00Z", "lastModified": "2020-01-01T00:00:00Z"}
    answer = send(deployment, "PATCH", f"/external/contentMedia/live/{match.media}", body=body)
    deployment.api.all_become(answer.expect(202)["requestIds"], "delivered")
    read, patch = deployment.avos.journal(match.media, before)
    assert (read["method"], patch["method"]) == ("GET", "PATCH")
    assert patch["body"]["bookingStartTime"] == body["bookingStartTime"]
    assert patch["body"]["lastModified"] not in (None, body["lastModified"])


def test_a_generic_patch_joins_the_lane_of_its_content_media(deployment: Deployment) -> None:
    match = Match(deployment.api).in_step()
    before = deployment.avos.journal()[-1]["seq"]
    deployment.avos.control(match.media, latencyMs=100)
    path = f"/external/contentMedia/live/{match.media}"
    first = match.move(soon(hours=6))
    patch = send(deployment, "PATCH", path.replace("contentMedia", "contentmedia"), body={"title": "Derby"})
    barrier = send(deployment, "POST", f"{path}/notes", body={"text": "moved"})
    last = match.move(soon(hours=7))
    ids = first + patch.expect(202)["requestIds"] + barrier.expect(202)["requestIds"] + last
    records = deployment.api.all_become(ids, "delivered", "superseded")

    assert {record["lane"] for record in records} == {match.media.casefold()}
    journal = deployment.avos.journal(match.media, before)
    assert checker.side_by_side(journal) == []
    assert checker.unread(journal) == []
    writes = [(e["method"], e["path"], e["body"].get("title")) for e in journal if e["method"] != "GET"]
    assert ("PATCH", path, "Derby") in writes
    assert writes[-2:] == [("POST", f"{path}/notes", None), ("PATCH", path, None)], (
        "the barrier waits and holds"
    )
    state = deployment.avos.state(match.media)["fields"]
    assert state["title"] == "Derby"


@pytest.mark.parametrize("fault", [{"kind": "reset"}, {"kind": "status", "status": 502}])
def test_a_post_whose_answer_is_lost_is_parked_not_repeated(
    deployment: Deployment, fault: dict[str, Any]
) -> None:
    path = f"/external/things/{uuid.uuid4().hex}"
    deployment.avos.control(faults=[fault | {"when": "after", "on": "post", "path": path}])
    [request_id] = send(deployment, "POST", path, body={"n": 1}).expect(202)["requestIds"]
    assert deployment.api.becomes(request_id, "rejected")["error"]["code"] == "unknown_outcome"
    assert len([entry for entry in deployment.avos.journal() if entry["path"] == path]) == 1


def test_the_same_idempotency_key_is_the_same_request(deployment: Deployment) -> None:
    path = f"/external/things/{uuid.uuid4().hex}"
    key = uuid.uuid4().hex
    first = send(deployment, "POST", path, key, body={"n": 1})
    [request_id] = first.expect(202)["requestIds"]
    deployment.api.becomes(request_id, "delivered")
    assert send(deployment, "POST", path, key, body={"n": 1}).expect(202)["requestIds"] == [request_id]
    assert send(deployment, "POST", path, key, body={"n": 2}).status == 422
    assert [entry["body"] for entry in deployment.avos.journal() if entry["path"] == path] == [{"n": 1}]


def test_planning_may_repeat_a_call_with_its_key(deployment: Deployment) -> None:
    match = Match(deployment.api).in_step()
    match.kick_off = soon(hours=9)
    key = {"Idempotency-Key": uuid.uuid4().hex}
    url = f"/api/custom/events/ev-{match.name}"
    answers = [deployment.api.call("PUT", url, match.event(), headers=key).expect(200) for _ in range(2)]
    assert answers[0]["requestIds"] == answers[1]["requestIds"] != []
