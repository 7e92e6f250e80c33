"""What a change of a workflow writes, proves and publishes. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from app.outgoing.model import Acceptance, Guard, Happening, Idempotency, Now, Sequence, Write
from app.schedules import rules
from app.schedules.keys import ScheduleKeys
from app.schedules.records import TaskName, Workflow, fields_of, task_fields
from app.schedules.store import JobSchedules

TOPIC = "schedule-operations"
REMEMBERED_MS = 24 * 3600 * 1000  # how long a create is known by its Idempotency-Key


def creating(
    workflow: Workflow, job: JobSchedules, keys: ScheduleKeys, idempotency: Idempotency | None
) -> Acceptance:
    """A new workflow and its timers."""
    key, account, job_id = keys.workflow(workflow.id), workflow.account, workflow.job_id
    fields = [part for pair in fields_of(workflow).items() for part in pair]
    remembered = (
        []
        if idempotency is None
        else [Write("SET", keys.created(idempotency.digest), (workflow.id, "PX", REMEMBERED_MS))]
    )
    return Acceptance(
        guards=(_job_guard(keys, workflow, job),),
        writes=(
            Write("HSET", key, (*fields, "createdAt", Now())),
            Write("ZADD", keys.workflows(account), (workflow.activation.at, workflow.id)),
            Write("ZADD", keys.workflows_of_job(account, job_id), (workflow.activation.at, workflow.id)),
            Write("HSET", keys.open(account, job_id), (workflow.id, 1, "#", Sequence())),
            *_timers(keys, workflow),
            *remembered,
        ),
        happenings=(_happening("schedule-created", workflow),),
        idempotency=idempotency,
    )


def changing(before: Workflow, after: Workflow, job: JobSchedules, keys: ScheduleKeys) -> Acceptance:
    """New times: the timers of the old ones are gone in the same script."""
    account, job_id = after.account, after.job_id
    return Acceptance(
        guards=(_revision_guard(keys, before), _job_guard(keys, before, job)),
        writes=(
            *_task_writes(keys, after),
            *_void(keys, before),
            Write("ZADD", keys.workflows(account), (after.activation.at, after.id)),
            Write("ZADD", keys.workflows_of_job(account, job_id), (after.activation.at, after.id)),
            Write("HSET", keys.open(account, job_id), ("#", Sequence())),
            *_timers(keys, after),
        ),
        happenings=(_happening("schedule-updated", after),),
    )


def cancelling(before: Workflow, after: Workflow, keys: ScheduleKeys) -> Acceptance:
    """Nothing of it is to come any more, or only what is being carried out."""
    open_key = keys.open(after.account, after.job_id)
    closed = () if after.is_open else (Write("HDEL", open_key, (after.id,)),)
    return Acceptance(
        guards=(_revision_guard(keys, before),),
        writes=(
            *_task_writes(keys, after),
            *_void(keys, before),
            *closed,
            Write("HSET", open_key, ("#", Sequence())),
            *_timers(keys, after),
        ),
        happenings=(_happening("schedule-cancelled", after),),
    )


def noting_entry_point(before: Workflow, entry_point: str, keys: ScheduleKeys) -> Acceptance:
    """What was seen of the job's entry point. One that is off is a failure for whoever counts on it."""
    name = "schedule-updated" if entry_point == "ready" else "schedule-failed"
    happening = _happening(name, before)
    fields = {**happening.fields, "entry_point": entry_point}
    return Acceptance(
        guards=(_revision_guard(keys, before),),
        writes=(
            Write(
                "HSET", keys.workflow(before.id), ("entryPoint", entry_point, "revision", before.revision + 1)
            ),
            Write("HSET", keys.open(before.account, before.job_id), ("#", Sequence())),
        ),
        happenings=(Happening(TOPIC, name, fields),),
    )


def _revision_guard(keys: ScheduleKeys, workflow: Workflow) -> Guard:
    return Guard(("HGET", keys.workflow(workflow.id), "revision"), str(workflow.revision))


def _job_guard(keys: ScheduleKeys, workflow: Workflow, job: JobSchedules) -> Guard:
    """What else is scheduled for the job is as it was read."""
    return Guard(("HGET", keys.open(workflow.account, workflow.job_id), "#"), job.number)


def _task_writes(keys: ScheduleKeys, workflow: Workflow) -> Iterator[Write]:
    key = keys.workflow(workflow.id)
    yield Write("HSET", key, ("revision", workflow.revision))
    for name in TaskName:
        fields = task_fields(name, workflow.task(name)).items()
        yield Write("HSET", key, tuple(part for pair in fields if pair[1] is not None for part in pair))  # type: ignore[misc]


def _void(keys: ScheduleKeys, workflow: Workflow) -> Iterator[Write]:
    entries = tuple(entry for entry, _ in rules.timers(workflow))
    if entries:
        yield Write("ZREM", keys.timers, entries)


def _timers(keys: ScheduleKeys, workflow: Workflow) -> Iterator[Write]:
    for entry, at in rules.timers(workflow):
        yield Write("ZADD", keys.timers, (at * 1000, entry))


def _happening(name: str, workflow: Workflow) -> Happening:
    times = {"activation": workflow.activation.at, "deactivation": workflow.deactivation.at}
    return Happening(
        TOPIC,
        name,
        {"workflow_id": workflow.id, "job_id": workflow.job_id, "account_id": workflow.account, **times},
    )
