"""`/metrics` for Prometheus: read from Redis at each scrape, so that every API process answers the same.

No token, and nothing secret: counts, ages and names of destinations.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pkgutil import resolve_name

from flask import Blueprint, Response
from prometheus_client import CollectorRegistry, Metric
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.registry import Collector

from app.platform.container import Container
from app.platform.errors import Unavailable
from app.platform.redis import store_errors


class StoreCollector(Collector):
    """What the packages measure; only `mediaops_store_up 0` while the store is away.

    They are asked only where the store has answered: while it is frozen, each would wait for it.
    """

    def __init__(self, container: Container) -> None:
        self._container = container
        self._parts = [resolve_name(name) for package in container.packages for name in package.metrics]

    def collect(self) -> Iterator[Metric]:
        up = self._answers()
        yield GaugeMetricFamily("mediaops_store_up", "1 while Redis answers.", value=int(up))
        for part in self._parts if up else ():
            with suppress(Unavailable):
                yield from list(part(self._container))

    def describe(self) -> list[Metric]:
        """Nothing: registering must not ask Redis."""
        return []

    def _answers(self) -> bool:
        try:
            with store_errors():
                return bool(self._container.redis.ping())
        except Unavailable:
            return False


def metrics_blueprint(container: Container) -> Blueprint:
    """With what all packages measure."""
    blueprint = Blueprint("metrics", __name__)
    registry = CollectorRegistry()
    registry.register(StoreCollector(container))

    @blueprint.get("/metrics")
    def metrics() -> Response:
        return Response(generate_latest(registry), content_type=CONTENT_TYPE_LATEST)

    return blueprint
