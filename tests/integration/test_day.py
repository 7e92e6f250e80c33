"""A day with planning: what it sends reaches AVOS, in order and fresh. Proofs are the stand-in's journal."""

from __future__ import annotations

from datetime import timedelta

import pytest

from tests.integration.plan import Match, soon, text
from tests.support import checker
from tests.support.callers import eventually
from tests.support.deployment import Deployment

pytestmark = [pytest.mark.processes, pytest.mark.xdist_group("deployment")]


def test_registering_sends_both_patches_in_order_each_with_its_own_get(deployment: Deployment) -> None:
    match = Match(deployment.api).plan()
    ids = match.register()
    deployment.api.all_become(ids, "delivered")

    journal = deployment.avos.journal(match.media)
    path = f"/external/contentMedia/live/{match.media}"
    assert [(entry["method"], entry["path"], entry["status"]) for entry in journal] == [
        ("GET", path, 200),
        ("PATCH", path, 200),
        ("GET", path, 200),
        ("PATCH", f"{path}/technicalMedia/sourceMedia/", 200),
    ]
    assert journal[1]["lastModified"] == journal[0]["before"]
    assert journal[3]["lastModified"] == journal[2]["before"] == journal[1]["after"] != journal[0]["before"]
    assert {name: value for name, value in journal[1]["body"].items() if name != "lastModified"} == {
        "bookingPreKOStartTime": text(match.kick_off),
        "bookingStartTime": text(match.kick_off - timedelta(hours=1)),
        "eventEndTime": text(match.kick_off + timedelta(hours=2)),
    }
    assert journal[3]["body"]["heSourceAddresses"] == [
        {
            "destination": "http://example.com/destination1",
            "resources": [
                {"resource": "ResourceA", "order": 1, "sourceUri": f"http://example.com/{match.name}"}
            ],
        }
    ]
    active = deployment.api.get("/api/custom/livestreams/registrations/active")["activeLivestreams"]
    assert match.pair in active


def test_a_kick_off_moved_three_times_within_a_second_ends_with_the_last(deployment: Deployment) -> None:
    match = Match(deployment.api).in_step()
    deployment.avos.control(match.media, latencyMs=150)
    before = deployment.avos.journal()[-1]["seq"]
    wanted = [soon(hours=6, minutes=number) for number in range(3)]

    ids = [request_id for kick_off in wanted for request_id in match.move(kick_off)]
    records = deployment.api.all_become(ids, "delivered", "superseded")

    times = [deployment.api.request(request_id)["createdAt"] for request_id in ids]
    assert len(ids) == 3
    assert max(times) < min(times)[:17] + "99", times  # within one minute: the clock may tick in between
    written = [
        entry["body"]["bookingPreKOStartTime"] for entry in deployment.avos.patches(match.media, before)
    ]
    order = [text(kick_off) for kick_off in wanted]
    assert written[-1] == order[-1] == deployment.avos.state(match.media)["fields"]["bookingPreKOStartTime"]
    assert written == sorted(set(written), key=order.index), "an older value after a newer one, or one twice"
    assert records[-1]["state"] == "delivered"
    assert checker.unread(deployment.avos.journal(match.media)) == []


def test_a_change_that_avos_would_not_see_queues_nothing_and_a_forced_update_both(
    deployment: Deployment,
) -> None:
    match = Match(deployment.api).in_step()
    before = deployment.avos.journal()[-1]["seq"]
    assert deployment.api.put(f"/api/custom/jobs/job-{match.name}", match.job())["requestIds"] == []
    assert deployment.avos.journal(match.media, before) == []

    ids = match.force()
    deployment.api.all_become(ids, "delivered")
    assert [entry["method"] for entry in deployment.avos.journal(match.media, before)] == ["GET", "PATCH"] * 2


def test_unregistering_ends_what_is_under_way_and_what_failed(deployment: Deployment) -> None:
    failing, moving, clock = (
        Match(deployment.api).in_step(),
        Match(deployment.api).in_step(),
        Match(deployment.api).in_step(),
    )
    deployment.avos.fault("status", media=failing.media, status=500, on="patch")
    failed = failing.move(soon(hours=7)) + failing.force()
    deployment.api.all_become(failed[-2:], "failed")
    deployment.avos.control(moving.media, latencyMs={"get": 1500})
    under_way = moving.force()
    deployment.api.becomes(under_way[0], "live")

    ended = {match.media: match.unregister().expect(200) for match in (failing, moving)}
    before = deployment.avos.journal()[-1]["seq"]
    deployment.avos.well(failing.media)

    assert all(answer["deletedAt"] for answer in ended.values())
    for record in deployment.api.all_become(failed + under_way, "superseded"):
        assert record["reason"] in ("unregistered", "newer"), record
    assert failing.move(soon(hours=8)) == []
    two_ticks(deployment, clock)
    for match in (failing, moving):
        assert deployment.avos.patches(match.media, before) == []
    answer = deployment.api.call("POST", f"/api/custom/requests/{failed[-1]}/retry")
    assert answer.status == 409, answer.body

    again = failing.register()
    deployment.api.all_become(again, "delivered")
    state = deployment.avos.state(failing.media)["fields"]
    assert state["bookingPreKOStartTime"] == text(failing.kick_off)
    answer = deployment.api.call("POST", f"/api/custom/requests/{failed[-1]}/retry")
    assert answer.status == 409, answer.body


def test_a_held_content_media_gets_nothing_and_then_only_the_newest(deployment: Deployment) -> None:
    match, clock = Match(deployment.api).in_step(), Match(deployment.api).in_step()
    path = f"/api/custom/contentmedia/{match.media}"
    assert deployment.api.post(f"{path}/hold")["changed"]
    before = deployment.avos.journal()[-1]["seq"]
    ids = match.move(soon(hours=6)) + match.move(soon(hours=7))
    two_ticks(deployment, clock)
    assert deployment.avos.journal(match.media, before) == []
    assert deployment.api.request(ids[-1])["state"] == "pending"
    [shown] = deployment.api.get("/api/custom/contentmedia", livestreamId=match.livestream)["contentmedia"]
    assert (shown["held"], shown["state"]) == (True, "behind")

    assert deployment.api.post(f"{path}/release")["changed"]
    deployment.api.becomes(ids[-1], "delivered")
    [written] = deployment.avos.patches(match.media, before)
    assert written["body"]["bookingPreKOStartTime"] == text(match.kick_off)
    assert deployment.api.request(ids[0])["supersededBy"] == ids[-1]


def two_ticks(deployment: Deployment, clock: Match) -> None:
    """Until the failed table has been retried twice, as seen by another content media that goes on failing."""
    deployment.avos.fault("status", media=clock.media, status=503, on="patch")
    request_id = clock.force()[0]
    eventually(lambda: deployment.api.request(request_id)["attemptCount"] >= 3, what="two retries")
    deployment.avos.well(clock.media)
    deployment.api.becomes(request_id, "delivered")
