"""Queue `live`: what goes out. A PATCH is the chain `get_last_modified`, `send_patch`; other methods are `send`."""

from __future__ import annotations

from typing import Any

from celery import shared_task

from workers.handover import ChainLink
from workers.parts import system


# The ticket's beginning is shown in Flower (it names the request); a kilobyte, the default, costs too much to write out.
@shared_task(name="live.get_last_modified", base=ChainLink, resultrepr_maxsize=100)
def get_last_modified(request_id: str) -> dict[str, Any] | None:
    """Claim the request and GET its lastModified: the ticket for `send_patch`, or None when nothing is to be sent."""
    return system().delivery.get_last_modified(request_id)


@shared_task(name="live.send_patch", base=ChainLink)
def send_patch(ticket: dict[str, Any]) -> str | None:
    """PATCH with the ticket's lastModified; the outcome in a word."""
    return system().delivery.send_patch(ticket)


@shared_task(name="live.send")
def send(request_id: str) -> str | None:
    """Claim the request and send it as it is; the outcome in a word."""
    return system().delivery.send(request_id)
