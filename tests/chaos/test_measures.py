"""How late things were, on journals made by hand."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import pytest

from tests.chaos.judge import Evidence, Staged, Wish
from tests.chaos.measures import Late, above, in_step_after, lateness, percentile, staleness
from tests.chaos.stream_judge import Published, Receipt, Subscribed

PATH = "/external/contentMedia/live/C1"


def journal(*writes: tuple[float, dict[str, Any]]) -> Evidence:
    """Of PATCHes that were applied then."""
    entries = [
        {
            "seq": number, "method": "PATCH", "path": PATH, "contentMediaId": "C1", "body": body, "applied": True,
            "appliedAs": number, "appliedAt": at,
        }
        for number, (at, body) in enumerate(writes, 1)
    ]  # fmt: skip
    return Evidence(entries, {})


def wish(*heard: float | None, member: str = "end") -> Wish:
    """Values 0, 1, … acknowledged then."""
    return Wish(PATH, member, list(range(len(heard))), list(heard))


def seconds(found: Sequence[Late]) -> list[float]:
    return [round(late.seconds, 3) for late in found]


def test_a_write_is_as_late_as_the_oldest_change_that_it_makes_good() -> None:
    seen = journal((1.5, {"end": 0}), (10.0, {"end": 3}), (11.0, {"end": 4}))
    assert seconds(staleness(seen, [wish(1.0, 4.0, 5.0, 9.0, 10.5)])) == [0.5, 6.0, 0.5]


def test_a_write_counts_once_with_its_latest_member() -> None:
    seen = journal((3.0, {"end": 0, "begin": 0}))
    assert seconds(staleness(seen, [wish(1.0), wish(2.0, member="begin")])) == [2.0]


def test_what_was_never_shown_is_infinitely_late_and_what_was_never_heard_is_not() -> None:
    assert seconds(staleness(journal((1.0, {"end": 0})), [wish(0.5, 2.0)])) == [0.5, math.inf]
    assert seconds(staleness(journal((1.0, {"end": 0})), [wish(0.5, None)])) == [0.5]


def test_an_older_value_that_lands_late_shows_nothing_new() -> None:
    seen = journal((2.0, {"end": 1}), (3.0, {"end": 0}), (4.0, {"end": 1}))
    assert seconds(staleness(seen, [wish(1.0, 1.5)])) == [1.0]


def test_in_step_is_when_everything_that_was_heard_before_is_shown() -> None:
    seen = journal((1.0, {"end": 0}), (7.0, {"end": 2}))
    away = [Staged(2.0, 3.0), Staged(4.0, 5.0), Staged(8.0, 9.0)]
    assert seconds(in_step_after(seen, [wish(0.5, 2.5, 4.5)], away)) == [4.0, 2.0, 0.0]
    assert seconds(in_step_after(journal(), [wish(0.5)], away[:1])) == [math.inf]


def test_an_event_is_late_from_its_acknowledgement_to_its_first_receipt() -> None:
    one = Subscribed("s", {"t": frozenset()}, refuses=5)
    published = [
        Published("t", "n", f"g{number}", b"{}", [number], heard=float(number)) for number in range(1, 6)
    ]
    receipts = [
        Receipt("s", at, "t", sequence, 0, f"g{sequence}", b"{}")
        for at, sequence in ((1.5, 1), (0.9, 2), (5.0, 3), (9.0, 3), (99.0, 5))
    ]
    assert seconds(lateness(one, receipts, published)) == [0.5, 0.0, 2.0]


@pytest.mark.parametrize(
    ("share", "goal", "missed"), [(0.99, 2.0, False), (1.0, 2.0, True), (1.0, 5.0, False)]
)
def test_a_goal_is_missed_where_its_share_is_later(share: float, goal: float, missed: bool) -> None:
    found = [Late(0.1, 0.0, "x")] * 199 + [Late(4.0, 0.0, "the late one")]
    said = above("staleness", found, share, goal)
    assert bool(said) is missed
    assert all("the late one" in text for text in said[1:2])
    assert percentile(found, 0.5) == 0.1


def test_where_nothing_was_measured_no_goal_is_reached() -> None:
    assert above("staleness", [], 0.99, 2.0)
