"""One campaign: a deployment under load, everything broken by a script, then the time until all is in step, and the verdict."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import requests

from tests.chaos import judge, stream_judge
from tests.chaos.deployment import DELIVERERS, LEASE_S, RELEASE_RATE, RETRY_S, WORKERS, ChaosDeployment
from tests.chaos.faults import Saboteur
from tests.chaos.judge import Wish
from tests.chaos.load import Asked, Planner
from tests.chaos.measurement import measure
from tests.chaos.operators import Operators
from tests.chaos.overtaking import Overtakers
from tests.chaos.publishers import Publisher
from tests.chaos.report import BOUND, DELIVERED, IN_STEP, Plan, Report, slowest
from tests.chaos.stream import OWN, EventStream, told
from tests.chaos.stream_judge import Excuse
from tests.support.deployment import TOKEN

OPEN: Final = ("pending", "live", "failed")
# Planners of one match each, beside the others where lastModified has whole seconds: only writes that follow one another
# within a second can undo each other then.
RESTLESS: Final = 3
PUBLISHERS: Final = 2
_PAGE: Final = 400
_SETTLE_S: Final = 240.0  # after that the campaign has failed anyway
_SLOWEST_RATE: Final = 25  # events a second that a subscription gets through at the least, once all is well
# How long before it was found to have ended a worker may have ended.
_FOUND_S: Final = 2.5


def run(plan: Plan, directory: Path, say: Callable[[str], None], changed: Path | None = None) -> Report:
    """Start the deployment, run the campaign, judge it; the deployment's logs stay in `directory`."""
    report = Report(plan)
    scenario = plan.of
    settings = {"MEDIAOPS_INLINE_CHAIN": "true" if plan.inline else "false", **scenario.settings}
    with ChaosDeployment(
        directory,
        pool=plan.pool,
        changed=changed,
        many_hang=bool(plan.hanging_ones),
        settings=settings,
        usual_latency=scenario.latency_ms,
    ) as deployment:
        say("the deployment is open")
        deployment.avos.control(latencyMs=deployment.usual_latency, coarse=plan.coarse, seed=plan.seed)
        planners = _planners(plan, deployment)
        overtakers = Overtakers(
            f"{plan.seed}-overtakers", deployment.apis, deployment.avos, measured=scenario.measured
        )
        stream = _stream(plan, deployment)
        operators = Operators(deployment.apis, stream.ids)
        faults = list(scenario.faults(plan.seed, plan.seconds, plan.kills, plan.coarse))
        saboteur = Saboteur(deployment, faults, operators, planners[0].programmes[0].media)
        stream.subscribe()
        progress = _Progress(deployment, planners, stream, saboteur, plan.seconds, say)
        for planner in planners:
            planner.start()
        if scenario.measured:
            for planner in planners:
                planner.opened.wait(_SETTLE_S)
            say("planning is open")
        stream.start()
        if scenario.tangles:
            overtakers.start()
        began = time.monotonic()
        saboteur.run(progress.show, until=began + plan.seconds)
        ended = time.monotonic()
        if scenario.tangles:
            overtakers.end(_SETTLE_S)
        recovery = _settle(deployment, planners, progress, report)
        _settle_stream(report, stream, ended, say)
        say("reading what there is")
        asked = [*(planner.asked for planner in planners), overtakers.asked]
        records, seen = _judge(report, deployment, asked, saboteur)
        happened = told(records.values(), _registered(planners))
        receipts = _judge_stream(report, deployment, stream, saboteur, operators, happened)
        _figures(report, deployment, planners, saboteur, recovery)
        _stream_figures(report, stream, saboteur, operators)
        report.problems += overtakers.asked.problems
        report.figures["rounds of overtaking"] = overtakers.rounds
        measure(report, seen, asked, saboteur, stream, receipts, began)
    return report


def _planners(plan: Plan, deployment: ChaosDeployment) -> list[Planner]:
    a_second = plan.of.a_second
    pause_s = plan.pause_s if a_second is None else plan.planners / a_second
    made = [
        Planner(f"planner{n}", f"{plan.seed}-{n}", deployment.apis[n % 2 :] + deployment.apis[: n % 2],
                plan.programmes, pause_s, plan.of.steps, deployment.avos.state if plan.of.measured else None)
        for n in range(plan.planners)
    ]  # fmt: skip
    if plan.coarse:
        made += [
            Planner(f"restless{n}", f"{plan.seed}-restless{n}", deployment.apis, 1, pause_s)
            for n in range(RESTLESS)
        ]
    return made


def _stream(plan: Plan, deployment: ChaosDeployment) -> EventStream:
    count = plan.events_in_all
    publishers = [
        Publisher(
            f"publisher{n}",
            f"{plan.seed}-publisher{n}",
            [api.url for api in deployment.apis[n % 2 :] + deployment.apis[: n % 2]],
            TOKEN,
            (count + n) // PUBLISHERS,
            plan.seconds,
        )
        for n in range(PUBLISHERS)
    ]
    return EventStream(deployment.api, deployment.subscribers, publishers, hanging=plan.hanging_ones)


class _Progress:
    """A line every ten seconds."""

    def __init__(
        self,
        deployment: ChaosDeployment,
        planners: list[Planner],
        stream: EventStream,
        saboteur: Saboteur,
        seconds: float,
        say: Callable[[str], None],
    ) -> None:
        self._deployment, self._planners, self._stream, self._saboteur = (
            deployment,
            planners,
            stream,
            saboteur,
        )
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
            f"{self._stream.acknowledged} events published, "
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


def _settle(
    deployment: ChaosDeployment, planners: list[Planner], progress: _Progress, report: Report
) -> Recovery:
    """After the last fault everything is sent; then planning says its last word, and that is sent as well."""
    began = time.monotonic()
    for planner in planners:
        planner.stop()
    backlog = _open(deployment)
    while backlog is None and time.monotonic() < began + _SETTLE_S:
        backlog = _open(deployment)
    for planner in planners:
        planner.silent.wait(max(0.0, began + _SETTLE_S - time.monotonic()))
    silent_s = time.monotonic() - began
    _wait_all_sent(deployment, progress, report)
    in_step_s = time.monotonic() - began
    report.problems += _out_of_step(deployment, planners)
    for planner in planners:
        planner.close()
    for planner in planners:
        planner.join(_SETTLE_S)
        report.problems += planner.asked.problems
    _wait_all_sent(deployment, progress, report)
    return Recovery(backlog or 0, silent_s, in_step_s)


def _out_of_step(deployment: ChaosDeployment, planners: list[Planner]) -> list[str]:
    """What AVOS doesn't show before planning says its last word: whoever is registered has everything that was heard, except
    where a person must look at a request that ended undelivered."""
    there = [one for planner in planners for one in planner.programmes if one.registered and not one.canceled]
    paths = {path for one in there for path in (one.path, f"{one.path}/technicalMedia/sourceMedia/")}
    wishes = [wish for planner in planners for wish in planner.asked.wishes.values() if wish.path in paths]
    states = {name: deployment.avos.state(name) for name in {judge.holder(wish.path) for wish in wishes}}
    found = [(wish.path, text) for wish in wishes for text in judge.wrong_in_the_end(states, [wish])]
    if not found:
        return []
    parked = {record["path"] for record in everything(deployment) if record["state"] in judge.VISIBLE}
    return [f"out of step once all was sent: {text}" for path, text in found if path not in parked]


def _wait_all_sent(deployment: ChaosDeployment, progress: _Progress, report: Report) -> None:
    until = time.monotonic() + _SETTLE_S
    while (left := _open(deployment)) != 0:
        progress.show()
        if time.monotonic() > until:
            report.problems.append(f"after {_SETTLE_S:.0f} s {left} requests are still open")
            return
        time.sleep(0.1)


def _open(deployment: ChaosDeployment) -> int | None:
    """How many requests aren't at an end; None while nobody says."""
    for api in deployment.apis:
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


def _judge(
    report: Report, deployment: ChaosDeployment, asked: list[Asked], saboteur: Saboteur
) -> tuple[dict[str, Any], judge.Evidence]:
    """By planning's requests; the records by id, and what the far side has seen."""
    acknowledged = [request_id for one in asked for request_id in one.acknowledged]
    wishes = [wish for one in asked for wish in one.wishes.values()]
    records = {record["id"]: record for record in everything(deployment)}
    journal = deployment.avos.journal()
    states = {name: deployment.avos.state(name) for name in {judge.holder(wish.path) for wish in wishes}}
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
        "POSTs asked for, applied": f"{sum(len(one.posted) for one in asked)}, {len(posted)}",
    }
    if report.plan.coarse:
        report.figures["stale under whole seconds: healed after (s)"] = _healing(journal, records, wishes)
    return records, judge.Evidence(journal, records)


def _registered(planners: list[Planner]) -> list[str]:
    """Every match is registered in the end, so it was at some time."""
    return [one.media for planner in planners for one in planner.programmes]


def _settle_stream(report: Report, stream: EventStream, ended: float, say: Callable[[str], None]) -> None:
    """Every event is acknowledged, and then delivered."""
    report.problems += stream.until_heard(_SETTLE_S)
    say(f"left to deliver: {stream.left()}")
    left = stream.until_delivered(_SETTLE_S + report.plan.events_in_all / _SLOWEST_RATE)
    report.figures[DELIVERED] = f"{time.monotonic() - ended:.1f}"
    report.problems += [
        f"{count} events were not delivered to {name}" for name, count in left.items() if count
    ]
    report.problems += stream.problems()


def _judge_stream(
    report: Report,
    deployment: ChaosDeployment,
    stream: EventStream,
    saboteur: Saboteur,
    operators: Operators,
    happened: list[stream_judge.Told],
) -> list[stream_judge.Receipt]:
    # A worker that ended, for whatever reason, may have taken an acknowledgement with it.
    found = [at for name in DELIVERERS for at in deployment.parts[name].ended]
    excuses = [*saboteur.excuses, *(Excuse(at - _FOUND_S, at) for at in found)]
    published = [event for publisher in stream.publishers for event in publisher.heard.events]
    receipts = deployment.subscribers.receipts()
    report.events = stream_judge.judge(
        stream.subscribed,
        receipts,
        published,
        excuses,
        own=OWN,
        told=happened,
        replayed=operators.replayed,
        paused=operators.paused,
        frozen=saboteur.frozen,
    )
    report.figures["events received, in all"] = len(receipts)
    return receipts


def _stream_figures(report: Report, stream: EventStream, saboteur: Saboteur, operators: Operators) -> None:
    heard = [publisher.heard for publisher in stream.publishers]
    report.figures |= {
        "events published and acknowledged": stream.acknowledged,
        "calls of publishers, repeated": f"{sum(h.calls for h in heard)}, {sum(h.repeated for h in heard)}",
        "pauses, replays to their end": f"{len(operators.paused)}, {len(operators.replayed)}",
        "kills and freezes of the events' workers": f"{saboteur.counts['kill deliverer']}, {saboteur.counts['freeze deliverer']}",
    }


def _healing(journal: list[dict[str, Any]], records: Mapping[str, Any], wishes: list[Wish]) -> list[str]:
    seen = judge.Evidence(journal, records)
    found = []
    for wish in wishes:
        for _, entry in judge.stale(seen, [wish]):
            after = judge.healed_after(seen, wish.path, wish.member, entry)
            found.append("never" if after is None else f"{after:.1f}")
    return found


def everything(deployment: ChaosDeployment) -> list[dict[str, Any]]:
    """Every record, with its attempts, by the API's pages."""
    found: list[dict[str, Any]] = []
    cursor: dict[str, str] = {}
    while True:
        for _ in range(50):  # a page may take longer than a busy store is waited for
            answer = deployment.api.call(
                "GET", "/api/custom/requests", params={"limit": f"{_PAGE}", **cursor}
            )
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
    deployment: ChaosDeployment,
    planners: list[Planner],
    saboteur: Saboteur,
    recovery: Recovery,
) -> None:
    report.log, report.counts = saboteur.log, saboteur.counts
    report.problems += saboteur.problems
    restarts = deployment.restarts()
    refused = [one for planner in planners for one in planner.asked.refused]
    report.figures |= {
        "worker kills": saboteur.counts["kill worker"],
        "store kills and freezes": sum(
            saboteur.counts[kind] for kind in ("kill store", "freeze store", "disk full")
        ),
        "faults in all": saboteur.counts.total(),
        "calls of planning, repeated": f"{sum(p.asked.calls for p in planners)}, {sum(p.asked.repeated for p in planners)}",
        "refused with 503": len(refused),
        "the slowest of these, API unfrozen (s)": slowest(refused, saboteur.api_frozen),
        "open when the last fault had ended": recovery.backlog,
        "from the last fault to planning heard (s)": f"{recovery.silent_s:.1f}",
        IN_STEP: f"{recovery.in_step_s:.1f}",
        BOUND: f"{recovery.bound_s:.1f}",
        "processes started again": dict(restarts),
        "workers that ended by themselves": sum(restarts.get(name, 0) for name in WORKERS)
        - saboteur.counts["kill worker"]
        - len(WORKERS) * saboteur.counts["rolling restart"],
    }
