"""One content media that AVOS never takes, and a blink of AVOS: on real workers, what it costs the others."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from tests.integration.plan import Match, soon, text
from tests.integration.test_day import two_ticks
from tests.support.callers import eventually
from tests.support.deployment import QUICK, Deployment

pytestmark = [pytest.mark.processes, pytest.mark.timeout(240)]


def avos(deployment: Deployment) -> dict[str, Any]:
    destination = deployment.api.destination("avos")
    return dict(destination)


def attempts(deployment: Deployment, request_id: str) -> int:
    return int(deployment.api.request(request_id)["attemptCount"])


@pytest.mark.xdist_group("deployment")
def test_a_content_media_that_avos_forbids_stops_nobody(deployment: Deployment) -> None:
    forbidden, clock = Match(deployment.api).in_step(), Match(deployment.api).in_step()
    others = [Match(deployment.api).in_step() for _ in range(5)]
    opened = avos(deployment)["timesOpened"]
    deployment.avos.fault("status", media=forbidden.media, status=403)
    [refused] = forbidden.move(soon(hours=6))
    deployment.api.becomes(refused, "failed")
    two_ticks(deployment, clock)
    for hours in (7, 8):
        deployment.api.all_become([match.move(soon(hours=hours))[0] for match in others], "delivered")
        two_ticks(deployment, clock)
    assert avos(deployment)["timesOpened"] == opened
    assert attempts(deployment, refused) >= 4, "the tick goes on trying it"
    deployment.avos.well(forbidden.media)
    deployment.api.becomes(refused, "delivered")


@pytest.mark.xdist_group("deployment")
@pytest.mark.parametrize(("lanes", "status"), [(2, 403), (3, 504)])
def test_some_that_are_never_taken_stop_the_others_once_and_not_for_long(
    deployment: Deployment, lanes: int, status: int
) -> None:
    bad = [Match(deployment.api).in_step() for _ in range(lanes)]
    others = [Match(deployment.api).in_step() for _ in range(5)]
    opened = avos(deployment)["timesOpened"]
    for match in bad:
        deployment.avos.fault("status", media=match.media, status=status)
    refused = [match.move(soon(hours=6))[0] for match in bad]
    eventually(lambda: avos(deployment)["timesOpened"] > opened, what="the breaker to open")
    eventually(lambda: all(attempts(deployment, one) >= 2 for one in refused), what="probes of each")
    assert avos(deployment)["state"] == "open", "nothing has shown that others are served"
    for hours in (7, 8, 9):
        deployment.api.all_become([match.move(soon(hours=hours))[0] for match in others], "delivered")
        tried = [attempts(deployment, one) for one in refused]
        eventually(
            lambda tried=tried: all(  # type: ignore[misc]
                attempts(deployment, one) > before for one, before in zip(refused, tried, strict=True)
            ),
            what="the tick to try them again",
        )
    assert avos(deployment)["timesOpened"] == opened + 1, (
        "others are served: it isn't held against them again"
    )
    for match in bad:
        deployment.avos.well(match.media)
    deployment.api.all_become(refused, "delivered")


@pytest.mark.slow
@pytest.mark.xdist_group("blink")
@pytest.mark.parametrize("hit", [2, 8])
def test_after_a_blink_of_avos_nobody_waits_for_the_tick(tmp_path: Path, hit: int) -> None:
    with Deployment(tmp_path, **{**QUICK, "MEDIAOPS_RETRY_INTERVAL_S": "60"}) as deployment:
        matches = [Match(deployment.api).in_step() for _ in range(hit)]
        deployment.avos.control(down="refuse", downForS=0.5)
        began = time.monotonic()
        moved = [match.move(soon(hours=6))[0] for match in matches]
        eventually(lambda: any(attempts(deployment, one) for one in moved), what="an attempt")
        deployment.api.all_become(moved, "delivered", timeout_s=40)
        assert time.monotonic() - began < 30, "long before the tick"
        records = [deployment.api.request(one) for one in moved]
        assert any(one["firstFailedAt"] for one in records), "too slow a machine: nobody met the blink"
        for match in matches:
            assert deployment.avos.state(match.media)["fields"]["bookingPreKOStartTime"] == text(
                match.kick_off
            )
        assert deployment.restarts() == {}, deployment.report()
        print("in step after", round(time.monotonic() - began, 2))  # noqa: T201
