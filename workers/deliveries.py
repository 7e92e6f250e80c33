"""Queues `deliveries` and `deliveries-slow`: what is delivered to subscribers. A wake-up is one feed's, for a slice of time."""

from __future__ import annotations

from celery import shared_task

from app.platform.dispatch import DELIVER, FAN_OUT
from app.platform.errors import Unavailable
from workers.parts import system
from workers.shown import EXPECTED, Quiet, Shown, rested


# While the store is away nothing can be said about a delivery; the lease and the ticks see to it afterwards.
@shared_task(name=DELIVER, base=Shown, throws=(Unavailable, *EXPECTED))
def deliver(feed_id: str) -> str:
    """Deliver what the feed has waiting; how it ended, in a word."""
    return rested(feed_id, system().runner.run(feed_id))


@shared_task(name=FAN_OUT, base=Quiet, throws=(Unavailable,))
def fan_out(topic: str) -> str | None:
    """Wake whoever listens to a topic; how many that were, None: nobody."""
    count = system().runner.fan_out(topic)
    return f"{count} woken" if count else None
