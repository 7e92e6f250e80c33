"""How a consumer and a replay are shown, and what they are without anything said."""

from __future__ import annotations

import pytest

from app.events.consumers.figures import Figures
from app.events.consumers.model import ConsumerSpec, ConsumerState, ReplayProgress


@pytest.mark.parametrize(
    ("state", "stage", "waiting"),
    [
        (ConsumerState.ACTIVE, "running", None),
        (ConsumerState.PAUSED, "running", "paused"),
        (ConsumerState.DISABLED, "running", "disabled"),
        (ConsumerState.DONE, "done", None),
        (ConsumerState.CANCELLED, "cancelled", None),
    ],
)
def test_how_far_a_replay_is(state: ConsumerState, stage: str, waiting: str | None) -> None:
    progress = ReplayProgress("r", state, 1, 2, 0, 0, None, None)
    assert (progress.stage, progress.waiting) == (stage, waiting)


def test_a_consumer_makes_one_call_at_a_time_unless_it_says_otherwise() -> None:
    topics = (("asset-operations", frozenset[str]()),)
    assert ConsumerSpec("s", topics, {}).slots == 1
    assert ConsumerSpec("s", topics, {}, ordered=False).in_flight == 1
    assert ConsumerSpec("s", topics, {}, ordered=False, in_flight=7).slots == 7


def test_where_there_are_no_consumers_nothing_is_counted() -> None:
    found = Figures()
    assert (found.lag_events, found.lag_seconds, found.open, found.parked) == (0, 0.0, 0, 0)
