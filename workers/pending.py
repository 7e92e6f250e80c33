"""Queue `pending`: from the pending buffer to the live one."""

from __future__ import annotations

from celery import shared_task

from workers.container import system
from workers.presentation import Quiet


@shared_task(name="pending.promote", base=Quiet)
def promote(destination: str) -> str | None:
    """Promote as many as the destination takes; how many that were, None: none."""
    count = system().outgoing.promote(destination)
    return f"{count} promoted" if count else None
