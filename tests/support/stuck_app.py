"""Our own Celery application with a task that never ends, for a worker whose pool is to be stuck."""

from __future__ import annotations

import threading

from celery import shared_task

from workers.app import app

__all__ = ["app"]


@shared_task(name="live.hang")
def hang() -> None:
    threading.Event().wait()
