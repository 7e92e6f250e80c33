"""Queue `ticks`: what beat asks for. Every tick may come twice, or from two beats: one of them does the work."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from celery import shared_task

from app.outgoing.ticks import Swept
from app.platform.ticks import TickLease
from celeryconfig import TICKS
from workers.parts import system

T = TypeVar("T")


def _once(name: str, work: Callable[[], T]) -> T | None:
    """The work of this interval, or None when another tick has done it."""
    return TickLease(system().redis, system().keys).once(name, TICKS[name], work)


@shared_task(name="ticks.retry_failed")
def retry_failed() -> Swept | None:
    """Give up what is too old, make every other failed request due (domain A5), promote what may fly."""
    return _once("retry_failed", system().ticks.retry_failed)


@shared_task(name="ticks.promote")
def promote() -> int | None:
    """The safety net under lost wake-ups."""
    return _once("promote", system().ticks.promote)


@shared_task(name="ticks.reclaim")
def reclaim() -> int | None:
    """Take back what died with its worker."""
    return _once("reclaim", system().ticks.reclaim)


@shared_task(name="ticks.read_back")
def read_back() -> int | None:
    """Look at what AVOS shows of suspect lanes, and send again what an old write has undone."""
    return _once("read_back", system().read_back.run)


@shared_task(name="ticks.audit_drift")
def audit_drift() -> int | None:
    """Compare AVOS with planning for some of the content media whose event is near."""
    return _once("audit_drift", system().drift_audit.tick)


@shared_task(name="ticks.work_on_operations")
def work_on_operations() -> int | None:
    """Go on with operators' bulk verbs."""
    return _once("work_on_operations", system().ticks.work_on_operations)


@shared_task(name="ticks.feeds")
def feeds() -> int | None:
    """Wake the feeds whose time has come, and the safety net under their lost wake-ups and dead workers."""
    return _once("feeds", system().feed_ticks.look_after)


@shared_task(name="ticks.audit_feeds")
def audit_feeds() -> int | None:
    """Check that every feed stands where its state says."""
    return _once("audit_feeds", system().feed_ticks.audit)


@shared_task(name="ticks.watch_memory")
def watch_memory() -> bool | None:
    """Mark the store as full, or not full any more."""
    return _once("watch_memory", system().ticks.watch_memory)


@shared_task(name="ticks.audit")
def audit() -> list[str] | None:
    """Check the invariant and mend what breaks it."""
    return _once("audit", system().ticks.audit)


@shared_task(name="ticks.trim")
def trim() -> int | None:
    """Remove history that is old enough."""
    return _once("trim", system().ticks.trim)
