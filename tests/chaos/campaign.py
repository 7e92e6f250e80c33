"""One campaign: a house under load, everything broken by a script, then the time until all is in step, and the verdict."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import requests

from tests.chaos import judge
from tests.chaos.faults import Saboteur, Struck, script, shown
from tests.chaos.house import LEASE_S, RELEASE_RATE, RETRY_S, WORKERS, ChaosHouse
from tests.chaos.judge import Staged, Verdict, Wish
from tests.chaos.load import Planner, Refusal

IN_STEP: Final = "from the last fault to all in step (s)"
BOUND: Final = "backlog / release rate + lease + 2 ticks (s)"
PROMISED_S: Final = 1.5  # for a 503
OPEN: Final = ("pending", "live", "failed")
# Planners of one match each, beside the others where lastModified has whole seconds: only writes that follow one another
# within a second can undo each other then.
RESTLESS: Final = 3
_PAGE: Final = 400
_SETTLE_S: Final = 240.0  # after that the campaign has failed anyway


@dataclass(frozen=True)
class Plan:
    """What a campaign is made of. `coarse`: the far side's lastModified has whole seconds."""

    seconds: float = 120.0
    seed: int = 1
    kills: int = 30
    coarse: bool = False
    pool: str = "threads"
    planners: int = 4
    programmes: int = 30  # of each planner
    pause_s: float = 0.0
    inline: bool = True


@dataclass
class Report:
    """What happened, and what it means."""

    plan: Plan
    verdict: Verdict = field(default_factory=Verdict)
    log: list[Struck] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    figures: dict[str, Any] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)

    @property
    def good(self) -> bool:
        return not self.verdict.wrong and not self.problems

    def text(self) -> str:
        lines = ["Fault log", shown(self.log), "", f"Seed {self.plan.seed}"]
        lines += [f"  {name:<46}{value}" for name, value in self.figures.items()]
        lines += [f"  {f'fault: {name}':<46}{count}" for name, count in sorted(self.counts.items())]
        lines += [f"  {f'counted: {name}':<46}{count}" for name, count in self.verdict.counted.items()]
        for name in ("lost", "stale", "final", "unread", "side by side", "twice"):
            lines.append(f"  {f'wrong: {name}':<46}{len(self.verdict.wrong.get(name, []))}")
        for name, problems in self.verdict.wrong.items():
            lines += [f"{name}: {problem}" for problem in problems[:20]]
            lines += [f"{name}: … and {len(problems) - 20} more"] * (len(problems) > 20)
        lines += [f"problem: {problem}" for problem in self.problems]
        return "\n".join([*lines, "PASSED" if self.good else "FAILED"])


def run(plan: Plan, directory: Path, say: Callable[[str], None], changed: Path | None = None) -> Report:
    """Start the house, run the campaign, judge it; the house's logs stay in `directory`."""
    report = Report(plan)
    inline = "true" if plan.inline else "false"
    with ChaosHouse(directory, pool=plan.pool, changed=changed, MEDIAOPS_INLINE_CHAIN=inline) as house:
        say("the house is open")
        house.avos.control(latencyMs=house.usual_latency, coarse=plan.coarse, seed=plan.seed)
        planners = [
            Planner(f"planner{n}", f"{plan.seed}-{n}", house.apis[n % 2 :] + house.apis[: n % 2],
                    plan.programmes, plan.pause_s)
            for n in range(plan.planners)
        ]  # fmt: skip
        if plan.coarse:
            planners += [
                Planner(f"restless{n}", f"{plan.seed}-restless{n}", house.apis, 1, plan.pause_s)
                for n in range(RESTLESS)
            ]
        saboteur = Saboteur(house, script(plan.seed, plan.seconds, plan.kills, coarse=plan.coarse))
        for planner in planners:
            planner.start()
        progress = _Progress(house, planners, saboteur, plan.seconds, say)
        saboteur.run(progress.show)
        recovery = _settle(house, planners, progress, report)
        say("reading what there is")
        _judge(report, house, planners, saboteur)
        _figures(report, house, planners, saboteur, recovery)
    return report


class _Progress:
    """A line every ten seconds."""

    def __init__(
        self,
        house: ChaosHouse,
        planners: list[Planner],
        saboteur: Saboteur,
        seconds: float,
        say: Callable[[str], None],
    ) -> None:
        self._house, self._planners, self._saboteur = house, planners, saboteur
        self._seconds, self._say = seconds, say
        self._began = self._last = time.monotonic()

    def show(self) -> None:
        now = time.monotonic()
        if now - self._last < 10:
            return
        self._last = now
        accepted = sum(len(planner.asked.acknowledged) for planner in self._planners)
        counts = self._saboteur.counts
        store = sum(counts[kind] for kind in ("kill store", "freeze store", "disk full"))
        self._say(
            f"{now - self._began:6.0f} of {self._seconds:.0f} s: {accepted} requests accepted, "
            f"{counts['kill worker']} workers killed, store away {store} times, {counts.total()} faults"
        )


@dataclass(frozen=True)
class Recovery:
    """`backlog`: open requests when the last fault had ended. Seconds from then until planning, which repeats what
    wasn't heard, was silent, and until nothing was open any more."""

    backlog: int
    silent_s: float
    in_step_s: float

    @property
    def bound_s(self) -> float:
        return self.backlog / RELEASE_RATE + LEASE_S + 2 * RETRY_S


def _settle(house: ChaosHouse, planners: list[Planner], progress: _Progress, report: Report) -> Recovery:
    """After the last fault everything is sent; then planning says its last word, and that is sent as well."""
    began = time.monotonic()
    for planner in planners:
        planner.stop()
    backlog = _open(house)
    while backlog is None and time.monotonic() < began + _SETTLE_S:
        backlog = _open(house)
    for planner in planners:
        planner.silent.wait(max(0.0, began + _SETTLE_S - time.monotonic()))
    silent_s = time.monotonic() - began
    _wait_all_sent(house, progress, report)
    in_step_s = time.monotonic() - began
    for planner in planners:
        planner.close()
    for planner in planners:
        planner.join(_SETTLE_S)
        report.problems += planner.asked.problems
    _wait_all_sent(house, progress, report)
    return Recovery(backlog or 0, silent_s, in_step_s)


def _wait_all_sent(house: ChaosHouse, progress: _Progress, report: Report) -> None:
    until = time.monotonic() + _SETTLE_S
    while (left := _open(house)) != 0:
        progress.show()
        if time.monotonic() > until:
            report.problems.append(f"after {_SETTLE_S:.0f} s {left} requests are still open")
            return
        time.sleep(0.1)


def _open(house: ChaosHouse) -> int | None:
    """How many requests aren't at an end; None while nobody says."""
    for api in house.apis:
        try:
            answer = api.call("GET", "/metrics", timeout_s=5)
        except requests.RequestException:
            continue
        if answer.status == 200 and "mediaops_requests{" in answer.body:
            return _sum_open(answer.body)
    return None


def _sum_open(metrics: str) -> int:
    total = 0
    for line in metrics.splitlines():
        if line.startswith("mediaops_requests{") and any(f'state="{state}"' in line for state in OPEN):
            total += int(float(line.rsplit(" ", 1)[1]))
    return total


def _judge(report: Report, house: ChaosHouse, planners: list[Planner], saboteur: Saboteur) -> None:
    acknowledged = [one for planner in planners for one in planner.asked.acknowledged]
    wishes = [wish for planner in planners for wish in planner.asked.wishes.values()]
    records = {record["id"]: record for record in everything(house)}
    journal = house.avos.journal()
    states = {name: house.avos.state(name) for name in {judge.holder(wish.path) for wish in wishes}}
    report.verdict = judge.judge(
        journal, records, acknowledged, wishes, states, saboteur.staged, coarse=report.plan.coarse
    )
    posted = Counter(
        entry["body"]["once"] for entry in journal if entry["method"] == "POST" and entry["applied"]
    )
    report.figures |= {
        "requests accepted": len(acknowledged),
        "GETs and writes at the far side": len(journal),
        "writes applied": sum(1 for entry in journal if entry["applied"]),
        "final states": dict(Counter(record["state"] for record in records.values()).most_common()),
        "POSTs asked for, applied": f"{sum(len(p.asked.posted) for p in planners)}, {len(posted)}",
    }
    if report.plan.coarse:
        report.figures["stale under whole seconds: healed after (s)"] = _healing(journal, records, wishes)


def _healing(journal: list[dict[str, Any]], records: Mapping[str, Any], wishes: list[Wish]) -> list[str]:
    seen = judge.Evidence(journal, records)
    found = []
    for wish in wishes:
        for _, entry in judge.stale(seen, [wish]):
            after = judge.healed_after(seen, wish.path, wish.member, entry)
            found.append("never" if after is None else f"{after:.1f}")
    return found


def everything(house: ChaosHouse) -> list[dict[str, Any]]:
    """Every record, with its attempts, by the API's pages."""
    found: list[dict[str, Any]] = []
    cursor: dict[str, str] = {}
    while True:
        for _ in range(50):  # a page may take longer than a busy store is waited for
            answer = house.api.call("GET", "/api/custom/requests", params={"limit": f"{_PAGE}", **cursor})
            if answer.status == 200:
                break
            time.sleep(0.2)
        page = answer.expect(200)
        found += page["requests"]
        if page["next"] is None:
            return found
        cursor = {"cursor": page["next"]}


def _figures(
    report: Report,
    house: ChaosHouse,
    planners: list[Planner],
    saboteur: Saboteur,
    recovery: Recovery,
) -> None:
    report.log, report.counts = saboteur.log, saboteur.counts
    report.problems += saboteur.problems
    restarts = house.restarts()
    refused = [one for planner in planners for one in planner.asked.refused]
    report.figures |= {
        "worker kills": saboteur.counts["kill worker"],
        "store kills and freezes": sum(
            saboteur.counts[kind] for kind in ("kill store", "freeze store", "disk full")
        ),
        "faults in all": saboteur.counts.total(),
        "calls of planning, repeated": f"{sum(p.asked.calls for p in planners)}, {sum(p.asked.repeated for p in planners)}",
        "refused with 503": len(refused),
        "the slowest of these, API unfrozen (s)": _slowest(refused, saboteur.api_frozen),
        "open when the last fault had ended": recovery.backlog,
        "from the last fault to planning heard (s)": f"{recovery.silent_s:.1f}",
        IN_STEP: f"{recovery.in_step_s:.1f}",
        BOUND: f"{recovery.bound_s:.1f}",
        "processes started again": dict(restarts),
        "workers that ended by themselves": sum(restarts.get(name, 0) for name in WORKERS)
        - saboteur.counts["kill worker"]
        - len(WORKERS) * saboteur.counts["rolling restart"],
    }


def _slowest(refused: list[Refusal], frozen: list[Staged]) -> str:
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
            "counted": report.verdict.counted,
            "wrong": {name: len(problems) for name, problems in report.verdict.wrong.items()},
        },
        default=str,
    )
