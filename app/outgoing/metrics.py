"""The part of `/metrics` that says how destinations are and how long deliveries take."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client import Metric
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily

from app.outgoing.store import OutgoingStore
from app.outgoing.timings import Timing, read_timing
from app.platform.container import Container


def metrics(container: Container) -> Iterator[Metric]:
    """Raises Unavailable while the store is away."""
    timing = read_timing(container[OutgoingStore])
    yield HistogramMetricFamily(
        "mediaops_delivery_seconds",
        "From acceptance to delivery.",
        buckets=timing.delivery.buckets,
        sum_value=timing.delivery.sum_s,
    )
    yield HistogramMetricFamily(
        "mediaops_lateness_seconds",
        "After kick-off, of what was accepted before it; 0 in time.",
        buckets=timing.lateness.buckets,
        sum_value=timing.lateness.sum_s,
    )
    yield GaugeMetricFamily(
        "mediaops_late_requests", "Open requests whose kick-off has passed.", value=timing.late
    )
    yield HistogramMetricFamily(
        "mediaops_staleness_seconds",
        "From the first acknowledged change that AVOS didn't show to the moment it does, superseded ones included.",
        buckets=timing.staleness.buckets,
        sum_value=timing.staleness.sum_s,
    )
    stalest = GaugeMetricFamily(
        "mediaops_oldest_staleness_seconds",
        "Since the first acknowledged change that AVOS doesn't show yet, by whether it still goes out by itself (open) "
        "or was rejected or has expired (undelivered).",
        labels=["state"],
    )
    for state in ("open", "undelivered"):
        stalest.add_metric([state], timing.stalest_s.get(state, 0.0))
    yield stalest
    yield from _breakers(timing)


def _breakers(timing: Timing) -> Iterator[Metric]:
    state = GaugeMetricFamily(
        "mediaops_destination_state",
        "1 for the state that a destination is in: closed, open, recovering, resting or paused; with the breaker's reason.",
        labels=["destination", "state", "reason"],
    )
    opened = CounterMetricFamily(
        "mediaops_destination_opened", "How often its breaker has opened.", labels=["destination"]
    )
    for one in timing.destinations:
        state.add_metric([one.name, one.state.value, one.reason or ""], 1)
        opened.add_metric([one.name], one.times_opened)
    yield from (state, opened)
