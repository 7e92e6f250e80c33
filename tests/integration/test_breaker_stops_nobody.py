"""One content media that AVOS never takes, and a blink of AVOS: on real workers, what it costs the others."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from tests.integration.plan import Match, soon, text
from tests.integration.test_day import two_ticks
from tests.support.callers import eventually
from tests.support.house import QUICK, House

pytestmark = [pytest.mark.processes, pytest.mark.timeout(240)]


def avos(house: House) -> dict[str, Any]:
    [destination] = house.api.get("/api/custom/destinations")["destinations"]
    return dict(destination)


def attempts(house: House, request_id: str) -> int:
    return int(house.api.request(request_id)["attemptCount"])


@pytest.mark.xdist_group("house")
def test_a_content_media_that_avos_forbids_stops_nobody(house: House) -> None:
    forbidden, clock = Match(house.api).in_step(), Match(house.api).in_step()
    others = [Match(house.api).in_step() for _ in range(5)]
    opened = avos(house)["timesOpened"]
    house.avos.fault("status", media=forbidden.media, status=403)
    [refused] = forbidden.move(soon(hours=6))
    house.api.becomes(refused, "failed")
    two_ticks(house, clock)
    for hours in (7, 8):
        house.api.all_become([match.move(soon(hours=hours))[0] for match in others], "delivered")
        two_ticks(house, clock)
    assert avos(house)["timesOpened"] == opened
    assert attempts(house, refused) >= 4, "the tick goes on trying it"
    house.avos.well(forbidden.media)
    house.api.becomes(refused, "delivered")


@pytest.mark.xdist_group("house")
@pytest.mark.parametrize(("lanes", "status"), [(2, 403), (3, 504)])
def test_some_that_are_never_taken_stop_the_others_once_and_not_for_long(
    house: House, lanes: int, status: int
) -> None:
    bad = [Match(house.api).in_step() for _ in range(lanes)]
    others = [Match(house.api).in_step() for _ in range(5)]
    opened = avos(house)["timesOpened"]
    for match in bad:
        house.avos.fault("status", media=match.media, status=status)
    refused = [match.move(soon(hours=6))[0] for match in bad]
    eventually(lambda: avos(house)["timesOpened"] > opened, what="the breaker to open")
    eventually(lambda: all(attempts(house, one) >= 2 for one in refused), what="probes of each")
    assert avos(house)["state"] == "open", "nothing has shown that others are served"
    for hours in (7, 8, 9):
        house.api.all_become([match.move(soon(hours=hours))[0] for match in others], "delivered")
        tried = [attempts(house, one) for one in refused]
        eventually(
            lambda tried=tried: all(  # type: ignore[misc]
                attempts(house, one) > before for one, before in zip(refused, tried, strict=True)
            ),
            what="the tick to try them again",
        )
    assert avos(house)["timesOpened"] == opened + 1, "others are served: it isn't held against them again"
    for match in bad:
        house.avos.well(match.media)
    house.api.all_become(refused, "delivered")


@pytest.mark.slow
@pytest.mark.xdist_group("blink")
@pytest.mark.parametrize("hit", [2, 8])
def test_after_a_blink_of_avos_nobody_waits_for_the_tick(tmp_path: Path, hit: int) -> None:
    with House(tmp_path, **{**QUICK, "MEDIAOPS_RETRY_INTERVAL_S": "60"}) as house:
        matches = [Match(house.api).in_step() for _ in range(hit)]
        house.avos.control(down="refuse", downForS=0.5)
        began = time.monotonic()
        moved = [match.move(soon(hours=6))[0] for match in matches]
        eventually(lambda: any(attempts(house, one) for one in moved), what="an attempt")
        house.api.all_become(moved, "delivered", timeout_s=40)
        assert time.monotonic() - began < 30, "long before the tick"
        records = [house.api.request(one) for one in moved]
        assert any(one["firstFailedAt"] for one in records), "too slow a machine: nobody met the blink"
        for match in matches:
            assert house.avos.state(match.media)["fields"]["bookingPreKOStartTime"] == text(match.kick_off)
        assert house.restarts() == {}, house.report()
        print("in step after", round(time.monotonic() - began, 2))  # noqa: T201
