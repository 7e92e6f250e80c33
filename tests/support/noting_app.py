"""Our own Celery application with a task that notes each of its runs, and takes its time."""

from __future__ import annotations

import time

from celery import shared_task

from workers.app import app
from workers.container import system
from workers.presentation import ShownTask

__all__ = ["app"]


@shared_task(name="live.note", base=ShownTask)
def note(number: int, seconds: float) -> None:
    time.sleep(seconds)
    system().redis.hincrby(f"{system().keys.prefix}noted", str(number), 1)
