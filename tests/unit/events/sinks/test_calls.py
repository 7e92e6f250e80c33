"""How events are put into calls."""

from __future__ import annotations

import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.events.sinks.base import NOT_SENT, TOO_LARGE, Kind, Limits, Outcome, SinkError
from app.events.sinks.calls import Parcel, plan, send

GOOD = Outcome(None)
LATER = Outcome(SinkError("throttled", "", Kind.RETRY))
NEVER = Outcome(SinkError("refused", "", Kind.REFUSED))
GONE = Outcome(SinkError("gone", "", Kind.GONE))


def limits(events: int = 3, size: int = 10, *, event_bytes: int = 10) -> Limits:
    return Limits(events=events, bytes=size, event_bytes=event_bytes, one_per_key=True)


def parcels(text: str, size: int = 1) -> list[Parcel]:
    """A letter is an entity; `.` has no order. The content is the position."""
    return [Parcel(n, size, None if c == "." else c) for n, c in enumerate(text)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", []),
        ("abc", [[0, 1, 2]]),
        ("abcd", [[0, 1, 2], [3]]),
        ("....", [[0, 1, 2], [3]]),
        ("aaa", [[0], [1], [2]]),
        ("abab", [[0, 1], [2, 3]]),
        ("aab", [[0, 2], [1]]),  # b has no reason to wait for the second a
        ("aaabbb", [[0, 3], [1, 4], [2, 5]]),
        ("abcabcd", [[0, 1, 2], [3, 4, 5], [6]]),
    ],
)
def test_a_call_holds_at_most_one_event_of_an_order(text: str, expected: list[list[int]]) -> None:
    assert plan(parcels(text), limits()) == expected


def test_a_call_holds_no_more_bytes_than_it_may() -> None:
    assert plan(parcels("abcde", size=4), limits(events=10)) == [[0, 1], [2, 3], [4]]
    assert plan(parcels("ab", size=5), limits()) == [[0, 1]]
    assert plan([Parcel(0, 10, None), Parcel(1, 11, None), Parcel(2, 1, None)], limits()) == [[0], [2]]


@given(
    st.lists(st.tuples(st.sampled_from("abcd."), st.integers(1, 12)), max_size=60),
    st.integers(1, 7),
    st.integers(10, 30),
)
def test_every_plan_keeps_its_promises(what: list[tuple[str, int]], events: int, size: int) -> None:
    given_parcels = [Parcel(n, s, None if c == "." else c) for n, (c, s) in enumerate(what)]
    calls = plan(given_parcels, limits(events, size))
    flat = [at for call in calls for at in call]
    assert sorted(flat) == [n for n, p in enumerate(given_parcels) if p.size <= 10]
    for call in calls:
        assert 0 < len(call) <= events
        assert sum(given_parcels[at].size for at in call) <= size
        orders = [o for at in call if (o := given_parcels[at].order) is not None]
        assert len(orders) == len(set(orders))
    for order in "abcd":
        mine = [at for at in flat if given_parcels[at].order == order]
        assert mine == sorted(mine)


def test_planning_costs_little() -> None:
    """A thousand events of ten entities make calls of ten, however many calls are open."""
    many = [Parcel(n, 1, str(n % 10)) for n in range(1000)]
    started = time.process_time()
    assert len(plan(many, limits(500, 10_000))) == 100
    assert time.process_time() - started < 0.2


class FarSide:
    """Answers by position; notes each call."""

    def __init__(self, **answers: Outcome) -> None:
        self.answers = {int(at.removeprefix("at_")): outcome for at, outcome in answers.items()}
        self.calls: list[list[int]] = []

    def __call__(self, contents: list[Any]) -> list[Outcome]:
        self.calls.append(contents)
        return [self.answers.get(at, GOOD) for at in contents]


def codes(outcomes: list[Outcome]) -> list[str | None]:
    return [None if o.error is None else o.error.code for o in outcomes]


def soon() -> float:
    return time.monotonic() + 30


def test_nothing_is_sent_after_one_of_its_order_that_must_be_tried_again() -> None:
    far = FarSide(at_0=LATER)
    outcomes = send(parcels("abaab"), limits(), far, soon())
    assert codes(outcomes) == ["throttled", None, NOT_SENT, NOT_SENT, None]
    assert far.calls == [[0, 1], [4]]


def test_what_is_refused_for_good_holds_nothing_up() -> None:
    far = FarSide(at_0=NEVER)
    assert codes(send(parcels("aa"), limits(), far, soon())) == ["refused", None]


def test_a_call_that_fails_as_a_whole_is_the_last() -> None:
    far = FarSide(at_0=LATER, at_1=LATER, at_2=LATER)
    assert codes(send(parcels("......"), limits(), far, soon()))[3:] == [NOT_SENT] * 3
    assert far.calls == [[0, 1, 2]]


def test_a_destination_that_wants_no_more_gets_no_more() -> None:
    far = FarSide(at_1=GONE)
    assert codes(send(parcels("....."), limits(1), far, soon())) == [None, "gone", *[NOT_SENT] * 3]


def test_single_events_in_no_order_do_not_wait_for_one_another() -> None:
    far = FarSide(at_0=LATER)
    assert codes(send(parcels("..."), limits(1), far, soon())) == ["throttled", None, None]


def test_what_no_call_can_carry_is_refused() -> None:
    far = FarSide()
    outcomes = send([Parcel(0, 1, "a"), Parcel(1, 11, "a"), Parcel(2, 1, "a")], limits(), far, soon())
    assert codes(outcomes) == [None, TOO_LARGE, None]
    assert far.calls == [[0], [2]]


def test_no_call_is_begun_without_the_time_that_calls_take() -> None:
    begun: list[float] = []

    def slow(contents: list[Any]) -> list[Outcome]:
        begun.append(time.monotonic())
        while time.monotonic() < begun[-1] + 0.1:
            pass
        return [GOOD] * len(contents)

    outcomes = send(parcels("aaaa"), limits(), slow, time.monotonic() + 0.25)
    assert codes(outcomes) == [None, *[NOT_SENT] * 3]
    assert [o.tried for o in outcomes] == [True, False, False, False]
