"""The part of `/metrics` that says how schedules go."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from prometheus_client import Metric
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily

from app.platform.container import Container
from app.schedules.records import TaskName
from app.schedules.store import ScheduleStore

OUTCOMES: Final = ("fired", "late", "missed", "finished", "failed")
BUCKETS_MS: Final = (50, 100, 250, 1000, 5000, 60_000, 600_000)  # as `lua/fire.lua` has them


def metrics(container: Container) -> Iterator[Metric]:
    """Raises Unavailable while the store is away."""
    figures = container[ScheduleStore].figures()
    tasks = CounterMetricFamily(
        "mediaops_schedule_tasks",
        "Tasks that were fired (handed to the Live API), late, missed, finished, failed.",
        labels=["task", "outcome"],
    )
    for outcome in OUTCOMES:
        for name in TaskName:
            tasks.add_metric([name, outcome], figures.counters.get(f"{outcome}:{name}", 0))
    yield tasks
    yield GaugeMetricFamily("mediaops_schedule_timers", "Timers that are to come.", value=figures.timers)
    if figures.next_in_s is not None:
        text = "Seconds until the next timer is due; negative: it is overdue."
        yield GaugeMetricFamily("mediaops_schedule_next_seconds", text, value=figures.next_in_s)
    yield _lateness(figures.counters)
    late = GaugeMetricFamily(
        "mediaops_schedule_late_seconds",
        "The last twenty tasks that were late or missed, and by how much.",
        labels=["workflow_id", "task"],
    )
    for one in figures.late:
        late.add_metric([one.workflow_id, one.task], one.late_s)
    yield late


def _lateness(counters: Mapping[str, int]) -> Metric:
    total, buckets = 0, []
    for most in BUCKETS_MS:
        total += counters.get(f"lateness:{most}", 0)
        buckets.append((f"{most / 1000:g}", float(total)))
    buckets.append(("+Inf", float(counters.get("lateness:count", 0))))
    return HistogramMetricFamily(
        "mediaops_schedule_lateness_seconds",
        "From a task's time to the moment it was fired.",
        buckets=buckets,
        sum_value=counters.get("lateness:sum", 0) / 1000,
    )
