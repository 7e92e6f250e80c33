"""Queues `deliveries` and `deliveries-slow`: what is delivered to subscribers. A wake-up is one consumer's, for a slice of time."""

from __future__ import annotations

from celery import shared_task

from app.platform.dispatch import DELIVER, FAN_OUT
from app.platform.errors import Unavailable
from workers.container import system
from workers.presentation import EXPECTED, Quiet, ShownTask, rested


# While the store is away nothing can be said about a delivery; the lease and the ticks see to it afterwards.
@shared_task(name=DELIVER, base=ShownTask, throws=(Unavailable, *EXPECTED))
def deliver(consumer_id: str) -> str:
    """Deliver what the consumer has waiting; how it ended, in a word."""
    return rested(consumer_id, system().runner.run(consumer_id))


@shared_task(name=FAN_OUT, base=Quiet, throws=(Unavailable,))
def fan_out(topic: str) -> str | None:
    """Wake whoever listens to a topic; how many that were, None: nobody."""
    count = system().runner.fan_out(topic)
    return f"{count} woken" if count else None
