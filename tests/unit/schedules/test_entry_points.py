"""After an activation: what is seen of the job's entry point."""

from __future__ import annotations

from typing import cast

import fakeredis
import pytest

from app.outgoing.decision import AttemptError
from app.schedules.entry_points import EntryPoint, EntryPoints, is_over, judge
from app.schedules.live_api import LiveApiClient, LiveJob
from tests.support.keys import AllKeys
from tests.support.outgoing import Bench
from tests.support.schedules import ScheduleBench

ON_ITS_WAY = LiveJob(True, "standby", "activation_in_progress")
READY = LiveJob(True, "waiting", "ready")
FED = LiveJob(True, "processing", "ready")
OFF = LiveJob(True, "standby", "waiting")


@pytest.mark.parametrize(
    ("job", "since_s", "seen", "over"),
    [
        (ON_ITS_WAY, 5, None, False),
        (READY, 60, EntryPoint.READY, False),
        (FED, 60, EntryPoint.READY, True),
        (READY, 1920, EntryPoint.READY, True),
        (OFF, 600, EntryPoint.SWITCHED_OFF, True),
        (OFF, 1800, EntryPoint.SWITCHED_ITSELF_OFF, True),
    ],
)
def test_what_is_seen(job: LiveJob, since_s: float, seen: EntryPoint | None, over: bool) -> None:
    assert judge(job, since_s) == seen
    assert is_over(job, seen, since_s) is over


class Watched:
    """A workflow that was activated, and the tick that looks at its job."""

    def __init__(self) -> None:
        self.schedules = ScheduleBench(Bench(fakeredis.FakeRedis(), AllKeys("entry"), flags=False))
        self.live_api = self.schedules.live_api
        self.tick = EntryPoints(self.schedules.store, cast("LiveApiClient", self.live_api))
        self.workflow = self.schedules.create(600, 9000)
        self.schedules.at(600)
        self.schedules.fire()
        self.schedules.store.settle()

    def look(self, job: LiveJob, seconds: float) -> int:
        """Whether that, so long after the activation, is something new."""
        self.live_api.jobs["job"] = job
        self.schedules.at(600 + seconds)
        return self.tick.look()

    def entry_point(self) -> str | None:
        return self.schedules.service.get("acc", self.workflow.id).entry_point


def test_an_entry_point_that_nobody_feeds() -> None:
    watched = Watched()
    assert [watched.look(ON_ITS_WAY, second) for second in (0, 5, 10)] == [0, 0, 0]
    assert watched.entry_point() is None
    assert watched.look(READY, 60) == 1
    assert watched.look(READY, 70) == 0, "it is not asked again so soon"
    assert watched.look(READY, 120) == 0
    assert watched.entry_point() == "ready"
    assert watched.look(OFF, 1800) == 1
    assert watched.entry_point() == "switched_itself_off"
    assert watched.schedules.happenings()[-3:] == [
        "schedule-activated",
        "schedule-updated",
        "schedule-failed",
    ]
    assert watched.look(READY, 1900) == 0, "nobody looks any more"
    assert watched.schedules.states(watched.workflow) == ("finished", "pending")


def test_one_that_is_fed_is_left_alone() -> None:
    watched = Watched()
    assert watched.look(FED, 30) == 1
    assert watched.look(OFF, 1800) == 0


def test_a_live_api_that_is_away_is_asked_again_later() -> None:
    watched = Watched()
    watched.live_api.error = AttemptError("timeout", "No whole answer came in time.")
    assert watched.look(READY, 10) == 0
    watched.live_api.error = None
    assert watched.look(READY, 60) == 0
    assert watched.look(READY, 71) == 1


def test_what_is_cancelled_is_watched_no_more() -> None:
    watched = Watched()
    watched.schedules.cancel(watched.workflow)
    assert watched.look(OFF, 60) == 0
    assert watched.entry_point() is None
