"""Queue `pending`: requests that wait become live."""

from __future__ import annotations

from celery import shared_task

from app.outgoing.store import OutgoingStore
from workers.container import system
from workers.presentation import QuietTask


@shared_task(name="pending.promote", base=QuietTask)
def promote(destination: str) -> str | None:
    """Promote as many requests as the destination takes; how many there were, None: none."""
    count = system()[OutgoingStore].promote(destination)
    return f"{count} promoted" if count else None
