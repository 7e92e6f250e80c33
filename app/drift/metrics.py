"""The part of `/metrics` that says how many content media have drifted."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client import Metric
from prometheus_client.core import GaugeMetricFamily

from app.drift.results import DriftResults
from app.outgoing.model import AVOS
from app.platform.container import Container


def metrics(container: Container) -> Iterator[Metric]:
    """Raises Unavailable while the store is away."""
    numbers = container[DriftResults].numbers(AVOS)
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
