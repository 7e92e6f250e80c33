"""`/metrics` for Prometheus: read from Redis at each scrape, so that every API process answers the same.

No token, and nothing secret: counts, ages and names of destinations.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pkgutil import resolve_name

from flask import Blueprint, Response
from prometheus_client import CollectorRegistry, Metric
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.registry import Collector
from redis import Redis

from app.platform.container import Container
from app.platform.errors import Unavailable
from app.platform.redis import store_errors


class StoreCollector(Collector):
    """What the packages measure; only `mediaops_store_up 0` while the store is away.

    The collectors are asked only where the store has answered: while it is frozen, each of them would take a time-out of its own.
    """

    def __init__(self, client: Redis, collectors: Iterable[Collector]) -> None:
        self._client = client
        self._collectors = tuple(collectors)

    def collect(self) -> Iterator[Metric]:
        up = GaugeMetricFamily("mediaops_store_up", "1 while Redis answers.")
        try:
            with store_errors():
                self._client.ping()
            families = [family for one in self._collectors for family in one.collect()]
        except Unavailable:
            families = []
            up.add_metric([], 0)
        else:
            up.add_metric([], 1)
        yield up
        yield from families

    def describe(self) -> list[Metric]:
        """Nothing: registering must not ask Redis."""
        return []


def metrics_blueprint(container: Container) -> Blueprint:
    """With the collectors of all packages."""
    blueprint = Blueprint("metrics", __name__)
    registry = CollectorRegistry()
    makers = [resolve_name(name) for package in container.packages for name in package.collectors]
    registry.register(StoreCollector(container.redis, [make(container) for make in makers]))

    @blueprint.get("/metrics")
    def metrics() -> Response:
        return Response(generate_latest(registry), content_type=CONTENT_TYPE_LATEST)

    return blueprint
