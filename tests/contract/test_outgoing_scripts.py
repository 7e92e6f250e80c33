"""What the scripts promise, on both servers: states, lanes, versions, retries, expiry, repair."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest

from app.outgoing.decide import AttemptError, Result
from app.outgoing.errors import Again, IdempotencyMismatch
from app.outgoing.model import (
    AVOS,
    Acceptance,
    Guard,
    Happening,
    Idempotency,
    Now,
    Sequence,
    TimelineNote,
    Write,
)
from app.platform.errors import Unavailable
from tests.support.outgoing import Bench


class TestAccept:
    def test_a_change_and_its_requests_are_written_together(self, bench: Bench) -> None:
        key = bench.keys.event("ev/1")
        writes = (
            Write("HSET", key, ("body", b'{"a":[],"n":12345678901234567890}', "updatedAt", Now())),
            Write("ZADD", bench.keys.events, (Sequence(), "ev/1")),
        )
        ids = bench.accept(bench.patch(), writes=writes)
        assert len(ids) == 1
        assert bench.client.hget(key, "body") == b'{"a":[],"n":12345678901234567890}'
        assert int(bench.client.hget(key, "updatedAt") or 0) == int(bench.now.timestamp() * 1000)
        assert bench.client.zrange(bench.keys.events, 0, -1) == [b"ev/1"]

    def test_a_moved_guard_changes_nothing(self, bench: Bench) -> None:
        guard = Guard(("GET", bench.keys.event_revision("ev")), "3")
        with pytest.raises(Again):
            bench.accept(
                bench.patch(), guards=(guard,), writes=(Write("SET", f"{bench.keys.prefix}k", ("v",)),)
            )
        assert bench.client.keys(f"{bench.keys.prefix}*") == []

    @pytest.mark.parametrize(
        "command",
        [("GET", "nothing"), ("HGET", "nothing", "field"), ("ZREVRANGE", "nothing", "0", "0")],
    )
    def test_a_guard_on_nothing_expects_the_empty_text(self, bench: Bench, command: tuple[str, ...]) -> None:
        name, key, *rest = command
        assert bench.accept(bench.patch(), guards=(Guard((name, bench.keys.prefix + key, *rest), ""),))

    def test_user_json_keeps_every_byte(self, bench: Bench) -> None:
        value = {"list": [], "object": {}, "float": 0.0, "big": 2**63, "text": "é\u0000\U0001f3c9"}
        [request_id] = bench.accept(bench.patch(members={"a": value}))
        sent = bench.run()
        assert sent is not None
        assert json.loads(sent["a"]) == value
        assert '"list":[]' in sent["a"]
        assert bench.record(request_id)["body"] == {"a": value}

    def test_what_changes_nothing_is_not_queued(self, bench: Bench) -> None:
        [first] = bench.accept(bench.patch(members={"a": 1, "b": {"x": 1, "y": 2}}, forced=False))
        assert bench.accept(bench.patch(members={"b": {"y": 2, "x": 1}, "a": 1}, forced=False)) == []
        bench.run()
        assert bench.state(first) == "delivered"
        assert bench.accept(bench.patch(members={"a": 1}, forced=False)) == []

    def test_going_back_to_an_older_value_is_queued(self, bench: Bench) -> None:
        bench.accept(bench.patch(members={"a": "A"}, forced=False))
        bench.run()
        bench.accept(bench.patch(members={"a": "B"}, forced=False))
        assert len(bench.accept(bench.patch(members={"a": "A"}, forced=False))) == 1
        assert bench.run() == {"a": '"A"'}

    @pytest.mark.parametrize("end", ["rejected", "expired", "discarded"])
    def test_the_same_value_is_queued_again_when_its_request_ended_undelivered(
        self, bench: Bench, end: str
    ) -> None:
        [first] = bench.accept(bench.patch(forced=False))
        [live] = bench.take()
        match end:
            case "rejected":
                bench.send(live, AttemptError("refused", "400", retryable=False))
            case "expired":
                bench.fail(live)
                bench.pass_time(days=2)
                bench.tick()
            case _:
                bench.fail(live)
                bench.store.act(first, "discard", "me")
        assert bench.state(first) == end
        assert len(bench.accept(bench.patch(forced=False))) == 1

    def test_a_forced_update_is_always_queued(self, bench: Bench) -> None:
        bench.accept(bench.patch())
        assert len(bench.accept(bench.patch())) == 1

    def test_an_idempotency_key_answers_as_the_first_time(self, bench: Bench) -> None:
        key = Idempotency("digest", "fingerprint")
        first = bench.store.accept(Acceptance(requests=(bench.patch(),), idempotency=key))
        again = bench.store.accept(Acceptance(requests=(bench.patch(),), idempotency=key))
        assert (again.request_ids, again.repeated) == (first.request_ids, True)
        with pytest.raises(IdempotencyMismatch):
            bench.store.accept(Acceptance(idempotency=Idempotency("digest", "another")))

    def test_a_nearly_full_store_takes_no_new_work_and_drains(self, bench: Bench) -> None:
        [request_id] = bench.accept(bench.patch())
        bench.client.set(f"{bench.keys.prefix}store:full", "1")
        with pytest.raises(Unavailable):
            bench.accept(bench.patch())
        bench.run()
        assert bench.state(request_id) == "delivered"

    def test_what_cannot_be_composed_is_rejected_visibly(self, bench: Bench) -> None:
        request = bench.patch(members={"a": None}, rejected="no_job", forced=False)
        [request_id] = bench.accept(request)
        record = bench.record(request_id)
        assert (record["state"], record["error"]["code"], record["body"]) == ("rejected", "no_job", {})
        assert bench.happenings() == ["sync-rejected"]
        assert bench.store.lane_summaries(AVOS, ["cm1"])[0].failing
        again = bench.patch(members={"a": None}, rejected="no_job", forced=False)
        assert bench.accept(again) == [], "the same verdict on the same content media is said once"
        assert bench.store.act(request_id, "retry", "me")[0] == "uncomposed"

    def test_happenings_and_notes_come_with_the_change(self, bench: Bench) -> None:
        happening = Happening(
            "livestream-operations", "livestream-registered", {"livestreamId": "L", "x": []}
        )
        bench.accept(happenings=(happening,), notes=(TimelineNote("CM1", "registered", {"by": "api"}),))
        [(entry, fields)] = bench.client.xrange(bench.keys.log("livestream-operations"))
        event = json.loads(fields[b"event"])
        assert entry == b"1-0"
        assert event["eventName"] == "livestream-registered"
        assert (event["livestreamId"], event["x"], event["versions"]) == ("L", [], ["1.0"])
        assert event["timestamp"] == "2026-11-21T12:00:00.000Z"
        assert len(bench.client.xrange(bench.keys.timeline("cm1"))) == 1


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


class TestOrderOfWork:
    def test_the_nearest_kick_off_goes_first(self, bench: Bench) -> None:
        late, early, none = bench.accept(
            bench.patch("L", urgent_at=bench.now + timedelta(hours=9)),
            bench.patch("E", urgent_at=bench.now + timedelta(hours=3)),
            bench.patch("N"),
        )
        assert bench.take() == [early, late, none]

    def test_a_lane_is_as_urgent_as_its_most_urgent_request(self, bench: Bench) -> None:
        slow, other, hurry = bench.accept(
            bench.patch("A", members={"a": 1}, urgent_at=bench.now + timedelta(hours=9)),
            bench.patch("B", urgent_at=bench.now + timedelta(hours=5)),
            bench.patch("A", members={"b": 1}, urgent_at=bench.now + timedelta(hours=3)),
        )
        assert bench.take() == [slow, other]
        bench.send(slow)
        assert bench.take() == [hurry]

    def test_first_tries_go_before_retries_unless_the_retry_kicks_off_soon(self, bench: Bench) -> None:
        later, soon = bench.accept(
            bench.patch("A", urgent_at=bench.now + timedelta(hours=4)),
            bench.patch("B", urgent_at=bench.now + timedelta(hours=1)),
        )
        for request_id in bench.take():
            bench.fail(request_id)
        fresh = bench.accept(bench.patch("C", urgent_at=bench.now + timedelta(hours=8)))
        bench.tick()
        assert bench.take() == [soon, *fresh, later]

    def test_ended_events_come_last(self, bench: Bench) -> None:
        ended, coming = bench.accept(
            bench.patch(
                "A", urgent_at=bench.now - timedelta(hours=3), event_end=bench.now - timedelta(hours=1)
            ),
            bench.patch("B", urgent_at=bench.now + timedelta(days=3)),
        )
        assert bench.take() == [coming, ended]

    def test_no_more_fly_than_the_bound(self, bench: Bench) -> None:
        bench.policy = type(bench.policy)(in_flight=2)
        bench.__post_init__()
        ids = bench.accept(*(bench.patch(f"CM{n}") for n in range(5)))
        first = bench.take()
        assert len(first) == 2
        assert bench.take() == []
        bench.send(first[0])
        assert len(bench.take()) == 1
        assert len(ids) == 5

    def test_wake_ups_are_coalesced(self, bench: Bench) -> None:
        for n in range(20):
            bench.accept(bench.patch(f"CM{n}"))
        assert bench.client.lrange(f"{bench.keys.prefix}pending", 0, -1) == [b"promote avos"]

    def test_a_paused_destination_is_sent_nothing(self, bench: Bench) -> None:
        bench.client.hset(bench.keys.destination(AVOS), "paused", "1")
        [request_id] = bench.accept(bench.patch())
        assert bench.take() == []
        bench.client.hdel(bench.keys.destination(AVOS), "paused")
        assert bench.take() == [request_id]


class TestLease:
    def test_a_message_that_comes_twice_claims_nothing(self, bench: Bench) -> None:
        [request_id] = bench.accept(bench.patch())
        bench.take()
        bench.claim(request_id)
        assert bench.store.claim(request_id) is None

    def test_fences_rise(self, bench: Bench) -> None:
        [request_id] = bench.accept(bench.patch())
        bench.take()
        first = bench.claim(request_id)
        bench.pass_time(seconds=60)
        bench.store.reclaim(AVOS)
        assert bench.take() == [request_id]
        assert bench.claim(request_id).fence > first.fence

    def test_a_worker_that_lost_its_lease_can_neither_send_nor_finish(self, bench: Bench) -> None:
        [request_id] = bench.accept(bench.patch())
        bench.take()
        slow = bench.claim(request_id)
        bench.pass_time(seconds=60)
        assert bench.store.begin(slow, "lm") is None
        bench.store.reclaim(AVOS)
        bench.take()
        current = bench.claim(request_id)
        assert not bench.store.finish(slow, Result({"outcome": "delivered"}))
        assert bench.store.finish(current, Result({"outcome": "delivered"}))
        assert not bench.store.finish(current, Result({"outcome": "delivered"}))

    def test_a_lost_wake_up_is_made_good(self, bench: Bench) -> None:
        [request_id] = bench.accept(bench.patch())
        bench.take()
        bench.pass_time(seconds=60)
        assert bench.store.reclaim(AVOS) == 1
        assert bench.take() == [request_id]
        assert bench.record(request_id)["attemptCount"] == 0

    def test_a_patch_lost_while_sending_is_read_before_it_is_written_again(self, bench: Bench) -> None:
        [request_id] = bench.accept(bench.patch(members={"a": [1]}))
        bench.take()
        claim = bench.claim(request_id)
        assert claim.unknown is None
        bench.store.begin(claim, 'opaque "quoted"')
        bench.pass_time(seconds=60)
        bench.store.reclaim(AVOS)
        bench.take()
        unknown = bench.claim(request_id).unknown
        assert unknown == {"members": ["a"], "lastModified": 'opaque "quoted"'}

    @pytest.mark.parametrize(
        ("method", "state"), [("POST", "rejected"), ("PUT", "pending"), ("DELETE", "pending")]
    )
    def test_only_a_post_lost_while_sending_is_parked(self, bench: Bench, method: str, state: str) -> None:
        [request_id] = bench.accept(bench.barrier(method=method))
        bench.take()
        bench.store.begin(bench.claim(request_id), None)
        bench.pass_time(seconds=60)
        bench.store.reclaim(AVOS)
        assert bench.state(request_id) == state

    def test_a_post_lost_before_sending_is_sent(self, bench: Bench) -> None:
        [request_id] = bench.accept(bench.barrier())
        bench.take()
        bench.claim(request_id)
        bench.pass_time(seconds=60)
        bench.store.reclaim(AVOS)
        assert bench.take() == [request_id]

    def test_a_request_that_kills_its_workers_ends_in_the_failed_table(self, bench: Bench) -> None:
        [request_id] = bench.accept(bench.patch())
        for _ in range(bench.policy.max_reclaims + 1):
            bench.take()
            bench.claim(request_id)
            bench.pass_time(seconds=60)
            bench.store.reclaim(AVOS)
        assert bench.state(request_id) == "failed"
        assert bench.record(request_id)["error"]["code"] == "lease_lost"


class TestFailedTable:
    def test_of_two_failed_ones_of_a_lane_each_is_tried_at_every_tick(self, bench: Bench) -> None:
        ids = bench.accept(bench.patch(), bench.patch(members={"b": 1}))
        for _ in ids:
            bench.run(AttemptError("timeout", "x"))
        for tick in (1, 2):
            bench.pass_time(seconds=10)
            bench.tick()
            for _ in ids:
                bench.run(AttemptError("timeout", "x"))
            assert bench.take() == [], "each once a tick"
            assert [bench.record(i)["attemptCount"] for i in ids] == [1 + tick] * 2
        assert bench.store.audit(AVOS) == []

    def test_every_failed_record_is_due_at_the_next_tick(self, bench: Bench) -> None:
        [request_id] = bench.accept(bench.patch())
        for attempt in range(1, 31):
            [live] = bench.take()
            bench.fail(live)
            assert bench.take() == [], "nothing is tried before the tick"
            bench.pass_time(seconds=10)
            bench.tick()
            assert bench.record(request_id)["attemptCount"] == attempt
        assert bench.happenings() == ["sync-failed"], "told once; the others stand in the history"

    def test_history_keeps_the_first_5_and_the_last_20_attempts(self, bench: Bench) -> None:
        [request_id] = bench.accept(bench.patch())
        for attempt in range(40):
            bench.take()
            claim = bench.claim(request_id)
            bench.store.begin(claim, "lm")
            bench.store.finish(claim, Result({"n": attempt}, AttemptError("timeout", "x")))
            bench.tick()
        kept = [a["n"] for a in bench.record(request_id)["attempts"]]
        assert kept == [*range(5), *range(20, 40)]

    def test_retry_after_defers_a_record_over_ticks(self, bench: Bench) -> None:
        [request_id] = bench.accept(bench.patch())
        bench.take()
        bench.fail(request_id, retry_after_s=25)
        for expected in ([], [], [request_id]):
            bench.pass_time(seconds=10)
            bench.tick()
            assert bench.take() == expected

    def test_a_recovery_is_told(self, bench: Bench) -> None:
        [request_id] = bench.accept(bench.patch())
        bench.take()
        bench.fail(request_id)
        bench.tick()
        bench.run()
        assert bench.happenings() == ["sync-failed", "sync-delivered", "sync-recovered"]
        assert bench.record(request_id)["error"] is None

    def test_age_counts_from_the_first_failure(self, bench: Bench) -> None:
        [request_id] = bench.accept(bench.patch())
        bench.pass_time(days=3)
        bench.tick()
        assert bench.state(request_id) == "pending", "what was never tried does not expire"
        bench.take()
        bench.fail(request_id)
        bench.pass_time(hours=23)
        bench.tick()
        bench.take()
        bench.fail(request_id)
        bench.pass_time(hours=1)
        bench.tick()
        assert bench.state(request_id) == "expired"
        assert bench.happenings() == ["sync-failed", "sync-expired"]
        assert bench.client.zcard(bench.keys.failed(AVOS)) == 0

    def test_a_deadline_expires_what_has_failed(self, bench: Bench) -> None:
        [request_id] = bench.accept(bench.patch(deadline=bench.now + timedelta(minutes=1)))
        bench.take()
        bench.fail(request_id)
        bench.pass_time(minutes=2)
        bench.tick()
        assert bench.state(request_id) == "expired"

    def test_an_expired_request_that_is_due_is_not_sent(self, bench: Bench) -> None:
        [request_id] = bench.accept(bench.patch())
        bench.take()
        bench.fail(request_id)
        bench.tick()
        bench.take()
        claim = bench.claim(request_id)
        bench.pass_time(days=2)
        assert bench.store.begin(claim, "lm") is None, "the lease has run out as well"
        bench.store.reclaim(AVOS)
        bench.tick()
        assert bench.state(request_id) in {"pending", "expired"}

    def test_many_are_swept_and_expired_chunk_by_chunk(self, bench: Bench) -> None:
        bench.policy = type(bench.policy)(in_flight=450)
        bench.__post_init__()
        ids = bench.accept(*(bench.patch(f"CM{n}") for n in range(450)))
        for request_id in bench.take():
            bench.fail(request_id)
        assert bench.client.zcard(bench.keys.failed(AVOS)) == 450
        assert bench.store.sweep(AVOS) == 450
        bench.pass_time(days=2)
        assert bench.store.expire() == 450
        assert {bench.state(i) for i in ids} == {"expired"}


class TestOperators:
    def failed(self, bench: Bench, **options: Any) -> str:
        [request_id] = bench.accept(bench.patch(**options))
        bench.take()
        bench.fail(request_id)
        return request_id

    def test_retry_restarts_the_age_and_waives_the_deadline(self, bench: Bench) -> None:
        request_id = self.failed(bench, deadline=bench.now + timedelta(minutes=1))
        bench.pass_time(days=2)
        bench.tick()
        assert bench.state(request_id) == "expired"
        assert bench.store.act(request_id, "retry", "me") == ("ok", "")
        [live] = bench.take()
        bench.fail(live)
        bench.tick()
        assert bench.state(request_id) == "failed", "a new age, no deadline"
        bench.run()
        assert bench.state(request_id) == "delivered"

    def test_a_failed_request_is_retried_without_waiting_for_the_tick(self, bench: Bench) -> None:
        request_id = self.failed(bench)
        bench.store.act(request_id, "retry", "me")
        assert bench.take() == [request_id]

    def test_what_newer_requests_cover_is_not_retried(self, bench: Bench) -> None:
        [first] = bench.accept(bench.patch())
        bench.run(AttemptError("refused", "400", retryable=False))
        [second] = bench.accept(bench.patch())
        assert bench.store.act(first, "retry", "me") == ("superseded", second)

    @pytest.mark.parametrize("verb", ["retry", "discard"])
    def test_what_is_live_or_delivered_is_left_alone(self, bench: Bench, verb: str) -> None:
        [request_id] = bench.accept(bench.patch())
        bench.take()
        assert bench.store.act(request_id, verb, "me") == ("state", "live")
        bench.send(request_id)
        assert bench.store.act(request_id, verb, "me") == ("state", "delivered")
        assert bench.store.act("0" * 32, verb, "me") == ("missing", "")

    def test_discarding_keeps_the_content_media_out_of_step(self, bench: Bench) -> None:
        request_id = self.failed(bench)
        bench.store.act(request_id, "discard", "me")
        assert bench.state(request_id) == "discarded"
        assert bench.store.lane_summaries(AVOS, ["cm1"])[0].failing


class TestRegistrationGeneration:
    def register(self, bench: Bench, generation: int) -> None:
        bench.client.hset(bench.keys.generations, "cm1", str(generation))
        bench.client.hset(bench.keys.active_by_media, "cm1", "pair")

    def test_unregistering_ends_what_is_open(self, bench: Bench) -> None:
        self.register(bench, 1)
        failed, waiting, generic = bench.accept(
            bench.patch(members={"a": 1}, generation=1),
            bench.patch(members={"b": 1}, generation=1),
            bench.patch(members={"c": 1}),
        )
        bench.take()
        bench.fail(failed)
        bench.accept(unregistered=("CM1",), writes=(Write("HDEL", bench.keys.active_by_media, ("cm1",)),))
        assert [bench.state(i) for i in (failed, waiting, generic)] == ["superseded", "superseded", "pending"]
        assert bench.record(waiting)["reason"] == "unregistered"

    @pytest.mark.parametrize("moment", ["claim", "begin"])
    def test_an_ended_or_newer_registration_refuses_an_old_request(self, bench: Bench, moment: str) -> None:
        self.register(bench, 1)
        [request_id] = bench.accept(bench.patch(generation=1))
        bench.take()
        if moment == "claim":
            self.register(bench, 2)
            assert bench.store.claim(request_id) is None
        else:
            claim = bench.claim(request_id)
            bench.client.hdel(bench.keys.active_by_media, "cm1")
            assert bench.store.begin(claim, "lm") is None
        assert bench.record(request_id)["reason"] == "unregistered"

    def test_an_operator_cannot_retry_across_registrations(self, bench: Bench) -> None:
        self.register(bench, 1)
        [request_id] = bench.accept(bench.patch(generation=1))
        bench.run(AttemptError("refused", "400", retryable=False))
        self.register(bench, 2)
        assert bench.store.act(request_id, "retry", "me")[0] == "unregistered"


class TestUpkeep:
    def test_history_is_trimmed_and_leaves_nothing(self, bench: Bench) -> None:
        done, parked = bench.accept(bench.patch("A"), bench.patch("B"))
        bench.take()
        bench.send(done)
        bench.send(parked, AttemptError("refused", "400", retryable=False))
        assert bench.store.trim() == 0
        bench.pass_time(days=31)
        assert bench.store.trim() == 2
        left = {k.decode() for k in bench.client.keys(f"{bench.keys.prefix}*")}
        assert not [k for k in left if ":request" in k or ":lane:" in k or k.endswith("requests")]

    def test_an_audit_of_what_is_right_mends_nothing(self, bench: Bench) -> None:
        ids = bench.accept(
            bench.patch("A"), bench.patch("A", members={"b": 1}), bench.barrier("A"), bench.patch("B")
        )
        live = bench.take()
        bench.fail(live[0])
        bench.store.sweep(AVOS)
        assert bench.store.audit() == []
        assert len(ids) == 4

    @pytest.mark.parametrize("damage", ["pending", "live", "failed", "lane"])
    def test_an_audit_mends_what_stands_in_the_wrong_place(self, bench: Bench, damage: str) -> None:
        [request_id] = bench.accept(bench.patch())
        if damage in {"live", "failed"}:
            bench.take()
        if damage == "failed":
            bench.fail(request_id)
        key = bench.keys.lane(AVOS, "cm1") if damage == "lane" else f"{bench.keys.prefix}{damage}:{AVOS}"
        bench.client.delete(key)
        bench.store.audit()
        bench.pass_time(seconds=60)
        bench.store.reclaim(AVOS)
        bench.tick()
        bench.run()
        assert bench.state(request_id) == "delivered"
        assert bench.store.audit() == []
