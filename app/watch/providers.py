"""The services of the watch."""

from __future__ import annotations

from app.platform.container import Container
from app.watch.canaries import Canaries, watch


def canaries(container: Container) -> Canaries:
    return watch(container.settings, container.redis)
