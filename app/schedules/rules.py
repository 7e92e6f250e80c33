"""Which schedules are allowed, and when each of their timers is due. Pure; times are seconds since 1970."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Final

from app.platform.errors import BadRequest
from app.schedules.records import Task, TaskName, TaskState, Workflow

NOTIFY: Final = "notify-"


@dataclass(frozen=True, slots=True)
class Limits:
    """`max_pending`: activations of one job that may be pending at once."""

    allow_overlap: bool = False
    max_pending: int = 6


@dataclass(frozen=True, slots=True)
class TaskChange:
    """What a PUT says about one task; a part that it doesn't name stays as it is."""

    at: int | None = None
    notification: int | None = None


def check(workflow: Workflow, others: Iterable[Workflow], now: int, limits: Limits) -> None:
    """Raises BadRequest where a workflow can't be as it is wanted, beside the `others` of its job that have something pending."""
    _check_times(workflow, now)
    _check_others(workflow, list(others), limits)


def _check_times(workflow: Workflow, now: int) -> None:
    activation, deactivation = workflow.activation, workflow.deactivation
    if activation.changeable and activation.at < now:
        raise _refused("activation.time_utc", "The activation lies in the past.")
    if deactivation.at <= activation.at:
        raise _refused("deactivation.time_utc", "The deactivation must come after the activation.")
    if deactivation.changeable and deactivation.at < now:
        raise _refused("deactivation.time_utc", "The deactivation lies in the past.")
    for name in TaskName:
        task = workflow.task(name)
        if task.notification is None:
            continue
        if workflow.notification_url is None:
            raise _refused("notification_url", "A notification needs a notification_url.")
        if task.changeable and task.at - task.notification < now:
            raise _refused(f"{name}.notification", "The moment of this notification has passed already.")


def _check_others(workflow: Workflow, others: list[Workflow], limits: Limits) -> None:
    pending = sum(one.activation.state is TaskState.PENDING for one in others)
    if workflow.activation.state is TaskState.PENDING and pending >= limits.max_pending:
        raise _refused(
            "job_id", f"The job has {pending} pending activations, which is as many as it may have."
        )
    begins, ends = workflow.window
    for one in others:
        if not limits.allow_overlap and begins < one.window[1] and one.window[0] < ends:
            raise _refused(
                "activation.time_utc", f"The job is scheduled for that time already, by workflow {one.id}."
            )


def changed(workflow: Workflow, changes: Mapping[TaskName, TaskChange]) -> Workflow:
    """The workflow as a PUT wants it. Raises BadRequest where a task it names can't be changed any more: then none is."""
    for name, change in changes.items():
        task = workflow.task(name)
        if not task.changeable:
            raise _refused(name, f"The {name} can't be changed any more: {_standing(task)}.")
        moved = replace(
            task,
            at=task.at if change.at is None else change.at,
            notification=task.notification if change.notification is None else change.notification,
            timer=workflow.revision + 1,
        )
        workflow = workflow.with_task(name, moved)
    return replace(workflow, revision=workflow.revision + 1)


def cancelled(workflow: Workflow) -> Workflow:
    """The workflow without what is still to come. Raises BadRequest where nothing is."""
    names = [name for name in TaskName if workflow.task(name).changeable]
    if not names:
        raise _refused(None, "Nothing of this workflow is pending any more.")
    for name in names:
        workflow = workflow.with_task(name, replace(workflow.task(name), state=TaskState.CANCELLED))
    return replace(workflow, revision=workflow.revision + 1)


def timers(workflow: Workflow) -> Iterator[tuple[str, int]]:
    """The entries of what is still to come, each with when it is due."""
    for name in TaskName:
        task = workflow.task(name)
        if not task.changeable:
            continue
        yield _entry(name, task, workflow), task.at
        if task.notification is not None and task.notice is None:
            yield _entry(NOTIFY + name, task, workflow), task.at - task.notification


def _entry(what: str, task: Task, workflow: Workflow) -> str:
    return f"{what}:{task.timer}:{workflow.id}"


def _standing(task: Task) -> str:
    if task.state is TaskState.PENDING:
        return "it is being carried out"
    return f"it is {task.state}"


def _refused(field: str | None, detail: str) -> BadRequest:
    return BadRequest(detail, field=field)
