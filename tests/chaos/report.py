"""What a campaign is made of, and what it has shown."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field
from typing import Any, Final

from tests.chaos import stream_judge
from tests.chaos.faults import Struck, shown
from tests.chaos.judge import Staged, Verdict
from tests.chaos.load import Refusal
from tests.chaos.scenarios import SCENARIOS, Scenario

IN_STEP: Final = "from the last fault to all in step (s)"
BOUND: Final = "backlog / release rate + lease + 2 ticks (s)"
DELIVERED: Final = "from the last fault to events delivered (s)"
PROMISED_S: Final = 1.5  # for a 503
EVENTS_A_SECOND: Final = 20
REQUESTS: Final = ("lost", "stale", "final", "unread", "side by side", "twice")
EVENTS: Final = (
    "missing",
    "gap",
    "disorder",
    "altered",
    "invented",
    "published twice",
    "twice",
    "replay",
    "paused",
)


@dataclass(frozen=True)
class Plan:
    """What a campaign is made of. `coarse`: the far side's lastModified has whole seconds. `events`: how many are published
    while faults are staged, beside those that the system tells itself."""

    seconds: float = 120.0
    seed: int = 1
    kills: int = 30
    coarse: bool = False
    pool: str = "threads"
    planners: int = 4
    programmes: int = 30  # of each planner
    pause_s: float = 0.0
    inline: bool = True
    events: int | None = None
    scenario: str = "everything"
    hanging: int | None = None  # receivers that never answer; None: as many as the scenario has

    @property
    def of(self) -> Scenario:
        return SCENARIOS[self.scenario]

    @property
    def hanging_ones(self) -> int:
        return self.of.hanging if self.hanging is None else self.hanging

    @property
    def events_in_all(self) -> int:
        return int(EVENTS_A_SECOND * self.seconds) if self.events is None else self.events


@dataclass
class Report:
    """What happened, and what it means."""

    plan: Plan
    verdict: Verdict = field(default_factory=Verdict)
    events: stream_judge.Verdict = field(default_factory=stream_judge.Verdict)
    log: list[Struck] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    figures: dict[str, Any] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)

    @property
    def good(self) -> bool:
        return not self.wrong and not self.problems

    @property
    def wrong(self) -> dict[str, list[str]]:
        events = {f"events {name}": problems for name, problems in self.events.wrong.items()}
        return {**self.verdict.wrong, **events}

    def text(self) -> str:
        lines = ["Fault log", shown(self.log), "", f"{self.plan.scenario}, seed {self.plan.seed}"]
        lines += [f"  {name:<46}{value}" for name, value in self.figures.items()]
        lines += [f"  {f'fault: {name}':<46}{count}" for name, count in sorted(self.counts.items())]
        counted = {**self.verdict.counted, **self.events.counted}
        lines += [f"  {f'counted: {name}':<46}{count}" for name, count in counted.items()]
        for name in (*REQUESTS, *(f"events {name}" for name in EVENTS)):
            lines.append(f"  {f'wrong: {name}':<46}{len(self.wrong.get(name, []))}")
        for name, problems in self.wrong.items():
            lines += [f"{name}: {problem}" for problem in problems[:20]]
            lines += [f"{name}: … and {len(problems) - 20} more"] * (len(problems) > 20)
        lines += [f"problem: {problem}" for problem in self.problems]
        return "\n".join([*lines, "PASSED" if self.good else "FAILED"])


def slowest(refused: list[Refusal], frozen: list[Staged]) -> str:
    """Of the refusals that didn't wait for a frozen API process: the longest, what it was, and how many took longer than
    is promised while the store is away."""
    fair = [
        one
        for one in refused
        if not any(at.since < one.at + one.seconds and one.at < at.until for at in frozen)
    ]
    if not fair:
        return "none"
    longest = max(fair, key=lambda one: one.seconds)
    late = sum(one.seconds > PROMISED_S for one in fair)
    return f"{longest.seconds:.2f} ({longest.call}); over {PROMISED_S:g} s: {late} of {len(fair)}"


def as_json(report: Report) -> str:
    return json.dumps(
        {
            "plan": vars(report.plan),
            "figures": report.figures,
            "faults": report.counts,
            "counted": {**report.verdict.counted, **report.events.counted},
            "wrong": {name: len(problems) for name, problems in report.wrong.items()},
        },
        default=str,
    )
