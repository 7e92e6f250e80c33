"""The part of `/metrics` about the memory that events take in the store."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client import Metric
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

from app.events.memory import EventMemory
from app.platform.container import Container

# Name, text, what the memory tick has noted.
_GAUGES = (
    ("log_bytes", "What the event log takes of the store's memory, estimated.", "log"),
    ("guids", "Guids that are known, so that a second event of one is recognised.", "guids"),
)
_COUNTERS = (
    ("cut", "Entries that the log has lost because memory was short.", "cut"),
    ("guids_dropped", "Guids that were forgotten before their day was over, because there were too many.", "dropped"),
)  # fmt: skip


def metrics(container: Container) -> Iterator[Metric]:
    """As the memory tick has noted them. Raises Unavailable while the store is away."""
    noted = container[EventMemory].noted()
    for name, text, key in _GAUGES:
        yield GaugeMetricFamily(f"mediaops_events_{name}", text, value=noted.get(key, 0))
    for name, text, key in _COUNTERS:
        yield CounterMetricFamily(f"mediaops_events_{name}", text, value=noted.get(key, 0))
    if noted.get("room", -1) >= 0:
        text = "What may be published until the store's memory is looked at again; 0: publishers get 503."
        yield GaugeMetricFamily("mediaops_events_room_bytes", text, value=noted["room"])
