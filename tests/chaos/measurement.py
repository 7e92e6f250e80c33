"""The measures of one campaign, in its report; what a scenario's goals say is wrong where they are missed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from tests.chaos import measures
from tests.chaos.faults import Saboteur
from tests.chaos.judge import Evidence, holder
from tests.chaos.load import Asked
from tests.chaos.measures import Late
from tests.chaos.report import Report
from tests.chaos.stream import EventStream
from tests.chaos.stream_judge import Receipt
from tests.chaos.subscribers import HOOKS, POISONED

# The bound of what is in flight to AVOS; wake-ups and ticks are a few.
LONGEST_QUEUES: Final = {"live": 200, "pending": 20, "ticks": 100}


def measure(
    report: Report,
    seen: Evidence,
    asked: Sequence[Asked],
    saboteur: Saboteur,
    stream: EventStream,
    receipts: Sequence[Receipt],
    began: float,
) -> None:
    """What was due before `began` (monotonic), when planning opened, doesn't count."""
    healthy = [wish for one in asked for wish in one.wishes.values() if holder(wish.path) != saboteur.lane]
    published = [event for publisher in stream.publishers for event in publisher.heard.events]
    by_name = {one.name: one for one in stream.subscribed}
    found: dict[str, list[Late]] = {
        "staleness": [late for late in measures.staleness(seen, healthy) if late.due >= began],
        "in step": measures.in_step_after(seen, healthy, saboteur.blinks),
        "lateness": [
            late for name in HOOKS for late in measures.lateness(by_name[name], receipts, published)
        ],
        "poisoned": measures.lateness(by_name[POISONED], receipts, published),
    }
    report.figures |= {
        "staleness of AVOS (s)": measures.told(found["staleness"]),
        "in step again after a blink (s)": measures.told(found["in step"]),
        "events at healthy webhooks after (s)": measures.told(found["lateness"]),
        "events that a poisoned one takes after (s)": measures.told(found["poisoned"]),
    }
    for name, longest in saboteur.longest_queues.items():
        report.figures[f"messages in {name}, its workers away"] = longest
        if longest > LONGEST_QUEUES[name]:
            report.problems.append(f"{longest} messages in {name}, not {LONGEST_QUEUES[name]} at most")
    for name, share, goal_s in report.plan.of.goals:
        report.problems += measures.above(name, found[name], share, goal_s)
