"""What a worker process does for the watch: it enrols itself, and runs the canaries that are sent
to it."""

from __future__ import annotations

import os
from typing import Any, Final

from celery import Task, bootsteps, shared_task, signals
from celery.worker.consumer.tasks import Tasks

from app.packages import QUEUES
from app.platform import log
from app.platform.dispatch import CANARY
from app.platform.errors import Unavailable
from app.watch.canaries import Canaries
from app.watch.durability import warn_at_start
from workers.container import system

AGAIN_S: Final = 5.0
_log = log.get_logger()


# Without task events: Flower shows work only.
@shared_task(name=CANARY, bind=True, send_events=False, throws=(Unavailable,))
def canary(self: Task[Any, Any], target: str, sent_ms: int) -> None:
    """Report that it was run, and by which worker."""
    system()[Canaries].ran(target, sent_ms, by=str(self.request.hostname))


class Enrolment(bootsteps.StartStopStep):
    """Enrols the process with the watch whenever it begins to consume;
    `celery.steps["consumer"]`."""

    requires = (Tasks,)

    def start(self, consumer: Any) -> None:
        """Runs after every reconnection too: a server that has lost its data then knows the worker
        again."""
        warn_at_start(system().redis)
        queues = tuple(one.name for one in QUEUES if one.name in consumer.app.amqp.queues.consume_from)
        try:
            system()[Canaries].enrol(consumer.hostname, os.getpid(), queues)
        except Unavailable as error:
            _log.warning("not enrolled with the watch yet", error=error.detail)
            consumer.timer.call_after(AGAIN_S, self.start, (consumer,))


@signals.worker_shutdown.connect
def withdraw(sender: Any, **_: Any) -> None:
    """The worker stops in order. One that dies is shown as silent until it is back, or
    forgotten."""
    try:
        system()[Canaries].withdraw(sender.hostname)
    except Unavailable as error:
        _log.warning("not withdrawn from the watch", error=error.detail)
