"""Live workers killed with SIGKILL in the middle of PATCHes, under load, in both forms of the chain."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator

import pytest

from tests.integration.load import Load
from tests.integration.plan import Match, soon
from tests.integration.verdicts import judgement
from tests.support import checker
from tests.support.callers import eventually
from tests.support.deployment import LEASE_S, LIVE, QUICK, TENANT, Deployment
from tests.support.events import EventLog

pytestmark = [pytest.mark.processes, pytest.mark.slow, pytest.mark.timeout(300)]
FORMS = [
    pytest.param("true", id="inline", marks=pytest.mark.xdist_group("kills-inline")),
    pytest.param("false", id="broker", marks=pytest.mark.xdist_group("kills-broker")),
]


@pytest.fixture(scope="module", params=FORMS)
def chained(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    """A deployment for each form of the chain: handed over in the worker, or sent through the broker."""
    directory = tmp_path_factory.mktemp(f"chain-{request.param}")
    with Deployment(directory, **QUICK, MEDIAOPS_INLINE_CHAIN=request.param) as deployment:
        yield deployment


def test_a_patch_is_two_tasks_in_a_chain(chained: Deployment) -> None:
    events = EventLog(chained.server.broker_url, f"{TENANT}:").start()

    def links() -> dict[str, str]:
        """Task id → name of every link that was received."""
        received = [event for event in events.all() if event["type"] == "task-received"]
        return {event["uuid"]: event["name"] for event in received if event["name"].startswith("live.")}

    def kinds(link: str) -> list[str]:
        return [kind for kind in events.kinds(link) if kind != "task-sent"]

    try:
        match = Match(chained.api).in_step()
        eventually(
            lambda: len(links()) == 4 and all("task-succeeded" in kinds(link) for link in links()),
            what="two chains to end",
        )
    finally:
        events.stop()
    # Two workers tell of them, so nothing is said about the order between tasks.
    assert sorted(links().values()) == ["live.get_last_modified"] * 2 + ["live.send_patch"] * 2
    for link in links():
        assert kinds(link) == ["task-received", "task-started", "task-succeeded"]
    journal = chained.avos.journal(match.media)
    assert [entry["method"] for entry in journal] == ["GET", "PATCH"] * 2
    assert checker.unread(journal) == []


def test_workers_killed_in_the_middle_of_patches_lose_nothing_and_put_nothing_old_back(
    chained: Deployment,
) -> None:
    kills = 20
    matches = [Match(chained.api, kick_off=soon(hours=6)).in_step() for _ in range(10)]
    chained.restarts()
    chained.avos.control(latencyMs={"get": 30, "patch": 120})
    loads = [Load(part, pause_s=0.05).start() for part in (matches[:5], matches[5:])]
    try:
        for number, name in enumerate(itertools.islice(itertools.cycle(LIVE), kills)):
            chained.wait_ready(name)
            strike(chained, name)
            if number in (5, 12):  # the others aren't immune either
                chained.parts["ticks" if number == 5 else "pending"].kill()
        chained.wait_ready(*LIVE, "pending", "ticks")
    finally:
        for load in loads:
            load.stop()
        chained.avos.control(latencyMs=0)
    chained.settle(timeout_s=90)

    assert judgement(chained, loads) == {}
    restarts = chained.restarts()
    assert sum(restarts[name] for name in LIVE) == kills, restarts
    assert (restarts["pending"], restarts["ticks"]) == (1, 1)
    records = [record for match in matches for record in chained.api.requests(contentMediaId=match.media)]
    outcomes = [attempt["outcome"] for record in records for attempt in record["attempts"]]
    assert outcomes.count("lease_lost") >= kills // 4, "kills left hardly a trace: they missed"


def test_a_worker_that_was_frozen_past_its_lease_puts_nothing_old_back(chained: Deployment) -> None:
    matches = [Match(chained.api, kick_off=soon(hours=6)).in_step() for _ in range(6)]
    chained.avos.control(latencyMs={"get": 60, "patch": 60})
    load = Load(matches, pause_s=0.03).start()
    frozen = chained.parts["live1"]
    try:
        wait_for_a_patch(chained)
        frozen.freeze()
        awake = time.monotonic() + LEASE_S + 2
        eventually(lambda: time.monotonic() > awake, what="its leases to run out, and others to do its work")
    finally:
        frozen.thaw()
        load.stop()
        chained.avos.control(latencyMs=0)
    chained.settle(timeout_s=90)

    # What it sends on waking up is refused by AVOS, but may stand in the journal beside another's.
    problems = judgement(chained, [load])
    assert {name: problems[name] for name in ("lost", "stale", "final") if name in problems} == {}
    assert chained.restarts() == {}
    outcomes = [
        attempt["outcome"]
        for match in matches
        for record in chained.api.requests(contentMediaId=match.media)
        for attempt in record["attempts"]
    ]
    assert "lease_lost" in outcomes, "it held nothing when it was frozen"


def strike(deployment: Deployment, name: str) -> None:
    """Kill a live worker at a moment when a PATCH is under way (its own, or the other's)."""
    wait_for_a_patch(deployment)
    deployment.parts[name].kill()


def wait_for_a_patch(deployment: Deployment) -> None:
    after = deployment.avos.journal()[-1]["seq"]

    def under_way() -> bool:
        return any(
            e["method"] == "PATCH" and e["status"] is None for e in deployment.avos.journal(after=after)
        )

    eventually(under_way, what="a PATCH under way")
