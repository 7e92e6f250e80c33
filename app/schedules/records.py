"""A workflow: one activation and one deactivation of a live job, each at its time."""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Any, Final
from urllib.parse import urlsplit

from app.outgoing.model import encode
from app.platform.clock import from_ms

SCHEMA: Final = 1
UNTIL_DEACTIVATION: Final = "until-deactivation"
NO_CATCH_UP: Final = "none"


class TaskName(StrEnum):
    """A workflow's two tasks, by the names of their members."""

    ACTIVATION = "activation"
    DEACTIVATION = "deactivation"


class TaskState(StrEnum):
    """What has become of a task; all but the first are final."""

    PENDING = "pending"
    FINISHED = "finished"
    FAILED = "failed"
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True)
class Task:
    """`at`: seconds since 1970. `notification`: seconds before that, when a notice goes out. `timer`: the number that its
    entries among the timers carry. `fired_at`: when it was handed to the Live API; it can't be changed any more then.
    `notice`: what became of the notice before it (`sent`, `skipped`)."""

    at: int
    notification: int | None = None
    state: TaskState = TaskState.PENDING
    timer: int = 0
    fired_at: datetime | None = None
    request_id: str | None = None
    reason: str | None = None
    notice: str | None = None

    @property
    def changeable(self) -> bool:
        """Whether it may still be moved or cancelled."""
        return self.state is TaskState.PENDING and self.fired_at is None


@dataclass(frozen=True, slots=True)
class Workflow:
    """`revision` moves with every change, the scripts' own too. `metadata`: JSON text, kept and handed back."""

    id: str
    account: str
    job_id: str
    activation: Task
    deactivation: Task
    description: str | None = None
    notification_url: str | None = None
    redundant_group: bool = False
    metadata: bytes | None = None
    catch_up: str = UNTIL_DEACTIVATION
    revision: int = 1
    created_at: datetime | None = None
    entry_point: str | None = None  # since the activation, see `entry_points`

    def task(self, name: TaskName) -> Task:
        return self.activation if name is TaskName.ACTIVATION else self.deactivation

    def with_task(self, name: TaskName, task: Task) -> Workflow:
        if name is TaskName.ACTIVATION:
            return replace(self, activation=task)
        return replace(self, deactivation=task)

    @property
    def is_open(self) -> bool:
        """Whether anything is still to come."""
        return TaskState.PENDING in (self.activation.state, self.deactivation.state)

    @property
    def window(self) -> tuple[int, int]:
        """From when to when the job is to be active: seconds since 1970."""
        return self.activation.at, self.deactivation.at


def new_id() -> str:
    """A workflow's id: 32 hexadecimal characters, unguessable."""
    return uuid.uuid4().hex


def host_of(url: str) -> str:
    """Whose breaker and limits the notices to a URL share: the host, with its port."""
    parts = urlsplit(url)
    return f"{parts.hostname}:{parts.port or (443 if parts.scheme == 'https' else 80)}"


def fields_of(workflow: Workflow) -> dict[str, str | bytes | int]:
    """As it stands in Redis; what is absent isn't there. `createdAt` is the script's."""
    found: dict[str, str | bytes | int | None] = {
        "schema": SCHEMA,
        "account": workflow.account,
        "jobId": workflow.job_id,
        "description": workflow.description,
        "notificationUrl": workflow.notification_url,
        "notificationHost": host_of(workflow.notification_url) if workflow.notification_url else None,
        "shown": encode(_lasting(workflow)),
        "redundantGroup": 1 if workflow.redundant_group else None,
        "metadata": workflow.metadata,
        "catchUp": workflow.catch_up,
        "revision": workflow.revision,
    }
    for name in TaskName:
        found |= task_fields(name, workflow.task(name))
    return {name: value for name, value in found.items() if value is not None}


def task_fields(name: TaskName, task: Task) -> dict[str, str | bytes | int | None]:
    """The part of a task that calls write; the rest is the scripts'."""
    return {
        f"{name}.at": task.at,
        f"{name}.notification": task.notification,
        f"{name}.state": task.state.value,
        f"{name}.timer": task.timer,
        f"{name}.reason": task.reason,
    }


def from_fields(workflow_id: str, fields: Mapping[bytes, bytes]) -> Workflow:
    """The inverse of `fields_of`."""

    def text(name: str) -> str | None:
        found = fields.get(name.encode())
        return found.decode() if found else None

    def number(name: str) -> int | None:
        found = text(name)
        return int(found) if found else None

    def instant(name: str) -> datetime | None:
        found = number(name)
        return from_ms(found) if found else None

    def task(name: TaskName) -> Task:
        return Task(
            at=number(f"{name}.at") or 0,
            notification=number(f"{name}.notification"),
            state=TaskState(text(f"{name}.state") or TaskState.PENDING),
            timer=number(f"{name}.timer") or 0,
            fired_at=instant(f"{name}.firedAt"),
            request_id=text(f"{name}.requestId"),
            reason=text(f"{name}.reason"),
            notice=text(f"{name}.notice"),
        )

    return Workflow(
        id=workflow_id,
        account=text("account") or "",
        job_id=text("jobId") or "",
        activation=task(TaskName.ACTIVATION),
        deactivation=task(TaskName.DEACTIVATION),
        description=text("description"),
        notification_url=text("notificationUrl"),
        redundant_group=fields.get(b"redundantGroup") == b"1",
        metadata=fields.get(b"metadata"),
        catch_up=text("catchUp") or UNTIL_DEACTIVATION,
        revision=number("revision") or 0,
        created_at=instant("createdAt"),
        entry_point=text("entryPoint"),
    )


def shown(workflow: Workflow) -> dict[str, Any]:
    """As callers and notices are shown it: JSON values, in the order of the original's answers."""

    def task(one: Task) -> dict[str, Any]:
        found = {"state": one.state.value, "time_utc": one.at, "notification": one.notification}
        more = {"reason": one.reason, "notice": one.notice}
        return {name: value for name, value in (found | more).items() if value is not None}

    lasting = _lasting(workflow)
    if workflow.entry_point is not None:
        lasting["entry_point"] = workflow.entry_point
    return {
        "account_id": lasting.pop("account_id"),
        "activation": task(workflow.activation),
        "deactivation": task(workflow.deactivation),
        **lasting,
    }


def _lasting(workflow: Workflow) -> dict[str, Any]:
    """What nobody changes; notices hold it as it stands in the record."""
    found = {
        "account_id": workflow.account,
        "description": workflow.description,
        "job_id": workflow.job_id,
        "type": "jobstartstop",
        "workflow_id": workflow.id,
        "notification_url": workflow.notification_url,
        "redundant_group": workflow.redundant_group or None,
        "metadata_passthrough": None if workflow.metadata is None else json.loads(workflow.metadata),
        "catchUp": None if workflow.catch_up == UNTIL_DEACTIVATION else _catch_up(workflow.catch_up),
    }
    return {name: value for name, value in found.items() if value is not None}


def _catch_up(text: str) -> str | int:
    return int(text) if text.isdigit() else text


def metadata_text(value: Any) -> bytes:
    """As it is kept."""
    return encode(value)
