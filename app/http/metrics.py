"""`/metrics` for Prometheus: read from Redis at each scrape, so that every API process answers the same.

No token, and nothing secret: counts, ages and names of destinations.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from flask import Blueprint, Response
from prometheus_client import CollectorRegistry, Metric
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.registry import Collector

from app.drift.results import DriftNumbers, DriftResults
from app.outgoing.metrics import TimingCollector
from app.outgoing.model import AVOS
from app.outgoing.statistics import Statistics, read_statistics
from app.outgoing.store import OutgoingStore
from app.outgoing.timings import read_timing
from app.platform.errors import Unavailable
from app.watch.canaries import Canaries
from app.watch.metrics import WatchCollector


class StoreCollector(Collector):
    """Metrics from the store; only `mediaops_store_up 0` while it is away.

    `more` are asked only where the store has answered: while it is frozen, each of them would take a time-out of its own.
    """

    def __init__(
        self,
        read: Callable[[], Statistics],
        drift: Callable[[], DriftNumbers] | None = None,
        more: Iterable[Collector] = (),
    ) -> None:
        self._read = read
        self._drift = drift
        self._more = tuple(more)

    def collect(self) -> Iterator[Metric]:
        up = GaugeMetricFamily("mediaops_store_up", "1 while Redis answers.")
        try:
            statistics = self._read()
            drift = self._drift() if self._drift is not None else None
        except Unavailable:
            up.add_metric([], 0)
            yield up
            return
        up.add_metric([], 1)
        yield up
        yield from _requests(statistics)
        yield from _destinations(statistics)
        yield from _counters(statistics)
        if drift is not None:
            yield from _drift(drift)
        for one in self._more:
            yield from one.collect()

    def describe(self) -> list[Metric]:
        """Nothing: registering must not ask Redis."""
        return []


def metrics_blueprint(
    store: OutgoingStore, drift: DriftResults, canaries: Canaries, more: Iterable[Collector] = ()
) -> Blueprint:
    """`more`: what further packages measure."""
    blueprint = Blueprint("metrics", __name__)
    registry = CollectorRegistry()
    collectors = (WatchCollector(canaries), TimingCollector(lambda: read_timing(store)), *more)
    registry.register(StoreCollector(lambda: read_statistics(store), lambda: drift.numbers(AVOS), collectors))

    @blueprint.get("/metrics")
    def metrics() -> Response:
        return Response(generate_latest(registry), content_type=CONTENT_TYPE_LATEST)

    return blueprint


def _requests(statistics: Statistics) -> Iterator[Metric]:
    counts = GaugeMetricFamily("mediaops_requests", "Records in each state.", labels=["state"])
    for state, count in statistics.counts.items():
        counts.add_metric([state.value], count)
    yield counts
    oldest = GaugeMetricFamily(
        "mediaops_oldest_request_age_seconds",
        "Since the oldest record of the state was accepted.",
        labels=["state"],
    )
    for state, age in statistics.oldest_s.items():
        oldest.add_metric([state.value], age)
    yield oldest
    yield GaugeMetricFamily("mediaops_held_lanes", "Held by operators.", value=statistics.held)


def _destinations(statistics: Statistics) -> Iterator[Metric]:
    tables = GaugeMetricFamily(
        "mediaops_destination_requests",
        "Requests in a destination's tables: runnable, live (in flight), failed, due.",
        labels=["destination", "table"],
    )
    limit = GaugeMetricFamily(
        "mediaops_in_flight_limit", "How many may be live at once.", labels=["destination"]
    )
    paused = GaugeMetricFamily(
        "mediaops_destination_paused", "1 while an operator has paused it.", labels=["destination"]
    )
    for name, numbers in statistics.destinations.items():
        for table, count in numbers.tables.items():
            tables.add_metric([name, table], count)
        limit.add_metric([name], numbers.in_flight_limit)
        paused.add_metric([name], int(numbers.paused))
    yield from (tables, limit, paused)


def _counters(statistics: Statistics) -> Iterator[Metric]:
    accepted = CounterMetricFamily("mediaops_accepted", "Requests accepted.", labels=["destination"])
    outcomes = CounterMetricFamily(
        "mediaops_outcomes",
        "Changes of state: how often requests came to each.",
        labels=["destination", "state"],
    )
    for (destination, word), count in statistics.counters.items():
        if word == "accepted":
            accepted.add_metric([destination], count)
        else:
            outcomes.add_metric([destination, word], count)
    yield from (accepted, outcomes)


def _drift(numbers: DriftNumbers) -> Iterator[Metric]:
    states = GaugeMetricFamily(
        "mediaops_drift_content_media",
        "Content media near their event, by what AVOS showed of them last: in_step, drifted, not_observable, unreadable.",
        labels=["state"],
    )
    for state, count in numbers.states.items():
        states.add_metric([state.value], count)
    yield states
    if numbers.round_ended_s_ago is not None:
        yield GaugeMetricFamily(
            "mediaops_drift_round_age_seconds",
            "Since the last round of the drift audit ended.",
            value=numbers.round_ended_s_ago,
        )
    yield GaugeMetricFamily(
        "mediaops_suspect_lanes",
        "Lanes to be read back after a write of unknown outcome.",
        value=numbers.suspects,
    )
