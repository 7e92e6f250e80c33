"""What a run measures, how often and for how long."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from benchmarks.naive.settings import BESIDE, COMPARED

SECTIONS: Final = ("accepting", "updates", "failed-table", "events", "schedules")
LATENCIES_MS: Final = (0, 20, 100)


@dataclass(frozen=True)
class Backlog:
    """How many updates stand in a backlog, by the far side's latency: some seconds' work each."""

    ours: Mapping[int, int]
    naive: Mapping[int, int]


@dataclass(frozen=True)
class EventPlan:
    """`rate` of deliveries a second in all, and how long of each; events of a backlog, and of a replay; few and many who listen."""

    rate: float
    warm_s: float
    steady_s: float
    drained: int
    replayed: int
    publish_s: float
    listeners: tuple[int, int] = (10, 5000)


@dataclass(frozen=True)
class SchedulePlan:
    """Workflows due in the same second, and over `spread_s` seconds; timers that are to come much later."""

    burst: int
    spread: int
    spread_s: int
    later: int


@dataclass(frozen=True)
class Plan:
    """`steady` rates are for both sides (about half of what the plain side can do), `busy` for ours alone. Latency is
    measured with one tuning, the one that reserves no task behind a running one."""

    rounds: int
    accepting_s: float
    pairs: int
    backlog: Backlog
    steady_rates: Mapping[int, float]
    steady_s: float
    busy_rate: float
    busy_s: float
    tables: tuple[int, int]
    removed: int
    events: EventPlan
    schedules: SchedulePlan
    tunings: tuple[str, ...] = COMPARED  # the best of these is what the goals are about
    beside: tuple[str, ...] = BESIDE  # measured and shown, without a goal
    steady_tuning: str = "late"
    latencies_ms: tuple[int, ...] = field(default=LATENCIES_MS)

    @property
    def all_tunings(self) -> tuple[str, ...]:
        return (*self.tunings, *self.beside)


FULL: Final = Plan(
    rounds=3,
    accepting_s=2.5,
    pairs=600,
    backlog=Backlog(ours={0: 1000, 20: 1000, 100: 1000}, naive={0: 300, 20: 80, 100: 30}),
    steady_rates={0: 40, 20: 15, 100: 4},
    steady_s=4,
    busy_rate=100,
    busy_s=3,
    tables=(10_000, 1_000_000),
    removed=100_000,
    events=EventPlan(rate=200, warm_s=3, steady_s=10, drained=20_000, replayed=100_000, publish_s=2.5),
    schedules=SchedulePlan(burst=2_000, spread=10_000, spread_s=60, later=1_000_000),
)
QUICK: Final = Plan(
    rounds=1,
    accepting_s=1.5,
    pairs=100,
    backlog=Backlog(ours={0: 1500, 100: 1500}, naive={0: 400, 100: 40}),
    steady_rates={0: 40, 100: 4},
    steady_s=4,
    busy_rate=100,
    busy_s=3,
    tables=(10_000, 50_000),
    removed=5_000,
    events=EventPlan(rate=200, warm_s=2, steady_s=4, drained=5_000, replayed=10_000, publish_s=1.5),
    schedules=SchedulePlan(burst=200, spread=500, spread_s=5, later=10_000),
    latencies_ms=(0, 100),
)
