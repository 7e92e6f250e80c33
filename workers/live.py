"""Queue `live`: attempts at requests. A PATCH is the chain `get_last_modified`, `send_patch`; any
other method is `send`."""

from __future__ import annotations

from typing import Any

from celery import shared_task

from app.outgoing.engine import Engine
from workers.chains import ChainLink
from workers.container import system
from workers.presentation import request_line


# Celery would write the whole ticket into the task's event, which costs as much as the rest of the
# task. Flower shows `handed_on` in its place.
@shared_task(
    name="live.get_last_modified",
    bind=True,
    base=ChainLink,
    resultrepr_maxsize=10,
    handed_on="read",
)
def get_last_modified(self: ChainLink, request_id: str) -> dict[str, Any] | None:
    """Claim the request and GET its lastModified; the ticket for `send_patch`, or None when nothing
    is to be sent."""
    ticket = system()[Engine].get_last_modified(request_id)
    if ticket is None:
        self.show(request_line(request_id, None))
    return ticket


@shared_task(name="live.send_patch", base=ChainLink)
def send_patch(ticket: dict[str, Any]) -> str:
    """PATCH with the ticket's lastModified; what became of it."""
    return request_line(ticket["claim"]["request_id"], system()[Engine].send_patch(ticket))


@shared_task(name="live.send", base=ChainLink)
def send(request_id: str) -> str:
    """Claim the request and send it as it is; what became of it."""
    return request_line(request_id, system()[Engine].send(request_id))
