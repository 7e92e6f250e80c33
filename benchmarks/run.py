"""One run: every measurement of a plan, round after round, into a report."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Final

from benchmarks import events_run, schedules
from benchmarks.acceptance import Accepting
from benchmarks.failed_table import DUE, FailedTable
from benchmarks.farside import FarSide
from benchmarks.ours import Ours, environment
from benchmarks.plain import Plain
from benchmarks.plan import Plan
from benchmarks.report import Report, number, percentile
from benchmarks.sides import Side
from benchmarks.updates import drain, steady

API: Final = "Accepted by the API"
BACKLOG: Final = "Updates of a backlog"
STEADY: Final = "From the call to the PATCH applied"
COST: Final = "Processor time of one update"
MEMORY: Final = "Memory"
TABLE: Final = "Failed Requests table"
OURS, BROKER = "ours", "ours, chain through the broker"
GOALS: Final = {0: "≥ 3 (stretch 8)", 100: "≥ 30 (stretch 60)"}  # updates a second, by the far side's latency
_WARM_UP: Final = 300  # updates: connections, compiled scripts, threads
_DRAIN_S: Final = 120  # the longest that a backlog may take


class Run:
    """`tell` is told what is going on. The folder is thrown away afterwards."""

    def __init__(self, plan: Plan, report: Report, tell: Callable[[str], None]) -> None:
        self._plan = plan
        self._report = report
        self._tell = tell
        self._folders = 0

    @contextmanager
    def _folder(self) -> Iterator[Path]:
        with tempfile.TemporaryDirectory(prefix="mediaops-bench-") as name:
            yield Path(name)

    def accepting(self) -> None:
        """Section 1: calls a second."""
        report = self._report
        with self._folder() as folder:
            self._tell("API and Flask view start")
            doors = Accepting(folder, self._plan.pairs)
            try:
                for _ in doors.round(0.5):
                    pass  # warm up
                for number_ in range(self._plan.rounds):
                    self._tell(f"API, round {number_ + 1} of {self._plan.rounds}")
                    for kind, rate in doors.round(self._plan.accepting_s):
                        report.add(API, kind, rate.per_second, "1/s")
                        report.add(API, f"{kind}: call, median", rate.took_s[0] * 1000, "ms")
                        for group in ("api", "redis"):
                            report.add(API, f"{kind}: CPU, {group}", rate.cpu_ms[group], "ms")
                report.add(MEMORY, "API, all processes", doors.memory(), "MB PSS")
            finally:
                doors.stop()
        report.note(
            "API: gunicorn with two gevent workers on both sides, 16 connections (2 for bulk), workers stopped. `event or job`: "
            "PUTs, each of which queues an update; `bulk message`: jobs, 100 a call, each of which queues one."
        )

    def updates(self) -> None:
        """Sections 2, 3 and 5: throughput, latency, cost, both forms of the chain, and the plain side's tunings."""
        with self._folder() as folder:
            far = FarSide(folder, environment(folder, ""))
            try:
                for round_ in range(self._plan.rounds):
                    self._round_of_updates(folder, far, round_ + 1)
            finally:
                far.stop()
        self._report.note(
            "Backlog: updates accepted beforehand, released at one moment, counted until the last PATCH is applied. Two live "
            "workers of 100 slots, pending, ticks and beat on our side; prefork with one process a core on the other."
        )
        self._report.note(
            "Steady: calls over HTTP at random moments (the same ones everywhere), timed from before the call to the far "
            "side's applying the PATCH; that includes the far side's latency, twice."
        )

    def _round_of_updates(self, folder: Path, far: FarSide, round_: int) -> None:
        sides: dict[str, Callable[[Path], Side]] = {
            OURS: lambda at: Ours(at, far.url, name=OURS),
            BROKER: lambda at: Ours(at, far.url, name=BROKER, MEDIAOPS_INLINE_CHAIN="false"),
            **{f"naive {tuning}": partial(_plain, far.url, tuning) for tuning in self._plan.all_tunings},
        }
        for name, start in sides.items():
            self._tell(f"updates, round {round_} of {self._plan.rounds}: {name}")
            self._folders += 1
            own = folder / str(self._folders)
            own.mkdir()
            side = start(own)
            try:
                self._one_side(side, far)
            finally:
                side.stop()

    def _one_side(self, side: Side, far: FarSide) -> None:
        plan, report = self._plan, self._report
        naive = side.name.startswith("naive")
        counts = plan.backlog.naive if naive else plan.backlog.ours
        drain(side, far, latency_ms=0, count=50 if naive else _WARM_UP, timeout_s=_DRAIN_S)
        for latency in (0, 100) if side.name == BROKER else plan.latencies_ms:
            drained = drain(side, far, latency_ms=latency, count=counts[latency], timeout_s=_DRAIN_S)
            report.add(BACKLOG, backlog(latency, side.name), drained.per_second, "1/s")
            for group in ("workers", "redis"):
                report.add(COST, cost(latency, side.name, group), drained.cpu_ms[group], "ms")
            report.add(COST, cost(latency, side.name, "both"), _both(drained.cpu_ms), "ms")
            if drained.repeated:
                report.note(f"{side.name}: {drained.repeated} PATCHes came twice at {latency} ms.")
        for role, found in side.worker_memory().items():
            for memory in found[:1]:
                report.add(MEMORY, f"{side.name}: {role}", memory.pss, "MB PSS")
                report.add(MEMORY, f"{side.name}: {role}, resident", memory.rss, "MB RSS")
            report.add(MEMORY, f"{side.name}: {role}, all {len(found)}", sum(m.pss for m in found), "MB PSS")
        if side.name in (OURS, f"naive {plan.steady_tuning}"):
            self._steadily(side, far, plan.steady_rates, plan.steady_s)
        if side.name == OURS:
            self._steadily(side, far, dict.fromkeys(plan.latencies_ms, plan.busy_rate), plan.busy_s)

    def _steadily(self, side: Side, far: FarSide, rates: Mapping[int, float], seconds: float) -> None:
        for latency in self._plan.latencies_ms:
            measured = steady(side, far, latency_ms=latency, rate=rates[latency], seconds=seconds)
            for share in (50, 99):
                name = at_rate(latency, rates[latency], side.name, share)
                self._report.add(STEADY, name, percentile(measured.took_s, share / 100) * 1000, "ms")

    def failed_table(self) -> None:
        """Section 4: claiming from a small and a large table; expiring and trimming."""
        report = self._report
        with self._folder() as folder:
            table = FailedTable(folder)
            try:
                for size in self._plan.tables:
                    self._tell(f"Failed Requests table of {size:,}: filling")
                    table.fill(size)
                    table.claim()  # warm up
                    self._tell(f"Failed Requests table of {size:,}: claiming")
                    for _ in range(max(3, self._plan.rounds)):
                        claimed = table.claim()
                        for what, value in vars_of(claimed):
                            report.add(TABLE, f"{DUE:,} due of {size:,}: {what}", value, "ms")
                report.add(TABLE, f"server's memory with {size:,}", table.memory_mb(), "MB")
                removed = self._plan.removed
                for verb, work in (("expired", partial(table.expire, removed)), ("trimmed", table.trim)):
                    self._tell(f"{removed:,} are {verb}")
                    done = work()
                    if done.count < removed:
                        raise ValueError(f"only {done.count} of {removed} were {verb}")
                    report.add(TABLE, f"{removed:,} {verb}", done.seconds, "s")
                    report.add(TABLE, f"{removed:,} {verb}: scripts, p99", done.p99_ms, "ms")
                    report.add(TABLE, f"{removed:,} {verb}: longest command", done.longest_ms, "ms")
                    report.add(TABLE, f"{removed:,} {verb}: commands over 10 ms", done.slow, "")
                    report.add(TABLE, f"{removed:,} {verb}: the machine stood still", done.stolen_s, "s")
            finally:
                table.stop()
        report.note(
            f"Claiming: all that brings {DUE:,} due entries to a worker (sweep, promotions of the full buffer of 200, claims "
            "one by one). `server` is processor time of the server's thread. The table's records are copies of one that our "
            "own scripts brought there; rewriting the append-only file is put off while it is measured. `stood still`: time "
            "that the host took from this machine's cores, 10 ms at a time."
        )

    def events(self) -> None:
        """Section 6: the event stream."""
        with self._folder() as folder:
            events_run.EventsSection(self._plan, self._report, self._tell).run(folder)

    def schedules(self) -> None:
        """Section 7: live jobs activated on time."""
        with self._folder() as folder:
            schedules.SchedulesSection(self._plan.schedules, self._report, self._tell).run(folder)


def _plain(avos_url: str, tuning: str, folder: Path) -> Side:
    return Plain(folder, avos_url, tuning)


def vars_of(claimed: object) -> Sequence[tuple[str, float]]:
    """The parts of a claiming, by name."""
    parts = ("sweep_ms", "promote_ms", "claim_ms", "total_ms", "server_ms")
    return [(part.removesuffix("_ms"), float(getattr(claimed, part))) for part in parts]


def _both(cpu: Mapping[str, float]) -> float:
    return cpu["workers"] + cpu["redis"]


def backlog(latency: int, side: str) -> str:
    return f"{latency} ms: {side}"


def cost(latency: int, side: str, group: str) -> str:
    return f"{latency} ms: {side}, {group}"


def at_rate(latency: int, rate: float, side: str, share: int) -> str:
    return f"{latency} ms, {rate:g}/s: {side}, p{share}"


def comparisons(plan: Plan, report: Report) -> list[tuple[str, str, str]]:
    """What the goals are about: medians of our side over those of the plain side's best tuning."""
    rows: list[tuple[str, str, str]] = []
    for kind in ("generic request", "event or job", "bulk message"):
        ratio = report.ratio(API, kind, "naive view")
        if ratio is not None:
            rows.append((f"accepted/s, {kind} : naive view", f"{ratio:.2f}", ""))
    for latency in plan.latencies_ms:
        best = best_tuning(plan, report, latency)
        if best is not None:
            rows += _at_latency(plan, report, latency, best)
    small, large = (f"{DUE:,} due of {size:,}" for size in plan.tables)
    for what, goal in (("server", "≤ 2"), ("total", "")):
        ratio = report.ratio(TABLE, f"{large}: {what}", f"{small}: {what}")
        if ratio is not None:
            title = f"claiming of {plan.tables[1]:,} : of {plan.tables[0]:,} ({what})"
            rows.append((title, f"{ratio:.2f}", goal))
    for verb in ("expired", "trimmed"):
        longest = report.figure(TABLE, f"{plan.removed:,} {verb}: longest command")
        if longest is not None:
            title = f"longest command while {plan.removed:,} are {verb}"
            rows.append((title, f"{longest.median:.1f} ms", "≤ 10 ms"))
    rows += events_run.comparisons(report, plan.events.listeners)
    return rows + schedules.comparisons(plan.schedules, report)


def _at_latency(plan: Plan, report: Report, latency: int, best: str) -> list[tuple[str, str, str]]:
    rows: list[tuple[str, str, str]] = []
    for side in (OURS, BROKER):
        ratio = report.ratio(BACKLOG, backlog(latency, side), backlog(latency, best))
        if ratio is not None:
            goal = GOALS.get(latency, "") if side == OURS else ""
            rows.append((f"updates/s at {latency} ms, {side} : {best}", f"{ratio:.1f}", goal))
    for other in (f"naive {tuning}" for tuning in plan.beside):
        ratio = report.ratio(BACKLOG, backlog(latency, OURS), backlog(latency, other))
        if ratio is not None:
            rows.append((f"updates/s at {latency} ms, ours : {other}", f"{ratio:.1f}", ""))
    ratio = report.ratio(COST, cost(latency, best, "both"), cost(latency, OURS, "both"))
    if ratio is not None:
        rows.append((f"CPU of one update at {latency} ms, {best} : ours", f"{ratio:.1f}", ""))
    rate, other = plan.steady_rates[latency], f"naive {plan.steady_tuning}"
    for share in (50, 99):
        shown = [report.figure(STEADY, at_rate(latency, rate, side, share)) for side in (OURS, other)]
        texts = [number(figure.median) if figure else "–" for figure in shown]
        rows.append(
            (f"p{share} at {latency} ms and {rate:g}/s, ours : {other}", " : ".join(texts) + " ms", "")
        )
    return rows


def best_tuning(plan: Plan, report: Report, latency: int) -> str | None:
    """The plain side's tuning with the most updates a second."""
    found = {
        f"naive {tuning}": report.figure(BACKLOG, backlog(latency, f"naive {tuning}"))
        for tuning in plan.tunings
    }
    medians = {name: figure.median for name, figure in found.items() if figure is not None}
    return max(medians, key=lambda name: medians[name]) if medians else None
