"""Lanes: one live request at a time, barriers, holds, and the newest value of every field. On fakeredis and on a real server."""

from __future__ import annotations

import pytest

from app.outgoing.decide import AttemptError
from app.outgoing.model import (
    AVOS,
)
from tests.support.outgoing import Bench


class TestLanes:
    def test_one_request_of_a_lane_is_live_at_a_time(self, bench: Bench) -> None:
        ids = bench.accept(
            bench.patch(members={"a": 1}), bench.patch(members={"b": 2}), bench.patch(members={"c": 3})
        )
        for request_id in ids:
            assert bench.take() == [request_id]
            assert bench.take() == [], "the others wait behind the live one"
            bench.send(request_id)
        assert {bench.state(i) for i in ids} == {"delivered"}

    def test_lanes_do_not_wait_for_one_another(self, bench: Bench) -> None:
        ids = bench.accept(bench.patch("CM1"), bench.patch("CM2"))
        assert sorted(bench.take()) == sorted(ids)

    def test_case_of_a_content_media_id_makes_no_second_lane(self, bench: Bench) -> None:
        first, _ = bench.accept(
            bench.patch("CM1"), bench.patch("cm1", path="/external/contentMedia/live/CM1/x", members={"b": 1})
        )
        assert bench.take() == [first]

    def test_a_failed_patch_does_not_hold_its_lane(self, bench: Bench) -> None:
        first, second = bench.accept(bench.patch(members={"a": 1}), bench.patch(members={"b": 1}))
        bench.take()
        bench.fail(first)
        assert bench.take() == [second]

    def test_a_barrier_waits_for_everything_older_and_holds_everything_newer(self, bench: Bench) -> None:
        old, barrier, new = bench.accept(
            bench.patch(members={"a": 1}), bench.barrier(), bench.patch(members={"b": 1})
        )
        assert bench.take() == [old]
        bench.fail(old)
        assert bench.take() == [], "the failed one is older than the barrier and still to come"
        bench.tick()
        assert bench.take() == [old]
        bench.send(old)
        assert bench.take() == [barrier]
        bench.fail(barrier)
        assert bench.take() == [], "a failed barrier still holds what is newer"
        bench.tick()
        assert bench.take() == [barrier]
        bench.send(barrier)
        assert bench.take() == [new]

    @pytest.mark.parametrize("end", ["rejected", "expired", "discarded"])
    def test_a_barrier_that_ends_undelivered_releases_its_lane(self, bench: Bench, end: str) -> None:
        barrier, new = bench.accept(bench.barrier(), bench.patch())
        bench.take()
        if end == "rejected":
            bench.send(barrier, AttemptError("refused", "400", retryable=False))
        else:
            bench.fail(barrier)
        if end == "expired":
            bench.pass_time(days=2)
            bench.tick()
        if end == "discarded":
            bench.store.act(barrier, "discard", "me")
        assert bench.state(barrier) == end
        assert bench.take() == [new]

    def test_a_lane_that_is_done_leaves_no_key(self, bench: Bench) -> None:
        bench.accept(bench.patch(), bench.barrier())
        bench.run()
        bench.run()
        assert bench.client.keys(f"{bench.keys.prefix}lane:*") == []

    def test_a_held_lane_keeps_its_requests_and_loses_none(self, bench: Bench) -> None:
        assert bench.store.hold("cm1", "me")
        assert not bench.store.hold("cm1", "me"), "held already"
        [request_id] = bench.accept(bench.patch())
        assert bench.take() == []
        assert bench.store.lane_summaries(AVOS, ["cm1"])[0].held
        bench.store.hold("cm1", "me", release=True)
        assert bench.take() == [request_id]


class TestLatestWins:
    def test_a_waiting_patch_that_a_newer_one_covers_is_superseded_at_accept(self, bench: Bench) -> None:
        [first] = bench.accept(bench.patch(members={"a": 1, "b": 1}))
        [second] = bench.accept(bench.patch(members={"b": 2, "a": 2, "c": 2}))
        record = bench.record(first)
        assert (record["state"], record["supersededBy"]) == ("superseded", second)
        assert bench.take() == [second]

    def test_a_patch_is_covered_by_several_newer_ones_together(self, bench: Bench) -> None:
        [first] = bench.accept(bench.patch(members={"a": 1, "b": 1}))
        bench.accept(bench.patch(members={"a": 2}))
        assert bench.state(first) == "pending"
        bench.accept(bench.patch(members={"b": 2}))
        assert bench.state(first) == "superseded"

    def test_only_members_that_no_newer_request_has_set_are_sent(self, bench: Bench) -> None:
        [first] = bench.accept(bench.patch(members={"a": 1, "b": 1}))
        bench.accept(bench.patch(members={"b": 2}))
        assert bench.take() == [first]
        assert bench.send(first) == {"a": "1"}

    def test_a_live_patch_that_was_covered_meanwhile_sends_nothing(self, bench: Bench) -> None:
        [first] = bench.accept(bench.patch(members={"a": 1}))
        bench.take()
        claim = bench.claim(first)
        [second] = bench.accept(bench.patch(members={"a": 2}))
        assert bench.store.begin(claim, "lm") is None
        assert bench.state(first) == "superseded"
        assert bench.take() == [second]

    def test_one_content_media_has_one_set_of_versions_however_its_id_is_spelled(self, bench: Bench) -> None:
        [first] = bench.accept(bench.patch("CM1", path="/external/contentMedia/live/CM1/x/"))
        [second] = bench.accept(bench.patch("cm1", path="/external/contentMedia/live/cm1/x"))
        assert bench.record(first)["supersededBy"] == second

    def test_paths_have_versions_of_their_own(self, bench: Bench) -> None:
        first, _ = bench.accept(
            bench.patch(members={"a": 1}),
            bench.patch(path="/external/contentMedia/live/CM1/x", members={"a": 2}),
        )
        assert bench.state(first) == "pending"

    def test_a_retry_sends_only_what_is_still_newest(self, bench: Bench) -> None:
        [first] = bench.accept(bench.patch(members={"a": 1, "b": 1}))
        bench.take()
        bench.fail(first)
        [second] = bench.accept(bench.patch(members={"b": 2}))
        bench.tick()
        assert bench.take() == [second]
        bench.send(second)
        bench.tick()
        assert bench.take() == [first]
        assert bench.send(first) == {"a": "1"}

    def test_an_absent_value_is_not_sent_and_withdraws_the_older_one(self, bench: Bench) -> None:
        [first] = bench.accept(bench.patch(members={"a": 1, "b": 1}))
        [second] = bench.accept(bench.patch(members={"a": 2}, absent=["b"]))
        assert bench.state(first) == "superseded"
        bench.take()
        assert bench.send(second) == {"a": "2"}
        assert bench.record(second)["withdrawn"] == ["b"]

    def test_only_absent_values_queue_nothing_but_withdraw(self, bench: Bench) -> None:
        [first] = bench.accept(bench.patch(members={"a": 1}))
        assert bench.accept(bench.patch(members={}, absent=["a"], forced=False)) == []
        assert bench.state(first) == "superseded"

    def test_a_newer_delivery_makes_good_what_ended_undelivered(self, bench: Bench) -> None:
        [first] = bench.accept(bench.patch(members={"a": 1}))
        bench.run(AttemptError("refused", "400", retryable=False))
        assert bench.store.lane_summaries(AVOS, ["cm1"])[0].failing
        [second] = bench.accept(bench.patch(members={"a": 2}))
        assert bench.store.lane_summaries(AVOS, ["cm1"])[0].failing, "out of step until it is delivered"
        bench.run()
        assert (bench.state(first), bench.record(first)["supersededBy"]) == ("superseded", second)
        assert not bench.store.lane_summaries(AVOS, ["cm1"])[0].failing

    def test_a_newer_request_that_never_lands_keeps_its_fields(self, bench: Bench) -> None:
        [first] = bench.accept(bench.patch(members={"a": 1}))
        bench.take()
        bench.fail(first)
        [second] = bench.accept(bench.patch(members={"a": 2}))
        bench.run(AttemptError("refused", "400", retryable=False))
        assert (bench.state(first), bench.state(second)) == ("superseded", "rejected")
        assert bench.store.lane_summaries(AVOS, ["cm1"])[0].failing

    def test_versions_outlive_every_record_that_could_still_be_retried(self, bench: Bench) -> None:
        [first] = bench.accept(bench.patch())
        fields = bench.keys.fields(AVOS, "/external/contentMedia/live/cm1")
        assert bench.client.pttl(fields) == -1
        bench.run()
        assert int(bench.client.pttl(fields)) > bench.policy.keep.total_seconds() * 1000
        bench.accept(bench.patch())
        assert bench.client.pttl(fields) == -1
        assert bench.state(first) == "delivered"
