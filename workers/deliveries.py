"""Queues `deliveries` and `deliveries-slow`: deliveries to subscribers. One message gives one
consumer a slice of time."""

from __future__ import annotations

from celery import shared_task

from app.events.consumers.runner import Runner
from app.events.consumers.ticks import ConsumerTicks
from app.platform.dispatch import DELIVER, FAN_OUT
from app.platform.errors import Unavailable
from workers.container import system
from workers.presentation import EXPECTED, QuietTask, ShownTask, consumer_line


# While the store is away the outcome of a delivery can't be recorded; afterwards its lease and the
# ticks repeat it.
@shared_task(name=DELIVER, base=ShownTask, throws=(Unavailable, *EXPECTED))
def deliver(consumer_id: str) -> str:
    """Deliver what waits for the consumer; how it ended, in a word."""
    return consumer_line(consumer_id, system()[Runner].run(consumer_id))


@shared_task(name=FAN_OUT, base=QuietTask, throws=(Unavailable,))
def fan_out(topic: str) -> str | None:
    """Wake the consumers that listen to a topic; how many there were, None: none."""
    count = system()[ConsumerTicks].fan_out(topic)
    return f"{count} woken" if count else None
