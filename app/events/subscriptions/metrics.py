"""The part of `/metrics` that says how each subscription is doing."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from prometheus_client import Metric
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.registry import Collector

from app.events.feeds.accounts import DELAY_BOUNDS_MS
from app.events.feeds.model import FeedStatus
from app.events.subscriptions.model import STATES
from app.platform.errors import Unavailable

_GAUGES: tuple[tuple[str, str, Callable[[FeedStatus], float]], ...] = (
    ("lag_events", "Events of its topics that are logged and not handled yet.", lambda s: s.lag_events),
    ("lag_seconds", "Age of the oldest event that isn't handled yet.", lambda s: s.lag_seconds),
    ("parked", "Events that the destination has refused for good.", lambda s: s.parked),
    ("open", "Events under way, or waiting for a retry of their own.", lambda s: s.open),
)
# Name, text, counter of the feed, divisor.
_COUNTERS: tuple[tuple[str, str, str, int], ...] = (
    ("delivered", "Events delivered.", "delivered", 1),
    ("failures", "Attempts that failed and are repeated.", "failures", 1),
    ("parked_ever", "Events that were parked.", "parked", 1),
    ("calls", "Calls to the destination.", "calls", 1),
    ("bytes", "Bytes of events delivered.", "bytes", 1),
    ("call_seconds", "Time that calls took, in sum.", "latencyMs", 1000),
    ("reclaims", "Leases that ran out: a worker died or hung with it.", "reclaims", 1),
    ("missed_events", "Events that retention removed before they were delivered.", "missed", 1),
)


class SubscriptionCollector(Collector):
    """Nothing while the store is away: `mediaops_store_up` says that."""

    def __init__(self, read: Callable[[], Sequence[FeedStatus]]) -> None:
        self._read = read

    def collect(self) -> Iterator[Metric]:
        try:
            statuses = self._read()
        except Unavailable:
            return
        yield from families(statuses)

    def describe(self) -> list[Metric]:
        """Nothing: registering must not ask Redis."""
        return []


def families(statuses: Sequence[FeedStatus]) -> Iterator[Metric]:
    """The metrics of these subscriptions."""
    states = GaugeMetricFamily(
        "mediaops_subscription_state",
        "1 for the state that a subscription is in: active, failing, paused or disabled.",
        labels=["subscription", "state"],
    )
    for status in statuses:
        for state in STATES:
            states.add_metric([status.id, state], int(status.state.value == state))
    yield states
    for name, text, read in _GAUGES:
        gauge = GaugeMetricFamily(f"mediaops_subscription_{name}", text, labels=["subscription"])
        for status in statuses:
            gauge.add_metric([status.id], read(status))
        yield gauge
    for name, text, counter, divisor in _COUNTERS:
        counted = CounterMetricFamily(f"mediaops_subscription_{name}", text, labels=["subscription"])
        for status in statuses:
            counted.add_metric([status.id], status.counters.get(counter, 0) / divisor)
        yield counted
    yield _delays(statuses)


def _delays(statuses: Sequence[FeedStatus]) -> Metric:
    family = HistogramMetricFamily(
        "mediaops_subscription_delivery_seconds",
        "From an event's publishing to its delivery.",
        labels=["subscription"],
    )
    for status in statuses:
        total, buckets = 0, list[tuple[str, float]]()
        for bound in DELAY_BOUNDS_MS:
            total += status.delays.get(str(bound), 0)
            buckets.append((str(bound / 1000), total))
        buckets.append(("+Inf", total + status.delays.get("inf", 0)))
        family.add_metric([status.id], buckets, status.counters.get("delayMs", 0) / 1000)
    return family
