"""The part of `/metrics` that says how many content media have drifted."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client import Metric
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from app.drift.results import DriftNumbers, DriftResults
from app.outgoing.model import AVOS
from app.platform.container import Container


class DriftCollector(Collector):
    """`collect` raises Unavailable while the store is away."""

    def __init__(self, results: DriftResults) -> None:
        self._results = results

    def collect(self) -> Iterator[Metric]:
        yield from _drift(self._results.numbers(AVOS))


def collector(container: Container) -> Collector:
    return DriftCollector(container[DriftResults])


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
