"""The watch's side in a worker process: it enrols, and runs the canaries that come for it."""

from __future__ import annotations

import os
from typing import Any, Final

from celery import Task, bootsteps, shared_task, signals
from celery.worker.consumer.tasks import Tasks

from app.platform import log
from app.platform.dispatch import CANARY, QUEUES
from app.platform.errors import Unavailable
from app.watch.durability import warn_at_start
from workers.container import system

AGAIN_S: Final = 5.0
_log = log.get_logger()


# No task events: Flower is for the work.
@shared_task(name=CANARY, bind=True, send_events=False, throws=(Unavailable,))
def canary(self: Task[Any, Any], target: str, sent_ms: int) -> None:
    """Say that, and where, it was run."""
    system().canaries.ran(target, sent_ms, by=str(self.request.hostname))


class Enrolment(bootsteps.StartStopStep):
    """Makes the process known to the watch whenever it begins to consume; `celery.steps["consumer"]`."""

    requires = (Tasks,)

    def start(self, consumer: Any) -> None:
        """Also after every reconnection: a server that has lost its data then knows it again."""
        warn_at_start(system().redis)
        queues = tuple(name for name in QUEUES if name in consumer.app.amqp.queues.consume_from)
        try:
            system().canaries.enrol(consumer.hostname, os.getpid(), queues)
        except Unavailable as error:
            _log.warning("not enrolled with the watch yet", error=error.detail)
            consumer.timer.call_after(AGAIN_S, self.start, (consumer,))


@signals.worker_shutdown.connect
def withdraw(sender: Any, **_: Any) -> None:
    """It ends in order. One that dies is shown as silent until it is back, or forgotten."""
    try:
        system().canaries.withdraw(sender.hostname)
    except Unavailable as error:
        _log.warning("not withdrawn from the watch", error=error.detail)
