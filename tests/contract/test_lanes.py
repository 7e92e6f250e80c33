"""Lanes: one live request at a time, barriers, holds, and the newest value of every field. On fakeredis and on a real server."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from app.avos.generic import GenericCall, accept_generic
from app.outgoing.decision import AttemptError, AttemptResult
from app.outgoing.model import (
    AVOS,
    Write,
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
        assert bench.store.hold(AVOS, "cm1", "me")
        assert not bench.store.hold(AVOS, "cm1", "me"), "held already"
        [request_id] = bench.accept(bench.patch())
        assert bench.take() == []
        assert bench.store.lane_summaries(AVOS, ["cm1"])[0].held
        bench.store.hold(AVOS, "cm1", "me", release=True)
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
        assert int(bench.client.pttl(fields)) > bench.history.keep.total_seconds() * 1000
        bench.accept(bench.patch())
        assert bench.client.pttl(fields) == -1
        assert bench.state(first) == "delivered"


class TestGenericLanes:
    def accept(self, bench: Bench, method: str, path: str, **more: Any) -> str:
        body = {"x": 1} if method == "PATCH" else None
        call = GenericCall(method, path, body, method == "PATCH", **more)
        [request_id] = accept_generic(bench.store, call, ("/external/",)).request_ids
        return request_id

    @pytest.mark.parametrize("again", ["/external/thing/1", "/external/thing/%31", "/external/thing/1?x=1"])
    def test_a_path_is_its_own_lane(self, bench: Bench, again: str) -> None:
        first = self.accept(bench, "PATCH", "/external/thing/1")
        assert bench.take() == [first]
        claim = bench.claim(first)
        assert bench.store.begin(claim, "lm") is not None, "its PATCH is on its way"
        second = self.accept(bench, "PUT", again)
        other = self.accept(bench, "PATCH", "/external/thing/2")
        assert bench.take() == [other]
        bench.store.finish(claim, AttemptResult({}))
        assert bench.take() == [second]

    def test_a_given_lane_orders_several_paths(self, bench: Bench) -> None:
        first = self.accept(bench, "PATCH", "/external/thing/1", lane="mine")
        second = self.accept(bench, "PATCH", "/external/thing/2", lane="mine")
        assert bench.take() == [first]
        assert bench.record(first)["lane"] == "mine"
        bench.send(first)
        assert bench.take() == [second]

    @pytest.mark.parametrize("media", ["CM1", "Lane:CM1", "Path:/external/thing/1"])
    def test_no_lane_joins_that_of_a_content_media(self, bench: Bench, media: str) -> None:
        [booking] = bench.accept(bench.patch(media))
        named = self.accept(bench, "PATCH", "/external/thing/1", lane=media.removeprefix("Lane:").casefold())
        path = self.accept(bench, "PATCH", "/external/thing/2")
        assert sorted(bench.take()) == sorted([booking, named, path])
        bench.store.hold(AVOS, media.casefold(), "me")
        for request_id in (booking, named, path):
            bench.send(request_id)
        after = self.accept(bench, "PATCH", "/external/thing/1", lane=media.removeprefix("Lane:").casefold())
        bench.accept(bench.patch(media))
        assert bench.take() == [after], "only the content media is held"


class TestDelivered:
    """What a path was delivered last is known until another method may have written anything."""

    SOURCE = "/external/contentMedia/live/CM1/technicalMedia/sourceMedia/"

    def known(self, bench: Bench, path: str) -> set[bytes]:
        fields = bench.client.hgetall(bench.keys.fields(AVOS, path.rstrip("/").replace("CM1", "cm1")))
        return {name for name in fields if name.startswith(b"d:")}

    def test_another_method_forgets_it_however_many_requests_lie_between(self, bench: Bench) -> None:
        bench.accept(bench.patch(path=self.SOURCE, members={"s": 1}))
        bench.run()
        for n in range(105):
            bench.accept(bench.patch(members={"a": n}))
            bench.run()
        assert self.known(bench, self.SOURCE) == {b"d:s"}
        bench.accept(bench.barrier(method="PUT"))
        bench.run()
        assert self.known(bench, self.SOURCE) == set()
        assert self.known(bench, "/external/contentMedia/live/CM1") == set()

    def test_what_the_release_before_has_delivered_is_forgotten_too(self, bench: Bench) -> None:
        bench.accept(bench.patch(path=self.SOURCE, members={"s": 1}))
        bench.run()
        bench.client.delete(bench.keys.delivered_paths("CM1"))
        bench.accept(bench.barrier(method="PUT"))
        bench.run()
        assert self.known(bench, self.SOURCE) == set()

    def test_of_more_paths_than_can_be_found_again_nothing_is_known(self, bench: Bench) -> None:
        for n in range(500):
            bench.client.zadd(bench.keys.delivered_paths("CM1"), {f"/external/p/{n}": 1})
        bench.accept(bench.patch(path=self.SOURCE, members={"s": 1}))
        bench.run()
        assert self.known(bench, self.SOURCE) == set()


def test_thousands_of_members_break_no_script(bench: Bench) -> None:
    """The API takes far fewer; what is stored all the same must drain."""
    members = {f"m{n}": n for n in range(9_000)}
    [first] = bench.accept(bench.patch(members=members, forced=False))
    assert bench.accept(bench.patch(members=members, forced=False)) == []
    bench.take()
    bench.fail(first)
    bench.pass_time(seconds=10)
    bench.tick()
    [taken] = bench.take()
    sent = bench.send(taken)
    assert sent is not None
    assert len(sent) == 9_000
    [second] = bench.accept(bench.patch(members={name: n + 1 for name, n in members.items()}, forced=False))
    assert bench.take() == [second]
    claim = bench.claim(second)
    assert len(claim.delivered) == 9_000
    bench.store.begin(claim, "lm")
    assert bench.store.drifted(claim, list(members), {"members": []}, park=False)
    key = bench.keys.fields(AVOS, "/external/contentMedia/live/cm1")
    bench.accept(writes=(Write("HDEL", key, tuple(f"d:{name}" for name in members)),))
    assert bench.store.finish(claim, AttemptResult({}))
    bench.accept(bench.barrier(method="PUT"))
    bench.run()
    assert bench.store.audit() == []


def test_a_retry_near_kick_off_and_what_waits_in_its_lane_do_not_run_side_by_side(bench: Bench) -> None:
    soon = bench.now + timedelta(minutes=5)
    [first] = bench.accept(bench.patch(members={"a": 1}, urgent_at=soon))
    bench.run(AttemptError("server_error", "AVOS answered 500.", status=500))
    bench.tick()
    [second] = bench.accept(bench.patch(members={"b": 1}, urgent_at=soon + timedelta(minutes=5)))
    assert bench.take() == [first]
    bench.send(first)
    assert bench.take() == [second]


def test_a_long_lane_has_the_same_order_as_a_short_one(bench: Bench) -> None:
    """Longer than one look at it shows: marks of what failed stand before those of what waits."""
    failed = bench.accept(*(bench.patch(members={f"m{n}": n}) for n in range(30)))
    for _ in failed:
        bench.run(AttemptError("timeout", "x"))
    [newest] = bench.accept(bench.patch(members={"other": 1}))
    bench.store.hold(AVOS, "cm1", "me")
    assert bench.take() == []
    bench.store.hold(AVOS, "cm1", "me", release=True)
    assert bench.take() == [newest]
    assert bench.store.audit() == []
