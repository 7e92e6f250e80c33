"""What callers can ask of the scheduler: create, show, list, move and cancel workflows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from app.outgoing.attempts import CallFailed
from app.outgoing.model import Accepted, Idempotency
from app.planning.unit_of_work import answered_before, until_accepted
from app.platform.errors import BadRequest, NotFound, Unavailable
from app.schedules import commands, rules
from app.schedules.live_api import LiveApiClient
from app.schedules.records import TaskName, TaskState, Workflow
from app.schedules.store import ScheduleStore, WorkflowPage

LIVE_API_S: Final = 5.0  # for the question whether a job can be scheduled
LOOKED_AT: Final = 2_000  # workflows, for one page of a list


@dataclass(frozen=True, slots=True)
class WorkflowQuery:
    """Which workflows of an account are wanted. `start`, `end`: seconds since 1970, of the activation; `state`: of either
    task."""

    account: str
    limit: int
    state: TaskState | None = None
    job_id: str | None = None
    start: int = 0
    end: int = 1 << 40
    after: tuple[int, str] | None = None


class ScheduleService:
    """Every method raises Unavailable while the store is away; the outcome of a write is then unknown."""

    def __init__(self, store: ScheduleStore, live_api: LiveApiClient, limits: rules.Limits) -> None:
        self._store = store
        self._live_api = live_api
        self._limits = limits

    def create(self, wanted: Workflow, idempotency: Idempotency | None = None) -> Workflow:
        """Raises BadRequest for what can't be scheduled, Unavailable also while the Live API is away: then nothing is stored."""
        before = answered_before(self._store, self._store.keys, idempotency)
        if before is not None:
            return self._repeated(wanted, before, idempotency)
        rules.check(wanted, (), self._now(), self._limits)  # what is wrong anyway needs no call
        self._check_job(wanted.account, wanted.job_id)

        def work() -> Workflow:
            job = self._store.of_job(wanted.account, wanted.job_id)
            rules.check(wanted, job.workflows, self._now(), self._limits)
            accepted = self._store.accept(commands.creating(wanted, job, self._store.keys, idempotency))
            return self._repeated(wanted, accepted, idempotency)

        return until_accepted(work)

    def get(self, account: str, workflow_id: str) -> Workflow:
        """Raises NotFound, also for a workflow of another account."""
        workflow = self._store.workflow(workflow_id)
        if workflow is None or workflow.account != account:
            raise NotFound("There is no such workflow.", code="workflow_not_found")
        return workflow

    def page(self, query: WorkflowQuery) -> WorkflowPage:
        """By the time of the activation. A page may be short although there are more: `after` says so."""
        found: list[Workflow] = []
        after, looked = query.after, 0
        while True:
            page = self._store.page(query.account, query.job_id, query.start, query.end, after, query.limit)
            for workflow in page.workflows:
                if query.state is None or query.state in (
                    workflow.activation.state,
                    workflow.deactivation.state,
                ):
                    found.append(workflow)
                    if len(found) == query.limit:
                        more = page.after is not None or workflow is not page.workflows[-1]
                        place = (workflow.activation.at, workflow.id)
                        return WorkflowPage(tuple(found), place if more else None)
            after, looked = page.after, looked + len(page.workflows)
            if after is None or looked >= LOOKED_AT:
                return WorkflowPage(tuple(found), after)

    def change(
        self, account: str, workflow_id: str, changes: Mapping[TaskName, rules.TaskChange]
    ) -> Workflow:
        """Both tasks or none. Raises NotFound; BadRequest where one can't be changed any more, or not like this."""

        def work() -> Workflow:
            before = self.get(account, workflow_id)
            after = rules.changed(before, changes)
            job = self._store.of_job(account, before.job_id)
            others = [one for one in job.workflows if one.id != workflow_id]
            rules.check(after, others, self._now(), self._limits)
            self._store.accept(commands.changing(before, after, job, self._store.keys))
            return after

        return until_accepted(work)

    def cancel(self, account: str, workflow_id: str) -> Workflow:
        """All that is still to come. Raises NotFound; BadRequest where nothing is."""

        def work() -> Workflow:
            before = self.get(account, workflow_id)
            after = rules.cancelled(before)
            self._store.accept(commands.cancelling(before, after, self._store.keys))
            return after

        return until_accepted(work)

    def _now(self) -> int:
        return self._store.time_ms() // 1000

    def _repeated(self, wanted: Workflow, accepted: Accepted, idempotency: Idempotency | None) -> Workflow:
        """The workflow of an accepted create: of the first one under its key."""
        if not accepted.repeated or idempotency is None:
            return wanted
        return self.get(wanted.account, self._store.created_under(idempotency.digest))

    def _check_job(self, account: str, job_id: str) -> None:
        try:
            job = self._live_api.job(account, job_id, timeout_s=LIVE_API_S)
        except CallFailed as failed:
            if failed.error.status == 404:
                raise BadRequest("The Live API knows no such job.", field="job_id") from failed
            raise Unavailable(
                f"Whether the job can be scheduled isn't known: {failed.error.detail}",
                code="live_api_unavailable",
            ) from failed
        if not job.static:
            raise BadRequest("The job isn't static: only static jobs can be scheduled.", field="job_id")
