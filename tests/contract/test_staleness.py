"""Staleness: from the first acknowledged change that AVOS doesn't show to the moment it does, superseded ones included."""

from __future__ import annotations

from datetime import timedelta

import pytest

from app.outgoing.decision import AttemptError, AttemptResult
from app.outgoing.model import ABSENT
from app.outgoing.timings import BOUNDS_MS, read_timing
from tests.support.outgoing import Bench

TIMEOUT = AttemptError("timeout", "no answer")
REFUSED = AttemptError("refused", "400", retryable=False)


def seen(bench: Bench) -> list[float]:
    """How long each took, the bounds and the sum telling: of two or more, only their number and their sum."""
    staleness = read_timing(bench.store).staleness
    count = staleness.buckets[-1][1]
    return [] if count == 0 else [staleness.sum_s] if count == 1 else [count, staleness.sum_s]


def stale_now(bench: Bench) -> dict[str, float]:
    return dict(read_timing(bench.store).stalest_s)


def ask(bench: Bench, media: str = "CM1", /, **members: object) -> str:
    [request_id] = bench.accept(bench.patch(media, members=members))
    return request_id


def test_five_updates_of_which_the_first_four_are_superseded_over_16_seconds_are_16_seconds(
    bench: Bench,
) -> None:
    for n in range(5):
        ask(bench, a=n)
        bench.pass_time(seconds=4)
    assert stale_now(bench) == {"open": 20}
    bench.pass_time(seconds=-4)
    bench.run()
    timing = read_timing(bench.store)
    assert seen(bench) == [16]
    assert dict(timing.staleness.buckets)["10.0"] == 0
    assert dict(timing.staleness.buckets)["30.0"] == 1
    assert timing.delivery.sum_s == 0, "what the older figure shows of it"
    assert stale_now(bench) == {}


def test_what_is_delivered_in_time_begins_anew(bench: Bench) -> None:
    ask(bench, a=1)
    bench.pass_time(seconds=3)
    bench.run()
    bench.pass_time(minutes=5)
    ask(bench, a=2)
    bench.pass_time(seconds=1)
    bench.run()
    assert seen(bench) == [2, 4]


def test_a_failed_one_that_is_superseded_counts(bench: Bench) -> None:
    ask(bench, a=1)
    bench.pass_time(seconds=10)
    bench.run(TIMEOUT)
    bench.pass_time(seconds=10)
    ask(bench, a=2)
    bench.pass_time(seconds=10)
    bench.run()
    assert seen(bench) == [30]


@pytest.mark.parametrize("error", [TIMEOUT, REFUSED])
def test_one_that_fails_on_its_way_while_a_newer_one_waits_counts(bench: Bench, error: AttemptError) -> None:
    first = ask(bench, a=1)
    bench.take()
    claim = bench.claim(first)
    bench.store.begin(claim, "lm")
    bench.pass_time(seconds=5)
    ask(bench, a=2)
    bench.pass_time(seconds=5)
    bench.store.finish(claim, AttemptResult({}, error))
    bench.run()
    assert seen(bench) == [10]
    assert stale_now(bench) == {}


def test_one_that_is_delivered_while_a_newer_one_waits_ends_its_own(bench: Bench) -> None:
    first = ask(bench, a=1)
    bench.take()
    claim = bench.claim(first)
    bench.store.begin(claim, "lm")
    bench.pass_time(seconds=5)
    ask(bench, a=2)
    bench.pass_time(seconds=1)
    bench.store.finish(claim, AttemptResult({}))
    assert seen(bench) == [6]
    bench.pass_time(seconds=1)
    bench.run()
    assert seen(bench) == [2, 8], "the newer one has waited for 2"


def test_a_member_that_was_taken_over_before_it_was_sent_counts_with_the_newer_one(bench: Bench) -> None:
    first = ask(bench, a=1, b=1)
    bench.take()
    claim = bench.claim(first)
    bench.pass_time(seconds=5)
    ask(bench, a=2)
    assert bench.store.begin(claim, "lm") is not None, "with b alone"
    bench.pass_time(seconds=1)
    bench.store.finish(claim, AttemptResult({}))
    assert seen(bench) == [6]
    bench.pass_time(seconds=1)
    bench.run()
    assert seen(bench) == [2, 13], "a has not been shown for 7"


def test_a_member_that_was_shown_before_a_newer_one_set_it_is_not_counted_twice(bench: Bench) -> None:
    first = ask(bench, a=1, b=1, c=1)
    bench.take()
    claim = bench.claim(first)
    ask(bench, c=2)
    assert bench.store.begin(claim, "lm") is not None, "with a and b"
    bench.pass_time(seconds=5)
    ask(bench, a=2)
    bench.store.finish(claim, AttemptResult({}))
    bench.run()
    bench.pass_time(seconds=1)
    bench.run()
    assert seen(bench) == [3, 5 + 5 + 1]


def test_a_part_of_what_waits_is_taken_over(bench: Bench) -> None:
    ask(bench, a=1, b=1)
    bench.pass_time(seconds=5)
    ask(bench, a=2)
    bench.run()
    bench.pass_time(seconds=1)
    bench.run()
    assert seen(bench) == [2, 11]


def test_back_to_what_avos_shows_counts_from_the_change_in_between(bench: Bench) -> None:
    ask(bench, a=1)
    bench.run()
    bench.pass_time(seconds=60)
    ask(bench, a=2)
    bench.pass_time(seconds=5)
    ask(bench, a=1)
    bench.pass_time(seconds=5)
    bench.run()
    assert seen(bench) == [2, 10]


def test_what_was_parked_counts_until_a_newer_one_is_delivered(bench: Bench) -> None:
    ask(bench, a=1)
    bench.run(REFUSED)
    bench.pass_time(seconds=50)
    assert stale_now(bench) == {"undelivered": 50}
    ask(bench, a=2)
    assert stale_now(bench) == {"open": 50, "undelivered": 50}
    bench.pass_time(seconds=10)
    bench.run()
    assert seen(bench) == [60]
    assert stale_now(bench) == {}


def test_what_has_expired_counts_until_a_newer_one_is_delivered(bench: Bench) -> None:
    ask(bench, a=1)
    bench.run(TIMEOUT)
    bench.pass_time(hours=25)
    bench.tick()
    assert stale_now(bench) == {"undelivered": 25 * 3600}
    ask(bench, a=2)
    bench.run()
    assert seen(bench) == [25 * 3600]


def test_one_that_is_delivered_after_an_operators_retry_counts_all_of_it(bench: Bench) -> None:
    request_id = ask(bench, a=1)
    bench.run(REFUSED)
    bench.pass_time(seconds=50)
    bench.store.act(request_id, "retry", "me")
    assert stale_now(bench) == {"open": 50}
    bench.run()
    assert seen(bench) == [50]


def test_what_an_operator_has_discarded_is_wanted_by_nobody(bench: Bench) -> None:
    request_id = ask(bench, a=1)
    bench.pass_time(seconds=50)
    bench.store.act(request_id, "discard", "me")
    assert stale_now(bench) == {}
    bench.store.act(request_id, "retry", "me")
    bench.pass_time(seconds=5)
    assert stale_now(bench) == {"open": 5}
    bench.store.act(request_id, "discard", "me")
    ask(bench, a=2)
    bench.pass_time(seconds=1)
    bench.run()
    assert seen(bench) == [1]


def test_what_an_ended_registration_wanted_is_not_counted_with_the_next(bench: Bench) -> None:
    counter, active = (
        f"{bench.keys.prefix}registrations:generation",
        bench.keys.prefix + "registrations:active:media",
    )
    bench.client.hset(counter, "cm1", 1)
    bench.client.hset(active, "cm1", "x")
    first = bench.patch(members={"a": 1}, generation=1)
    [live] = bench.accept(first)
    bench.take()
    claim = bench.claim(live)
    bench.pass_time(seconds=50)
    bench.client.hset(counter, "cm1", 2)
    bench.accept(bench.patch(members={"a": 2}, generation=2))
    bench.store.finish(claim, AttemptResult({}, TIMEOUT))
    bench.pass_time(seconds=1)
    bench.run()
    assert seen(bench) == [1]


def test_other_methods_and_other_paths_are_no_part_of_it(bench: Bench) -> None:
    bench.accept(bench.barrier(method="PUT"))
    bench.pass_time(seconds=5)
    assert stale_now(bench) == {}
    bench.run()
    assert seen(bench) == []


def test_one_behind_a_barrier_waits_all_the_same(bench: Bench) -> None:
    bench.accept(bench.barrier(method="PUT"))
    ask(bench, a=1)
    bench.pass_time(seconds=5)
    bench.run()
    bench.run()
    assert seen(bench) == [5]


def test_a_member_that_planning_has_withdrawn_is_not_waited_for(bench: Bench) -> None:
    ask(bench, a=1)
    bench.accept(bench.patch(members={"a": ABSENT}, forced=False))
    assert stale_now(bench) == {}


def test_a_lost_lease_hands_on_what_a_newer_one_has_taken_over(bench: Bench) -> None:
    first = ask(bench, a=1, b=1)
    bench.take()
    bench.claim(first)
    bench.pass_time(seconds=5)
    ask(bench, a=2)
    bench.pass_time(seconds=15)
    bench.store.reclaim("avos")
    bench.run()
    bench.run()
    assert seen(bench) == [2, 40]


def test_a_record_of_the_release_before_counts_from_its_acceptance(bench: Bench) -> None:
    old, other = ask(bench, a=1), ask(bench, "CM2", a=1)
    bench.client.delete(f"{bench.keys.prefix}stale")
    bench.pass_time(seconds=7)
    ask(bench, a=2)
    assert bench.state(old) == "superseded"
    assert bench.store.audit() == [], "nothing is wrong with it"
    assert stale_now(bench) == {"open": 7}
    for request_id in bench.take():
        bench.send(request_id)
    assert seen(bench) == [2, 14]
    assert bench.state(other) == "delivered"


def test_the_audit_takes_out_what_a_broken_script_left(bench: Bench) -> None:
    request_id = ask(bench, a=1)
    bench.run()
    bench.client.zadd(f"{bench.keys.prefix}stale", {request_id: 1, "nobody": 2})
    bench.client.zadd(f"{bench.keys.prefix}stale:undelivered", {request_id: 1, "nobody": 2})
    bench.store.audit()
    assert stale_now(bench) == {}


def test_what_is_removed_with_its_history_is_no_longer_counted(bench: Bench) -> None:
    ask(bench, a=1)
    bench.run(REFUSED)
    bench.pass_time(days=40)
    bench.store.trim()
    assert stale_now(bench) == {}


def test_the_bounds_are_those_of_the_scripts(bench: Bench) -> None:
    for number, bound in enumerate(BOUNDS_MS):
        ask(bench, f"CM{number}", a=1)
        [request_id] = bench.take()
        bench.now += timedelta(milliseconds=bound)
        bench.send(request_id)
    counts = [count for _, count in read_timing(bench.store).staleness.buckets]
    assert counts == [*range(1, len(BOUNDS_MS) + 1), len(BOUNDS_MS)]
