"""The packages of this system. A new one is named here, and declares the rest in its own `package.py`."""

from __future__ import annotations

from importlib import import_module
from typing import Final

from redis import Redis

from app.platform.container import Container
from app.platform.packages import Package
from app.settings import Settings

# The lowest first: each may import those above it in this list, and none below it.
NAMES: Final = (
    "platform",
    "watch",
    "http",
    "events",
    "outgoing",
    "avos",
    "planning",
    "registrations",
    "schedules",
    "drift",
    "fleet",
)


def declared(name: str) -> Package:
    """The declaration of one package."""
    package: Package = import_module(f"app.{name}.package").PACKAGE
    return package


PACKAGES: Final = tuple(declared(name) for name in NAMES)
QUEUES: Final = tuple(queue for package in PACKAGES for queue in package.queues)


def build(settings: Settings, *, redis: Redis | None = None, script_flags: bool = True) -> Container:
    """The services of this process; `redis` and `script_flags` are for tests on a server within the process."""
    return Container(settings, PACKAGES, redis=redis, script_flags=script_flags)
