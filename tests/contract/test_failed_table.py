"""The failed table: ticks, Retry-After, age, deadlines; operators' verbs; upkeep. On fakeredis and on a real server."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from app.outgoing.decision import AttemptError, AttemptResult
from app.outgoing.model import AVOS
from tests.support.outgoing import Bench


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
        assert bench.store.audit() == []

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
            bench.store.finish(claim, AttemptResult({"n": attempt}, AttemptError("timeout", "x")))
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
        bench.limit(in_flight=450)
        ids = bench.accept(*(bench.patch(f"CM{n}") for n in range(450)))
        for request_id in bench.take():
            bench.fail(request_id)
        assert bench.client.zcard(bench.keys.failed(AVOS)) == 450
        assert bench.store.sweep(AVOS) == 450
        bench.pass_time(days=2)
        assert bench.store.expire(AVOS) == 450
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
