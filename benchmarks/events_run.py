"""The section `events`: every measurement of the event stream, round after round, into the report, and its goals."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final

from benchmarks.events import ARRAY, OTHER_TOPIC, SUBSCRIPTIONS, Arrived, Drained, Events, Replayed
from benchmarks.events_side import WORKERS
from benchmarks.listeners import Listeners, Woken
from benchmarks.plan import EventPlan, Plan
from benchmarks.processes import Broken
from benchmarks.report import Report, number, percentile

STEADY: Final = "Events: from publishing to receipt"
ISOLATION: Final = "Events: seventeen beside three bad ones"
KINESIS: Final = "Events: a backlog drained to Kinesis"
REPLAY: Final = "Events: replay beside live delivery"
PUBLISHING: Final = "Events: published over HTTP"
LISTENING: Final = "Events: published to many who listen"
TO_ALL, TO_ONE = "each event to all 20", "each event to one of 20"
ALONE, BESIDE = "without the three", "with the three"
GOOD: Final = SUBSCRIPTIONS - 3
_COST: Final = (*WORKERS, "redis", "api", "receivers", "others")


class EventsSection:
    """One run of the section; `folder` is thrown away by whoever gave it."""

    def __init__(self, plan: Plan, report: Report, tell: Callable[[str], None]) -> None:
        self._plan: EventPlan = plan.events
        self._rounds = plan.rounds
        self._report = report
        self._tell = tell

    def run(self, folder: Path) -> None:
        own = folder / "listeners"
        own.mkdir()
        listeners = Listeners(own)
        try:
            for _ in self._each("listeners"):
                for count in self._plan.listeners:
                    self.woken(count, listeners.measure(count))
        finally:
            listeners.stop()
        self._tell("events: all processes start")
        with Events(folder) as events:
            self.measure(events)

    def woken(self, count: int, woken: Woken) -> None:
        """What one event to so many has cost."""
        for what, value in (
            ("publishing script", woken.publish_ms),
            ("longest step of waking", woken.step_ms),
            ("longest script of /metrics", woken.figures_ms),
            ("longest script of the audit", woken.audit_ms),
        ):
            self._report.add(LISTENING, f"{count:,} listen: {what}", value, "ms")
        self._report.add(LISTENING, f"{count:,} listen: messages of who publishes", woken.messages, "")
        if woken.woken != count:
            raise Broken(f"{woken.woken} of {count} listeners were woken.")

    def measure(self, events: Events) -> None:
        """All of it, with everything running."""
        for part in (self._steady, self._isolation, self._kinesis, self._replay, self._publishing):
            part(events)
        self._note()

    def _steady(self, events: Events) -> None:
        plan = self._plan
        with events.followers(SUBSCRIPTIONS):
            events.to_all(plan.rate, plan.warm_s, SUBSCRIPTIONS)
            for round_ in self._each("publishing to receipt, to all"):
                arrived = events.to_all(plan.rate, plan.steady_s, SUBSCRIPTIONS)
                self._arrived(STEADY, TO_ALL, arrived, costs=round_ == 0)
        with events.specialists():
            events.to_one(plan.rate, plan.warm_s)
            for round_ in self._each("publishing to receipt, to one each"):
                arrived = events.to_one(plan.rate, plan.steady_s)
                self._arrived(STEADY, TO_ONE, arrived, costs=round_ == 0)

    def _isolation(self, events: Events) -> None:
        plan = self._plan
        with events.followers(GOOD):
            events.to_all(plan.rate, plan.warm_s, GOOD)
            for _ in self._each("isolation"):
                self._arrived(ISOLATION, ALONE, events.to_all(plan.rate, plan.steady_s, GOOD))
                with events.bad_ones():
                    self._arrived(ISOLATION, BESIDE, events.to_all(plan.rate, plan.steady_s, GOOD))

    def _kinesis(self, events: Events) -> None:
        plan = self._plan
        events.drain(plan.drained // 10, ordered=True)  # warm up
        for _ in self._each("Kinesis"):
            for ordered in (True, False):
                self._drained(_order(ordered=ordered), events.drain(plan.drained, ordered=ordered))

    def _drained(self, name: str, drained: Drained) -> None:
        self._report.add(KINESIS, name, drained.per_second, "1/s")
        for group in (*WORKERS, "redis", "moto"):
            self._report.add(KINESIS, f"{name}: CPU of 1,000, {group}", drained.cpu_ms[group] * 1000, "ms")

    def _replay(self, events: Events) -> None:
        plan = self._plan
        self._tell(f"events: {plan.replayed:,} are written to be replayed")
        since = events.fill(plan.replayed)
        with events.followers(SUBSCRIPTIONS, OTHER_TOPIC):
            events.to_all(plan.rate, plan.warm_s, SUBSCRIPTIONS, OTHER_TOPIC)
            for _ in self._each("replay"):
                for webhook in (False, True):
                    self._one_replay(events, since, webhook=webhook)

    def _one_replay(self, events: Events, since: str, *, webhook: bool) -> None:
        plan, to = self._plan, _sink(webhook=webhook)
        before = events.to_all(plan.rate, plan.steady_s, SUBSCRIPTIONS, OTHER_TOPIC)
        self._arrived(REPLAY, f"live, before a replay to {to}", before)
        with events.replaying(since, webhook=webhook) as ended:
            beside = events.to_all(plan.rate, plan.steady_s, SUBSCRIPTIONS, OTHER_TOPIC)
            replayed = ended()
        self._arrived(REPLAY, f"live, beside a replay to {to}", beside)
        self._replayed(to, replayed)

    def _replayed(self, to: str, replayed: Replayed) -> None:
        self._report.add(REPLAY, f"replayed to {to}", replayed.per_second, "1/s")
        if replayed.seconds is not None:
            self._report.add(REPLAY, f"{replayed.total:,} replayed to {to}", replayed.seconds, "s")
            states = len({done for _, done in replayed.seen if 0 < done < replayed.total})
            self._report.add(REPLAY, f"replay to {to}: states of progress seen meanwhile", states, "")

    def _publishing(self, events: Events) -> None:
        for _ in self._each("publishing"):
            for count, name in ((1, "one a call"), (ARRAY, f"{ARRAY} a call")):
                self._report.add(PUBLISHING, name, events.publishing(self._plan.publish_s, count), "1/s")

    # ------------------------------------------------------------------------------------------------------------------

    def _each(self, what: str) -> list[int]:
        self._tell(f"events: {what}, {self._rounds} round(s)")
        return list(range(self._rounds))

    def _arrived(self, section: str, name: str, arrived: Arrived, *, costs: bool = False) -> None:
        for share in (50, 99):
            self._report.add(
                section, f"{name}: p{share}", percentile(arrived.took_s, share / 100) * 1000, "ms"
            )
        self._report.add(section, f"{name}: the machine stood still", arrived.stolen_s, "s")
        self._report.add(section, f"{name}: CPU a second of strangers", arrived.strangers_s, "s")
        if costs:
            for group in _COST:
                self._report.add(section, f"{name}: CPU a second, {group}", arrived.cpu_s[group], "s")
        if arrived.repeated:
            self._report.note(f"{arrived.repeated} deliveries came twice ({name}).")

    def _note(self) -> None:
        rate = f"{self._plan.rate:g}"
        self._report.note(
            "Published to many who listen: processor time of the server's thread in one script each, on a server of its own; up to 24 "
            "are woken by who publishes, more of them afterwards."
        )
        self._report.note(
            f"Publish to receipt: {rate} deliveries a second to ordered webhooks, timed from before the call over HTTP that "
            "publishes to the receiver's having read the request whole; the same random moments in every round. All "
            "processes of `up` run, and the receivers, on the same cores. `stood still`: what the host took from all cores together; "
            "`strangers`: what other processes of this machine took, which should be next to nothing."
        )
        self._report.note(
            "The three bad ones: one never answers, one refuses every event (400, parked), one's answers drip for 3 s. `without`: "
            "they aren't subscribed, and the seventeen get the same events."
        )
        self._report.note(
            f"Kinesis: moto's server in a process of its own; its processor time, on the same cores, is shown. A backlog of "
            f"{self._plan.drained:,} events on 10,000 assets, from the call that resumes the subscription to the last acknowledgement."
        )
        self._report.note(
            "Replay: to Kinesis whole (moto takes records the more slowly the more a stream has), to an (ordered) webhook for "
            "as long as live delivery is measured, then cancelled."
        )


def comparisons(report: Report, listeners: tuple[int, int] = (10, 5000)) -> list[tuple[str, str, str]]:
    """What the goals are about."""
    rows: list[tuple[str, str, str]] = []
    few, many = (f"{count:,} listen: publishing script" for count in listeners)
    published = report.figure(LISTENING, many)
    ratio = report.ratio(LISTENING, many, few)
    if published is not None and ratio is not None:
        rows.append(
            (f"publishing script, {listeners[1]:,} listen", f"{number(published.median)} ms", "≤ 2 ms")
        )
        rows.append((f"publishing script, {listeners[1]:,} listen : {listeners[0]}", f"{ratio:.2f}", ""))
    for name in (TO_ALL, TO_ONE):
        p99 = report.figure(STEADY, f"{name}: p99")
        if p99 is not None:
            rows.append((f"publish to receipt, {name}: p99", f"{number(p99.median)} ms", "< 100 ms"))
    ratio = report.ratio(ISOLATION, f"{BESIDE}: p99", f"{ALONE}: p99")
    if ratio is not None:
        rows.append((f"p99 of seventeen, {BESIDE} : {ALONE}", f"{ratio:.2f}", "≤ 1.5"))
    for ordered in (True, False):
        drained = report.figure(KINESIS, _order(ordered=ordered))
        if drained is not None:
            rows.append(
                (f"drained to Kinesis, {_order(ordered=ordered)}", f"{drained.median:,.0f}/s", "≥ 5,000/s")
            )
    for webhook in (False, True):
        to = _sink(webhook=webhook)
        ratio = report.ratio(
            REPLAY, f"live, beside a replay to {to}: p99", f"live, before a replay to {to}: p99"
        )
        if ratio is not None:
            rows.append((f"live p99, beside a replay to {to} : before it", f"{ratio:.2f}", ""))
    return rows


def _order(*, ordered: bool) -> str:
    return "ordered" if ordered else "unordered, 4 in flight"


def _sink(*, webhook: bool) -> str:
    return "a webhook" if webhook else "Kinesis"
