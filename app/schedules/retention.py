"""How long workflows are kept once they are over, and that what is to come has its timer: both looked at by the walk through
all keys."""

from __future__ import annotations

from collections.abc import Sequence

from app.outgoing.model import Acceptance, Guard, Write
from app.outgoing.store import OutgoingStore
from app.planning.retention import forget
from app.platform.redis import store_errors
from app.schedules import rules
from app.schedules.records import TaskName, TaskState, Workflow
from app.schedules.store import ScheduleStore


class WorkflowKeeper:
    """Raises Unavailable while the store is away."""

    def __init__(self, schedules: ScheduleStore, outgoing: OutgoingStore) -> None:
        self._schedules = schedules
        self._outgoing = outgoing
        self._keys = schedules.keys

    def visit(self, names: Sequence[str]) -> int:
        """Forget what ended long enough ago, and mend what a script that broke off has left without a timer (a visitor of
        `platform.walk`); how many were forgotten."""
        before_s = (self._outgoing.time_ms() - self._outgoing.keep_ms) // 1000
        ids = [name.removeprefix(self._keys.workflow_prefix) for name in names]
        gone = 0
        for workflow in self._schedules.workflows(ids):
            if workflow.is_open:
                self._mend(workflow)
            elif workflow.deactivation.at <= before_s:
                gone += self._forget(workflow)
        return gone

    def jobs(self, names: Sequence[str]) -> int:
        """Forget jobs of which nothing is pending any more (a visitor of `platform.walk`); how many."""
        gone = 0
        for name in names:
            if not name.startswith(self._keys.open_prefix):
                continue
            with store_errors():
                fields = self._outgoing.client.hgetall(name)
            if list(fields) == [b"#"]:
                guards = (Guard(("HGET", name, "#"), fields[b"#"].decode()),)
                gone += forget(self._outgoing, Acceptance(guards=guards, writes=(Write("DEL", name),)))
        return gone

    def _forget(self, workflow: Workflow) -> bool:
        keys, account, job_id = self._keys, workflow.account, workflow.job_id
        writes = (
            Write("DEL", keys.workflow(workflow.id)),
            Write("ZREM", keys.workflows(account), (workflow.id,)),
            Write("ZREM", keys.workflows_of_job(account, job_id), (workflow.id,)),
        )
        return forget(self._outgoing, Acceptance(guards=(self._guard(workflow),), writes=writes))

    def _mend(self, workflow: Workflow) -> None:
        entries = list(rules.timers(workflow))
        with store_errors():
            pipe = self._outgoing.client.pipeline(transaction=False)
            for entry, _ in entries:
                pipe.zscore(self._keys.timers, entry)
            for name in TaskName:
                pipe.hget(self._keys.request(workflow.task(name).request_id or "none"), "state")
            found = pipe.execute()
        scores, states = found[: len(entries)], found[len(entries) :]
        writes = [
            Write("ZADD", self._keys.timers, (at * 1000, entry))
            for (entry, at), score in zip(entries, scores, strict=True)
            if score is None
        ]
        for name, state in zip(TaskName, states, strict=True):
            writes += self._unsettled(workflow, name, state)
        if writes:
            forget(self._outgoing, Acceptance(guards=(self._guard(workflow),), writes=tuple(writes)))

    def _unsettled(self, workflow: Workflow, name: TaskName, state: bytes | None) -> list[Write]:
        """Of a task that was fired: its request was never written, or has ended and nobody has looked at it."""
        task, keys = workflow.task(name), self._keys
        if task.request_id is None or task.state is not TaskState.PENDING:
            return []
        if state is None:
            entry = f"{name}:{task.timer}:{workflow.id}"
            return [
                Write("HDEL", keys.workflow(workflow.id), (f"{name}.firedAt", f"{name}.requestId")),
                Write("ZADD", keys.timers, (task.at * 1000, entry)),
            ]
        if state in (b"pending", b"live", b"failed"):
            return []
        return [Write("ZADD", keys.ended, (0, task.request_id))]

    def _guard(self, workflow: Workflow) -> Guard:
        return Guard(("HGET", self._keys.workflow(workflow.id), "revision"), str(workflow.revision))
