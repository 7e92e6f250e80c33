"""Queue `live`: what goes out. A PATCH is the chain `get_last_modified`, `send_patch`; other methods are `send`."""

from __future__ import annotations

from typing import Any

from celery import shared_task

from workers.chains import ChainLink
from workers.container import system
from workers.presentation import ended


# Written out in full the ticket would cost as much as the rest of the link; what is shown of it is `handed_on`.
@shared_task(
    name="live.get_last_modified",
    bind=True,
    base=ChainLink,
    resultrepr_maxsize=10,
    handed_on="read",
)
def get_last_modified(self: ChainLink, request_id: str) -> dict[str, Any] | None:
    """Claim the request and GET its lastModified: the ticket for `send_patch`, or None when nothing is to be sent."""
    ticket = system().engine.get_last_modified(request_id)
    if ticket is None:
        self.show(ended(request_id, None))
    return ticket


@shared_task(name="live.send_patch", base=ChainLink)
def send_patch(ticket: dict[str, Any]) -> str:
    """PATCH with the ticket's lastModified; what became of it."""
    return ended(ticket["claim"]["request_id"], system().engine.send_patch(ticket))


@shared_task(name="live.send", base=ChainLink)
def send(request_id: str) -> str:
    """Claim the request and send it as it is; what became of it."""
    return ended(request_id, system().engine.send(request_id))
