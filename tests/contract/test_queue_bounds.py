"""Nobody consumes a queue, for an hour: what lies in it stays bounded, and goes out at once when somebody comes."""

from __future__ import annotations

from dataclasses import replace

import pytest

from app.outgoing.decision import AttemptResult
from app.outgoing.destinations import Destination
from app.outgoing.model import AVOS
from tests.support.outgoing import Bench

HOUR_S = 3600
STEP_S = 5
IN_FLIGHT = 12


@pytest.fixture
def bounded(bench: Bench) -> Bench:
    return replace(bench, avos=Destination(AVOS, in_flight=IN_FLIGHT))


def length(bench: Bench, queue: str) -> int:
    return int(bench.client.llen(bench.keys.prefix + queue))


def pop_all(bench: Bench) -> list[str]:
    """The ids of all live messages; unlike `take` this doesn't promote."""
    queue = bench.keys.prefix + "live"
    messages = bench.client.lrange(queue, 0, -1)
    bench.client.delete(queue)
    return [message.decode().split()[1] for message in reversed(messages)]


def tick(bench: Bench) -> None:
    bench.store.reclaim(AVOS)
    bench.store.promote(AVOS)


def deliver_everything(bench: Bench) -> int:
    """What consumers that come back do, in no time; how many that delivers."""
    delivered = 0
    while ids := pop_all(bench):
        for request_id in ids:
            claim = bench.store.claim(request_id)
            if claim is not None and bench.store.begin(claim, "lm") is not None:
                assert bench.store.finish(claim, AttemptResult({"outcome": "delivered"}))
                delivered += 1
        bench.store.promote(AVOS)
    return delivered


def test_the_live_queue_never_exceeds_what_may_be_in_flight(bounded: Bench) -> None:
    ids = bounded.accept(*(bounded.patch(f"CM{number}") for number in range(3 * IN_FLIGHT)))
    for _ in range(HOUR_S // STEP_S):
        tick(bounded)
        bounded.pass_time(seconds=STEP_S)
        assert length(bounded, "live") <= IN_FLIGHT
        assert length(bounded, "pending") <= 1
    assert length(bounded, "live") == IN_FLIGHT
    assert deliver_everything(bounded) == len(ids)
    assert {bounded.record(one)["attemptCount"] for one in ids} == {1}


def test_what_planning_overtakes_meanwhile_leaves_the_queue(bounded: Bench) -> None:
    media = [f"CM{number}" for number in range(3 * IN_FLIGHT)]
    for second in range(0, 600, STEP_S):
        if second % 60 == 0:
            newest = bounded.accept(*(bounded.patch(one, members={"a": second}) for one in media))
        tick(bounded)
        bounded.pass_time(seconds=STEP_S)
        assert length(bounded, "live") <= IN_FLIGHT
    queued = pop_all(bounded)
    assert len(queued) == len(set(queued)) == IN_FLIGHT
    for request_id in queued:
        assert bounded.state(request_id) == "live"
    bounded.pass_time(seconds=60)  # these were lost; the others go out
    tick(bounded)
    assert deliver_everything(bounded) == len(media)
    assert {bounded.state(one) for one in newest} == {"delivered"}


def test_a_message_that_still_waits_keeps_its_place_and_its_request_stays_live(bench: Bench) -> None:
    first, second = bench.accept(bench.patch("CM1")), bench.accept(bench.patch("CM2"))
    bench.store.promote(AVOS)
    before = bench.client.lrange(bench.keys.prefix + "live", 0, -1)
    bench.pass_time(seconds=20)
    assert bench.store.reclaim(AVOS) == 0
    bench.store.promote(AVOS)
    assert bench.client.lrange(bench.keys.prefix + "live", 0, -1) == before
    assert [bench.state(one) for one in first + second] == ["live", "live"]
    # Only as long as it waits.
    bench.client.delete(bench.keys.prefix + "live")
    bench.pass_time(seconds=20)
    assert bench.store.reclaim(AVOS) == 2
    assert sorted(bench.take()) == sorted(first + second)


def test_a_request_that_ends_where_it_waits_takes_its_message_along(bench: Bench) -> None:
    bench.accept(bench.patch("CM1", generation=0, members={"a": 1}))
    bench.store.promote(AVOS)
    [newer] = bench.accept(bench.patch("CM1", members={"a": 2}))
    bench.pass_time(seconds=20)
    tick(bench)
    assert pop_all(bench) == [newer]


def test_what_an_older_release_has_piled_up_is_not_added_to(bounded: Bench) -> None:
    bounded.accept(bounded.patch())
    queue = bounded.keys.prefix + "live"
    bounded.client.rpush(queue, *(f"patch {number} old" for number in range(500)))
    tick(bounded)
    assert length(bounded, "live") == 500
    pop_all(bounded)
    assert len(bounded.take()) == 1


@pytest.mark.parametrize("in_flight", [1, 2])
def test_the_smallest_bounds_let_something_out(bench: Bench, in_flight: int) -> None:
    small = replace(bench, avos=Destination(AVOS, in_flight=in_flight))
    small.accept(*(small.patch(f"CM{number}") for number in range(3)))
    small.store.promote(AVOS)
    assert deliver_everything(small) == 3


def test_one_wake_up_waits_however_much_is_accepted(bench: Bench) -> None:
    for number in range(30):
        bench.accept(bench.patch(f"CM{number}"))
        bench.pass_time(seconds=2)
        bench.client.delete(f"{bench.keys.prefix}wake:{AVOS}")  # the server's own clock stands still
    assert length(bench, "pending") == 1
    # One that was popped and lost is made good a second later.
    bench.client.delete(bench.keys.prefix + "pending")
    bench.accept(bench.patch("CM-last"))
    assert length(bench, "pending") == 1
