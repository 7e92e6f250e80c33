"""What a campaign is about. In `everything` all faults meet, and what counts is that nothing is lost, stale or wrong. The others
stage one kind of fault under a steady load, so that it can be said how late things may be because of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from tests.chaos import script
from tests.chaos.deployment import QUICK_MS
from tests.chaos.load import ALL_STEPS, BEGUN_ANEW, MOVES
from tests.chaos.script import Fault

Faults = Callable[[int, float, int, bool], Iterable[Fault]]
HANGING: Final = 120
# A worker that stops waits for its attempts: long enough that what it takes meanwhile would be noticed.
STEADY_MS: Final[Mapping[str, float]] = {"get": 250, "patch": 250, "other": 250}
# The goals, in seconds.
STALENESS_P99_S: Final = 2.0
IN_STEP_S: Final = 3.0
LATENESS_S: Final = 2.0
POISONED_S: Final = 5.0  # what a receiver takes that refuses other events
# Of the scenario in which processes are restarted: so long that a lane that waits for one is told from all others.
LONG_LEASE_S: Final = 8.0
NEVER_FOR_A_LEASE_S: Final = 5.0


@dataclass(frozen=True)
class Scenario:
    """`faults`: by seed, seconds, kills and whether lastModified is coarse. `a_second`: changes of planning, None: as many as
    there is time for. `hanging`: receivers that never answer. `tangles`: bulk calls overtake each other. `goals`: what is
    measured, by which share of it, and how late it may be. `settings`: of the deployment, beside its own. `latency_ms`: of the
    far side while it is well, by method."""

    faults: Faults
    steps: Mapping[str, int]
    a_second: float | None = 20.0
    hanging: int = 0
    tangles: bool = False
    goals: Sequence[tuple[str, float, float]] = ()
    settings: Mapping[str, str] = field(default_factory=dict)
    latency_ms: Mapping[str, float] = field(default_factory=lambda: QUICK_MS)

    @property
    def measured(self) -> bool:
        return self.a_second is not None


def _end(seconds: float) -> float:
    return seconds - 2


STALENESS: Final = ("staleness", 0.99, STALENESS_P99_S)
SCENARIOS: Final[Mapping[str, Scenario]] = {
    "everything": Scenario(
        lambda seed, seconds, kills, coarse: script.script(seed, seconds, kills, coarse=coarse),
        BEGUN_ANEW, a_second=None, hanging=HANGING, tangles=True,
    ),
    # So few that nothing else is under way when the refusal comes: a good answer would hide what it does.
    "refused lane": Scenario(
        lambda _, seconds, *__: script.refused_lane(_end(seconds)), MOVES, a_second=4, goals=[STALENESS]
    ),
    "blinks": Scenario(
        lambda seed, seconds, *_: script.blinks(seed, _end(seconds), 8.0), MOVES, goals=[("in step", 1.0, IN_STEP_S)]
    ),
    "restarts": Scenario(
        lambda _, seconds, *__: script.restarts(_end(seconds), 4.0), MOVES,
        goals=[STALENESS, ("staleness", 1.0, NEVER_FOR_A_LEASE_S)], settings={"MEDIAOPS_LEASE_S": f"{LONG_LEASE_S:g}"},
        latency_ms=STEADY_MS,
    ),
    "begun anew": Scenario(
        lambda _, seconds, *__: script.slow_far_side(_end(seconds)), {**ALL_STEPS, "begin_anew": 60}
    ),
    "overtaking": Scenario(lambda *_: (), MOVES, a_second=4, tangles=True),
    "receivers": Scenario(lambda *_: (), MOVES, hanging=HANGING, goals=[("lateness", 1.0, LATENESS_S), ("poisoned", 1.0, POISONED_S)]),
    "no workers": Scenario(lambda _, seconds, *__: script.away(_end(seconds)), MOVES),
}  # fmt: skip
