"""Queue `ticks`: what beat asks for. Every tick may come twice, or from two beats: one of them does the work.

Each says what it has done; one that had nothing to do returns None, and isn't shown in Flower.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from celery import shared_task

from app.platform.ticks import TickLease
from celeryconfig import TICKS
from workers.container import system
from workers.presentation import QuietTask

T = TypeVar("T")


def _once(name: str, work: Callable[[], T]) -> T | None:
    """The work of this interval, or None when another tick has done it."""
    return TickLease(system().redis, system().keys).once(name, TICKS[name], work)


def _count(count: int | None, what: str) -> str | None:
    return f"{count} {what}" if count else None


@shared_task(base=QuietTask, name="ticks.retry_failed")
def retry_failed() -> str | None:
    """Give up what is too old, make every other failed request due (domain A5), promote what may fly; it always says so."""
    done = _once("retry_failed", system().ticks.retry_failed)
    if done is None:
        return None
    return f"{done.expired} expired, {done.swept} due again, {done.promoted} promoted"


@shared_task(base=QuietTask, name="ticks.promote")
def promote() -> str | None:
    """The safety net under lost wake-ups."""
    return _count(_once("promote", system().ticks.promote), "promoted")


@shared_task(base=QuietTask, name="ticks.reclaim")
def reclaim() -> str | None:
    """Take back what died with its worker."""
    return _count(_once("reclaim", system().ticks.reclaim), "taken back")


@shared_task(base=QuietTask, name="ticks.read_back")
def read_back() -> str | None:
    """Look at what AVOS shows of suspect lanes, and send again what an old write has undone."""
    return _count(_once("read_back", system().read_back.run), "read back")


@shared_task(base=QuietTask, name="ticks.audit_drift")
def audit_drift() -> str | None:
    """Compare AVOS with planning for some of the content media whose event is near."""
    return _count(_once("audit_drift", system().drift_audit.tick), "compared with AVOS")


@shared_task(base=QuietTask, name="ticks.work_on_operations")
def work_on_operations() -> str | None:
    """Go on with operators' bulk verbs."""
    return _count(_once("work_on_operations", system().ticks.work_on_operations), "worked on")


@shared_task(base=QuietTask, name="ticks.consumers")
def consumers() -> str | None:
    """Wake the consumers whose time has come, and the safety net under their lost wake-ups and dead workers."""
    return _count(_once("consumers", system().consumer_ticks.look_after), "looked after")


@shared_task(base=QuietTask, name="ticks.audit_consumers")
def audit_consumers() -> str | None:
    """Check that every consumer stands where its state says."""
    return _count(_once("audit_consumers", system().consumer_ticks.audit), "mended")


@shared_task(base=QuietTask, name="ticks.watch_memory")
def watch_memory() -> str | None:
    """Mark the store as full, or not full any more."""
    return "the store is full" if _once("watch_memory", system().ticks.watch_memory) else None


@shared_task(base=QuietTask, name="ticks.audit")
def audit() -> str | None:
    """Check the invariant and mend what breaks it."""
    return _count(len(_once("audit", system().ticks.audit) or ()), "mended")


@shared_task(base=QuietTask, name="ticks.trim")
def trim() -> str | None:
    """Remove history that is old enough."""
    return _count(_once("trim", system().ticks.trim), "removed")
