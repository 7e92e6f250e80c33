"""After an activation: whether the job's entry point becomes ready, or switches itself off because no encoder feeds it (after
30 minutes, by the Live API's own rule).

What is seen becomes a member of the workflow and an event. Nothing is sent: deactivating what has switched itself off counts
as done, and activating it again is a person's decision.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from enum import StrEnum
from typing import Final

from app.outgoing.attempts import CallFailed
from app.outgoing.errors import Again
from app.platform.log import get_logger
from app.schedules import commands
from app.schedules.live_api import Action, LiveApiClient, LiveJob
from app.schedules.records import TaskState, Workflow
from app.schedules.store import ScheduleStore

SELF_STOP_S: Final = 30 * 60
UNTIL_S: Final = SELF_STOP_S + 120  # since the activation
SOON_S: Final = 5  # between two looks until it is ready
LATER_S: Final = 60  # … and then, or while the Live API can't be asked
LOOKS: Final = 100  # of a tick
CALL_S: Final = 2.0
TICK_S: Final = 4.0
_log = get_logger()


class EntryPoint(StrEnum):
    """What has been seen of it since the activation."""

    READY = "ready"
    SWITCHED_ITSELF_OFF = "switched_itself_off"
    SWITCHED_OFF = "switched_off"  # sooner than by itself: by somebody else


def judge(job: LiveJob, since_s: float) -> EntryPoint | None:
    """What this shows, so many seconds after the activation; None: it is on its way."""
    if job.sep_state == "ready":
        return EntryPoint.READY
    if not job.shows(Action.DEACTIVATE):
        return None
    return EntryPoint.SWITCHED_ITSELF_OFF if since_s >= SELF_STOP_S - LATER_S else EntryPoint.SWITCHED_OFF


def is_over(job: LiveJob, seen: EntryPoint | None, since_s: float) -> bool:
    """Whether there is nothing more to see: it is fed, it is off, or the rule can't strike any more."""
    return job.state == "processing" or seen not in (None, EntryPoint.READY) or since_s >= UNTIL_S


class EntryPoints:
    """`look` is the tick. Raises Unavailable while the store is away."""

    def __init__(
        self,
        store: ScheduleStore,
        live_api: LiveApiClient,
        *,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = store
        self._live_api = live_api
        self._monotonic = monotonic

    def look(self) -> int:
        """Look at the jobs whose turn it is; how many have shown something new."""
        until, news = self._monotonic() + TICK_S, 0
        for workflow_id in self._store.watched(LOOKS):
            workflow = self._store.workflow(workflow_id)
            if workflow is None or workflow.deactivation.state is not TaskState.PENDING:
                self._store.watch(workflow_id, None)
            else:
                news += self._look_at(workflow)
            if self._monotonic() >= until:
                break
        return news

    def _look_at(self, workflow: Workflow) -> bool:
        try:
            job = self._live_api.job(workflow.account, workflow.job_id, timeout_s=CALL_S)
        except CallFailed:
            self._store.watch(workflow.id, LATER_S)
            return False
        since_s = self._store.time_ms() / 1000 - workflow.activation.at
        seen = judge(job, since_s)
        new = seen is not None and seen.value != workflow.entry_point
        if new and seen is not None:
            try:
                self._store.accept(commands.noting_entry_point(workflow, seen.value, self._store.keys))
            except Again:  # it was changed just now: the next look finds it as it is then
                return False
            _log.info("entry point", workflow_id=workflow.id, job_id=workflow.job_id, entry_point=seen.value)
        over = is_over(job, seen, since_s)
        self._store.watch(workflow.id, None if over else SOON_S if seen is None else LATER_S)
        return new
