"""A Celery application with our configuration and tasks of its own under the live tasks' names."""

from __future__ import annotations

import threading
from typing import Any

from celery import Celery, Task

from workers.chains import ChainLink

app = Celery("chain-test")
app.config_from_object("celeryconfig")
app.conf.include = []


def _seen(task: Task[Any, Any]) -> dict[str, Any]:
    request = task.request
    return {
        "id": request.id,
        "root": request.root_id,
        "parent": request.parent_id,
        "thread": threading.get_ident(),
        "task": task.name,
    }


@app.task(name="live.get_last_modified", base=ChainLink, bind=True)
def get_last_modified(self: Task[Any, Any], request_id: str) -> dict[str, Any] | None:
    if request_id.startswith("dead"):
        return None
    if request_id.startswith("bad"):
        raise ValueError("the first link fails")
    return {"requestId": request_id, "first": _seen(self)}


@app.task(name="live.send_patch", base=ChainLink, bind=True)
def send_patch(self: Task[Any, Any], ticket: dict[str, Any]) -> dict[str, Any]:
    if ticket["requestId"].startswith("fade"):
        raise ValueError("the second link fails")
    return {**ticket, "second": _seen(self)}


@app.task(name="live.send", bind=True)
def send(self: Task[Any, Any], request_id: str) -> dict[str, Any]:
    return {"requestId": request_id, "only": _seen(self)}


@app.task(name="pending.promote", bind=True)
def promote(self: Task[Any, Any], destination: str) -> dict[str, Any]:
    return {"destination": destination, "only": _seen(self)}
