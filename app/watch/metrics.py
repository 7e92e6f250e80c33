"""Metrics of the watch: how long a wake-up takes to run, who is silent, when beat last sent something."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from prometheus_client import Metric
from prometheus_client.core import GaugeMetricFamily

from app.platform.container import Container
from app.watch.canaries import Canaries
from app.watch.evaluation import QueueState, Report


def metrics(container: Container) -> Iterator[Metric]:
    """Raises Unavailable while the store is away."""
    report = container[Canaries].report()
    yield from _queues(report)
    yield from _processes(report)


def _queues(report: Report) -> Iterator[Metric]:
    rows: tuple[tuple[str, str, Callable[[QueueState], float | None]], ...] = (
        (
            "canary_latency_seconds",
            "From wake-up to run, of the last canary that ran.",
            lambda q: q.latency_s,
        ),
        ("canary_age_seconds", "Since a canary was run.", lambda q: q.age_s),
        ("canary_waiting_seconds", "How long the outstanding canary waits.", lambda q: q.waiting_s or 0),
        ("queue_stalled", "1 while a canary has waited for too long.", lambda q: int(q.stalled)),
        ("queue_workers", "Known worker processes.", lambda q: len(q.workers)),
    )
    for name, text, read in rows:
        family = GaugeMetricFamily(f"mediaops_{name}", text, labels=["queue"])
        for queue, state in report.queues.items():
            value = read(state)
            if value is not None:
                family.add_metric([queue], value)
        yield family


def _processes(report: Report) -> Iterator[Metric]:
    silent = GaugeMetricFamily(
        "mediaops_process_silent", "1 while a known process runs nothing.", labels=["process"]
    )
    for name, worker in report.workers.items():
        silent.add_metric([name], int(worker.silent))
    for name, beat in report.beats.items():
        silent.add_metric([name], int(beat.silent))
    yield silent
    yield GaugeMetricFamily(
        "mediaops_silent_processes", "Known processes that run nothing.", value=len(report.silent)
    )
    if report.beat_age_s is not None:
        yield GaugeMetricFamily(
            "mediaops_beat_age_seconds", "Since beat has sent something.", value=report.beat_age_s
        )
