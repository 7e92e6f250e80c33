"""The part of `/metrics` that says how subscriptions are doing: all of them together, and those by name
that are worst off."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from prometheus_client import Metric
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily

from app.events.consumers.figures import NAMED, Figures, FiguresReader, Named
from app.events.consumers.outcomes import DELAY_BOUNDS_MS
from app.events.subscriptions.model import STATES
from app.platform.container import Container

# Name, text; the value of one by name.
_GAUGES: tuple[tuple[str, str, Callable[[Figures | Named], float]], ...] = (
    ("lag_events", "Events of their topics that are logged and not handled yet.", lambda f: f.lag_events),
    ("lag_seconds", "Age of the oldest event that isn't handled yet.", lambda f: f.lag_seconds),
    ("parked", "Events that a destination has refused for good.", lambda f: f.parked),
    ("open", "Events under way, or waiting for a retry of their own.", lambda f: f.open),
)
# Name, text, counter of the consumers, divisor.
_COUNTERS: tuple[tuple[str, str, str, int], ...] = (
    ("delivered", "Events delivered.", "delivered", 1),
    ("failures", "Attempts that failed and are repeated.", "failures", 1),
    ("parked_ever", "Events that were parked.", "parked", 1),
    ("calls", "Calls to destinations.", "calls", 1),
    ("bytes", "Bytes of events delivered.", "bytes", 1),
    ("call_seconds", "Time that calls took, in sum.", "latencyMs", 1000),
    ("reclaims", "Leases that ran out: a worker died or hung with it.", "reclaims", 1),
    ("missed_events", "Events that retention removed before they were delivered.", "missed", 1),
)


def metrics(container: Container) -> Iterator[Metric]:
    """All subscriptions together, and the worst of them by name. Raises Unavailable while the store is away."""
    figures = container[FiguresReader].read()
    states = GaugeMetricFamily("mediaops_subscriptions", "Subscriptions in each state.", labels=["state"])
    for state in STATES:
        states.add_metric([state], figures.states.get(state, 0))
    yield states
    for name, text, read in _GAUGES:
        yield GaugeMetricFamily(f"mediaops_subscriptions_{name}", f"{text} Of all.", value=read(figures))
    for name, text, counter, divisor in _COUNTERS:
        total = figures.totals.get(counter, 0) / divisor
        yield CounterMetricFamily(f"mediaops_subscriptions_{name}", text, value=total)
    yield _delays(figures)
    yield from _named(figures)


def _named(figures: Figures) -> Iterator[Metric]:
    only = f"Of at most {NAMED}: those farthest behind, failing, disabled or with something parked."
    states = GaugeMetricFamily(
        "mediaops_subscription_state",
        f"1 for the state that a subscription is in. {only}",
        labels=["subscription", "state"],
    )
    for one in figures.named:
        states.add_metric([one.id, one.state], 1)
    yield states
    for name, text, read in _GAUGES:
        gauge = GaugeMetricFamily(f"mediaops_subscription_{name}", f"{text} {only}", labels=["subscription"])
        for one in figures.named:
            gauge.add_metric([one.id], read(one))
        yield gauge


def _delays(figures: Figures) -> Metric:
    total, buckets = 0, list[tuple[str, float]]()
    for bound in DELAY_BOUNDS_MS:
        total += figures.totals.get(f"delay:{bound}", 0)
        buckets.append((str(bound / 1000), total))
    buckets.append(("+Inf", total + figures.totals.get("delay:inf", 0)))
    return HistogramMetricFamily(
        "mediaops_subscriptions_delivery_seconds",
        "From an event's publishing to its delivery.",
        buckets=buckets,
        sum_value=figures.totals.get("delayMs", 0) / 1000,
    )
