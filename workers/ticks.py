"""Queue `ticks`: what beat asks for, one task for each tick that a package declares.

Every tick may come twice, or from two beats: one of them does the work. Each says what it has done; one that had nothing to do
returns None, and isn't shown in Flower.
"""

from __future__ import annotations

from pkgutil import resolve_name

from celery import shared_task

from app.packages import PACKAGES
from app.platform.packages import Tick
from app.platform.ticks import run_tick
from workers.container import system
from workers.presentation import QuietTask


def register(tick: Tick) -> None:
    """Make its task, which takes its docstring from the method that does the work."""

    def task() -> str | None:
        return run_tick(system(), tick)

    task.__name__ = task.__qualname__ = tick.name
    task.__doc__ = resolve_name(tick.calls).__doc__
    shared_task(base=QuietTask, name=tick.task)(task)


for _package in PACKAGES:
    for _tick in _package.ticks:
        register(_tick)
