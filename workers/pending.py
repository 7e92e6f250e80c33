"""Queue `pending`: from the pending buffer to the live one."""

from __future__ import annotations

from celery import shared_task

from workers.parts import system


@shared_task(name="pending.promote")
def promote(destination: str) -> int:
    """Promote as many as the destination takes; how many that were."""
    return system().outgoing.promote(destination)
