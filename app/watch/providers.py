"""The services of the watch."""

from __future__ import annotations

from app.platform.container import Container
from app.watch.canaries import Canaries, watch


def canaries(container: Container) -> Canaries:
    queues = [queue for package in container.packages for queue in package.queues]
    return watch(container.settings, container.redis, queues)
