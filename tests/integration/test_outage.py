"""AVOS away for 35 seconds, in real seconds: ten between two ticks and, in the end, two probes, as in production."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from tests.integration.plan import Match, soon, text
from tests.support import checker
from tests.support.callers import eventually
from tests.support.deployment import Deployment

pytestmark = [
    pytest.mark.processes,
    pytest.mark.slow,
    pytest.mark.xdist_group("outage"),
    pytest.mark.timeout(180),
]


def test_what_failed_while_avos_was_away_is_delivered_when_it_is_back(tmp_path: Path) -> None:
    with Deployment(tmp_path) as deployment:
        matches = [Match(deployment.api).in_step() for _ in range(5)]
        new = Match(deployment.api).plan()
        before = deployment.avos.journal()[-1]["seq"]
        back = time.monotonic() + 35
        deployment.avos.control(down="refuse", downForS=35)

        moved = {match.media: match.move(soon(hours=6))[0] for match in matches}
        registered = new.register()
        eventually(lambda: len(deployment.api.requests(state="failed")) >= 3, what="the failed table to fill")
        eventually(lambda: avos(deployment)["state"] == "open", what="the breaker to open")
        assert avos(deployment)["reason"] == "connect_failed"
        everything = {*moved.values(), *registered}
        eventually(
            lambda: ids(deployment, "failed") | ids(deployment, "pending") == everything,
            what="the rest to wait behind it",
        )
        failed = ids(deployment, "failed", error="connect_failed")
        eventually(lambda: tries(deployment, failed) >= len(failed) + 2, timeout_s=40, what="probes")

        goes_on = matches[1]  # planning doesn't wait
        first, last = moved[goes_on.media], goes_on.move(soon(hours=7))[0]
        wanted = [*(set(moved.values()) - {first}), last, *registered]
        assert deployment.api.becomes(first, "superseded")["supersededBy"] == last
        assert time.monotonic() < back, "too slow a machine: AVOS is back already"
        assert deployment.avos.journal(after=before) == [], "it was away"

        records = deployment.api.all_become(wanted, "delivered", timeout_s=60)
        assert time.monotonic() - back < 20, "the next probe brings it"
        eventually(lambda: avos(deployment)["state"] == "closed", what="the breaker to close")
        failures = [one for record in records for one in record["attempts"] if one["outcome"] == "failed"]
        assert len(failures) <= len(wanted) + 16, "after its first failure, only probes at a growing distance"
        journal = deployment.avos.journal(after=before)
        assert [e["method"] for e in journal].count("GET") == len(wanted), "one GET …"
        assert [e["method"] for e in journal].count("PATCH") == len(wanted), "… and one PATCH each"
        assert checker.unread(journal) == checker.side_by_side(journal) == []
        for match in [*matches, new]:
            assert deployment.avos.state(match.media)["fields"]["bookingPreKOStartTime"] == text(
                match.kick_off
            )
        told = [one["eventName"] for one in deployment.happenings() if one.get("requestId") in wanted]
        assert told.count("sync-delivered") == len(wanted)
        assert told.count("sync-failed") == told.count("sync-recovered") > 0, "each told once"
        assert deployment.restarts() == {}, deployment.report()


def avos(deployment: Deployment) -> dict[str, Any]:
    destination = deployment.api.destination("avos")
    return dict(destination)


def ids(deployment: Deployment, state: str, **wanted: str) -> set[str]:
    return {one["id"] for one in deployment.api.requests(state=state, **wanted)}


def tries(deployment: Deployment, request_ids: set[str]) -> int:
    return sum(deployment.api.request(request_id)["attemptCount"] for request_id in request_ids)
