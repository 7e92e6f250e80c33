"""The sample plan, end to end: real server, real worker processes and beat, real HTTP, the stand-in of AVOS.

What AVOS then holds is compared field by field with expectations that use nothing from `app`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path

import pytest

from app.cli.importer import import_files, register, register_all
from app.cli.time_shift import days_to_this_weekend
from app.client import ApiClient, ApiRefused
from app.fleet.cli_status import read_status
from app.platform.clock import utcnow
from app.platform.redis import connect
from app.settings import Settings
from deploy.simulators.avos import AvosStandIn
from tests.expectations.sample_expectations import SAMPLE, SampleExpectations, Shown, differences
from tests.integration.served import BeatProcess, Served
from tests.support.claims import wrongly_claimed
from tests.support.server import RealServer
from tests.support.wait import until
from tests.support.worker import WorkerProcess

pytestmark = [pytest.mark.slow, pytest.mark.processes, pytest.mark.timeout(300)]
TOKEN = "sample-token-" + "0" * 32
FAR_TOKEN = "far-side-token"
REQUESTS = "/api/custom/requests"
PLAN = SAMPLE / "plan.ndjson"


@dataclass
class System:
    """Everything that `up` runs, on free ports."""

    client: ApiClient
    avos: AvosStandIn

    def settled(self) -> bool:
        """Nothing waits, is under way or failed."""
        counts = read_status(self.client)["requests"]
        return not any(counts[state]["count"] for state in ("pending", "live", "failed"))

    def rejected(self) -> dict[tuple[str, str], str]:
        """(content media, kind) → code, of what is parked; the newest of each."""
        found: dict[tuple[str, str], str] = {}
        for record in self.client.pages(REQUESTS, "requests", {"state": "rejected", "limit": 1000}):
            found.setdefault((record["contentMediaId"], record["kind"]), record["error"]["code"])
        return found

    def differences(self, expected: dict[str, Shown]) -> list[str]:
        """Field by field, over all registered content media."""
        found: list[str] = []
        for content_media_id, shown in expected.items():
            state = self.avos.state(content_media_id)
            if state is None:
                state = {"fields": {}, "source": {}}
            found += differences(
                shown, state["fields"] | {"technicalMedia": {"sourceMedia": state["source"]}}
            )
        return found


@pytest.fixture
def system(own_server: RealServer, tenant: str, tmp_path: Path) -> Iterator[System]:
    with ExitStack() as stack:
        avos = stack.enter_context(AvosStandIn(token=FAR_TOKEN))
        environ = {
            "MEDIAOPS_REDIS_URL": own_server.url,
            "MEDIAOPS_TENANT": tenant,
            "MEDIAOPS_DATA_DIR": str(tmp_path / "data"),
            "MEDIAOPS_API_TOKEN": TOKEN,
            "MEDIAOPS_AVOS_URL": avos.url,
            "MEDIAOPS_AVOS_TOKEN": FAR_TOKEN,
        }
        for queue, slots in (("pending", 2), ("live", 50), ("ticks", 4)):
            log = tmp_path / f"{queue}.log"
            worker = WorkerProcess("workers.app", f"{queue}@{tenant}", queue, environ, log, concurrency=slots)
            stack.callback(worker.stop)
            worker.start()
        beat = BeatProcess(environ, tmp_path / "beat.log")
        stack.callback(beat.stop)
        beat.start()
        served = Served(Settings.load(environ))
        stack.callback(served.stop)
        client = ApiClient(served.start(), TOKEN)
        stack.callback(client.close)
        yield System(client, avos)
        with closing(connect(own_server.url)) as store:
            assert wrongly_claimed(store.scan_iter(f"{tenant}:*"), f"{tenant}:") == {}


def expected_rejections(expected: dict[str, Shown]) -> dict[tuple[str, str], str]:
    return {(media, kind): code for media, shown in expected.items() for kind, code in shown.rejected.items()}


def test_avos_shows_what_planning_says_field_by_field(system: System) -> None:
    shift = days_to_this_weekend(utcnow().date())
    expected = SampleExpectations(shift_days=shift)

    report = import_files(system.client, [PLAN], shift_days=shift)
    assert (report.exit_code, report.accepted, report.queued) == (0, len(expected.plan), 0), report.bad

    report = register_all(system.client, SAMPLE / "registrations.json")
    assert (report.exit_code, report.accepted) == (0, len(expected.registrations)), report.bad
    for one in expected.refused:
        with pytest.raises(ApiRefused) as caught:
            register(system.client, one.livestream_id, one.content_media_id)
        assert caught.value.status == one.status, one
        assert one.detail in (None, caught.value.detail), one

    until(system.settled, timeout_s=90, what="the registered content media to get in step")
    assert system.differences(expected.registered) == []
    assert system.rejected() == expected_rejections(expected.registered)
    every_patch_carried_the_newest_last_modified(system.avos)

    answers = system.client.post("/api/custom/messages", {"messages": expected.changes})["results"]
    assert [answer["status"] for answer in answers] == [row.status for row in expected.answers]
    for answer, row, message in zip(answers, expected.answers, expected.changes, strict=True):
        assert row.queues in (None, bool(answer.get("requestIds"))), message["id"]
    until(system.settled, timeout_s=60, what="the changes to arrive")
    assert system.differences(expected.changed) == []
    rejected = system.rejected()
    open_kinds = {(media, kind) for media, shown in expected.changed.items() for kind in shown.open_kinds}
    wanted = expected_rejections(expected.changed)
    assert {key: code for key, code in rejected.items() if key not in open_kinds} == wanted

    fleet = read_status(system.client)["contentmedia"]
    orphaned = {
        media
        for media, shown in expected.changed.items()
        if {"no_job", "no_livestream"} & set(shown.rejected.values())
    }
    failing = {media for media, shown in expected.changed.items() if shown.rejected} - orphaned
    assert fleet == {
        "in_step": len(expected.changed) - len(orphaned) - len(failing),
        "behind": 0,
        "failing": len(failing),
        "orphaned": len(orphaned),
    }


def every_patch_carried_the_newest_last_modified(avos: AvosStandIn) -> None:
    """In order, one at a time: with nobody else writing, not one PATCH met a conflict."""
    patches = [entry for entry in avos.journal() if entry["method"] == "PATCH"]
    assert patches
    assert {entry["status"] for entry in patches} <= set(range(200, 300))
    assert all(entry["lastModified"] == entry["before"] for entry in patches)
