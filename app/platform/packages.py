"""What a package brings to the system: each declares it once, as `PACKAGE` in `app/<name>/package.py`.

A declaration names code by import strings such as "app.planning.routes:planning_blueprint", and whoever needs that code
loads it (`pkgutil.resolve_name`). So a declaration costs nothing to import, and a process loads only its own side: a worker
loads no Flask, and the command line no scripts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sized
from dataclasses import dataclass, field

from app.settings import Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class Tick:
    """Something that beat asks for every so often, as the Celery task `ticks.{name}`.

    `every`: seconds, or the name of the setting that has them. `calls`: a service's method without arguments. `says`: a format
    string for what the method returns (for a collection: its length); nothing is said where that is None, false or 0.
    """

    name: str
    every: float | str
    calls: str
    says: str

    @property
    def task(self) -> str:
        """The name of its Celery task."""
        return f"ticks.{self.name}"

    def seconds(self, settings: Settings) -> float:
        """How often it comes."""
        return float(getattr(settings, self.every)) if isinstance(self.every, str) else self.every

    def line(self, done: object) -> str | None:
        """What Flower shows of one that has returned this; None: it had nothing to do."""
        count = len(done) if isinstance(done, Sized) else done
        return self.says.format(count) if count else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Queue:
    """A queue of Celery, which takes the tasks that are named after it: `live.send` goes to `live`.

    `tasks`: the module that makes them. `turn_s`: how long a task may keep its thread, where that isn't bounded by the time-out
    of an attempt.
    """

    name: str
    tasks: str
    turn_s: float = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Package:
    """A folder under `app` and what it brings. Import strings, but where said otherwise."""

    name: str
    # Modules whose public functions each make one service, named by what they return (`platform.container`).
    providers: tuple[str, ...] = ()
    # Of flask-smorest, and functions that take the `Api` and add to the description what blueprints can't say.
    blueprints: tuple[str, ...] = ()
    descriptions: tuple[str, ...] = ()
    # Functions that take the container and yield Prometheus metrics. They may raise Unavailable.
    metrics: tuple[str, ...] = ()
    # For `doctor`: functions that take the container and return `WatchFinding`s. They may raise Unavailable.
    checks: tuple[str, ...] = ()
    # Commands of click by their names; "contentmedia preview" is one of the group `contentmedia`.
    commands: Mapping[str, str] = field(default_factory=dict)
    queues: tuple[Queue, ...] = ()
    ticks: tuple[Tick, ...] = ()
    # Functions that take the settings and return a `Destination` (`outgoing.destinations`).
    destinations: tuple[str, ...] = ()
    # By the name of a destination, a function that takes the container and returns its `FarSide` (`outgoing.engine`).
    far_sides: Mapping[str, str] = field(default_factory=dict)
    # Methods for the walk through all keys (`platform.walk`), by the first word of the keys that they are shown.
    visitors: Mapping[str, str] = field(default_factory=dict)
    # Methods that remove what has become old, and say how much: called with the history's trim.
    trims: tuple[str, ...] = ()
    # Patterns, not import strings: the Redis keys that belong to it, behind the tenant's prefix. `*` stands for anything.
    keys: tuple[str, ...] = ()

    @property
    def claims(self) -> tuple[str, ...]:
        """Its keys, and its queues, which are keys too."""
        return (*self.keys, *(queue.name for queue in self.queues))
