"""The part of `/metrics` that counts outgoing requests: by state, by destination, and since the beginning."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client import Metric
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

from app.outgoing.statistics import Statistics, read_statistics
from app.outgoing.store import OutgoingStore
from app.platform.container import Container


def metrics(container: Container) -> Iterator[Metric]:
    """Raises Unavailable while the store is away."""
    statistics = read_statistics(container[OutgoingStore])
    yield from _requests(statistics)
    yield from _destinations(statistics)
    yield from _counters(statistics)


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
