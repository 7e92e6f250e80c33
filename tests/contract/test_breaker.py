"""The breaker of a destination: what opens it, what goes out meanwhile, and how the table is released."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest

from app.outgoing.decision import AttemptError
from app.outgoing.model import AVOS
from app.outgoing.presentation import shown_destination
from app.outgoing.service import RequestService
from app.outgoing.timings import read_timing
from tests.support.outgoing import Bench

DOWN = AttemptError("connect_failed", "No connection could be made.", destination_fault=True)
GATEWAY = AttemptError("server_error", "AVOS answered 503.", destination_fault=True, status=503)
CRASH = AttemptError("server_error", "AVOS answered 500.", status=500)
EXPIRED_TOKEN = AttemptError("unauthorized", "AVOS answered 401.", destination_fault=True, status=401)


def seen(bench: Bench) -> dict[str, object]:
    return shown_destination(RequestService(bench.store).destination(AVOS))


def probe(bench: Bench) -> list[str]:
    """What the ticks do once the longest distance of two probes has passed, and what they send."""
    bench.pass_time(seconds=10)
    bench.tick()
    return bench.take()


def broken(bench: Bench, lanes: int = 5, error: AttemptError = DOWN) -> list[str]:
    """So many lanes have failed; their requests."""
    ids = bench.accept(
        *(bench.patch(f"CM{n}", urgent_at=bench.now + timedelta(hours=n + 3)) for n in range(lanes))
    )
    for request_id in bench.take():
        bench.send(request_id, error)
    return ids


class TestOpening:
    def test_faults_of_several_lanes_open_it(self, bench: Bench) -> None:
        broken(bench, lanes=2)
        assert seen(bench)["state"] == "closed"
        broken(bench, lanes=3)
        assert (seen(bench)["state"], seen(bench)["reason"]) == ("open", "connect_failed")

    def test_faults_of_one_lane_do_not(self, bench: Bench) -> None:
        bench.accept(bench.patch())
        for _ in range(9):
            bench.run(DOWN)
            bench.tick()
        assert seen(bench)["state"] == "closed"

    def test_a_good_answer_in_between_starts_the_count_anew(self, bench: Bench) -> None:
        broken(bench, lanes=2)
        bench.accept(bench.patch("good"))
        bench.run()
        bench.accept(bench.patch("more"))
        bench.run(DOWN)
        assert seen(bench)["state"] == "closed"

    def test_a_500_counts_against_the_request(self, bench: Bench) -> None:
        broken(bench, lanes=9, error=CRASH)
        assert seen(bench)["state"] == "closed"

    def test_a_bad_gateway_counts_against_the_destination(self, bench: Bench) -> None:
        broken(bench, lanes=3, error=GATEWAY)
        assert seen(bench)["state"] == "open"

    def test_a_certificate_that_is_not_ours_to_trust_opens_it_at_once(self, bench: Bench) -> None:
        [request_id] = bench.accept(bench.patch())
        bench.run(AttemptError("tls_error", "no", destination_fault=True))
        assert (seen(bench)["state"], seen(bench)["reason"]) == ("open", "tls_error")
        assert bench.state(request_id) == "failed", "nothing is parked for that"

    @pytest.mark.parametrize("code", ["unauthorized", "forbidden", "proxy_auth"])
    def test_a_refusal_opens_it_when_a_second_lane_meets_it_too(self, bench: Bench, code: str) -> None:
        refusal = AttemptError(code, "no", destination_fault=True)
        [first] = broken(bench, lanes=1, error=refusal)
        for _ in range(4):
            bench.tick()
            bench.run(refusal)
        assert seen(bench)["state"] == "closed", "it may be this one document's"
        [second] = bench.accept(bench.patch("another"))
        bench.run(refusal)
        assert (seen(bench)["state"], seen(bench)["reason"]) == ("open", code)
        assert [bench.state(i) for i in (first, second)] == ["failed", "failed"], "nothing is parked for that"

    def test_one_outage_is_told_once(self, bench: Bench) -> None:
        broken(bench, lanes=9, error=EXPIRED_TOKEN)
        assert bench.happenings().count("destination-opened") == 1
        assert seen(bench)["timesOpened"] == 1


class TestOpen:
    def test_each_probe_is_of_another_lane(self, bench: Bench) -> None:
        ids = broken(bench, lanes=5)
        tried = []
        for _ in range(5):
            [request_id] = probe(bench)
            assert bench.take() == [], "one a probe"
            tried.append(request_id)
            bench.send(request_id, DOWN)
        assert sorted(tried) == sorted(ids)

    def test_what_is_accepted_meanwhile_waits_for_the_probe(self, bench: Bench) -> None:
        broken(bench)
        [request_id] = bench.accept(bench.patch("new"))
        assert bench.take() == []
        assert bench.state(request_id) == "pending"
        assert bench.client.llen(f"{bench.keys.prefix}pending") <= 1, "nobody is woken for it"

    def test_a_lost_probe_does_not_stop_the_probing(self, bench: Bench) -> None:
        ids = broken(bench)
        lost = probe(bench)
        [other] = probe(bench)
        assert {*lost, other} <= set(ids)
        bench.pass_time(seconds=20)
        bench.store.reclaim(AVOS)
        assert {*lost, other} & set(probe(bench)), "they wait again, and one is probed beside a failed one"

    def test_nothing_is_swept_behind_it(self, bench: Bench) -> None:
        broken(bench)
        bench.pass_time(seconds=10)
        assert bench.store.sweep(AVOS) == 0

    def test_what_waits_behind_it_expires_by_its_deadline(self, bench: Bench) -> None:
        broken(bench)
        soon, later, ended = bench.accept(
            bench.patch("soon", deadline=bench.now + timedelta(minutes=1)),
            bench.patch("later", deadline=bench.now + timedelta(hours=9)),
            bench.patch("ended", event_end=bench.now - timedelta(days=2)),
        )
        bench.pass_time(minutes=2)
        bench.tick()
        assert [bench.state(i) for i in (soon, later, ended)] == ["expired", "pending", "expired"]

    def test_what_waits_behind_it_expires_by_its_age(self, bench: Bench) -> None:
        broken(bench)
        [request_id] = bench.accept(bench.patch("waiting"))
        bench.pass_time(hours=23)
        bench.tick()
        assert bench.state(request_id) == "pending"
        bench.pass_time(hours=2)
        bench.tick()
        assert bench.state(request_id) == "expired"

    def test_without_an_open_breaker_what_was_never_tried_does_not_expire(self, bench: Bench) -> None:
        [request_id] = bench.accept(bench.patch(deadline=bench.now + timedelta(minutes=1)))
        bench.pass_time(days=5)
        bench.tick()
        assert bench.state(request_id) == "pending"


class TestClosing:
    @pytest.mark.parametrize(
        "answer", [None, CRASH, AttemptError("refused", "400", retryable=False, status=400)]
    )
    def test_any_answer_of_its_own_closes_it(self, bench: Bench, answer: AttemptError | None) -> None:
        broken(bench)
        [request_id] = probe(bench)
        bench.send(request_id, answer)
        assert seen(bench)["state"] == "recovering"
        assert bench.happenings().count("destination-closed") == 1

    def test_recovery_is_over_when_all_that_had_failed_was_tried_again(self, bench: Bench) -> None:
        """Whatever has become of it, and whatever fails since."""
        bench.limit(in_flight=100, release_rate=1)
        later = AttemptError("server_error", "500", status=500, retry_after_s=60)
        ids = broken(bench, lanes=5)
        [first] = probe(bench)
        bench.send(first)
        *left, last = [request_id for request_id in ids if request_id != first]
        bench.store.hold(
            AVOS, bench.record(last)["lane"], "me"
        )  # its turn comes, and it has to wait for somebody
        for request_id in left:
            bench.tick()
            assert seen(bench)["state"] == "recovering"
            assert bench.take() == [request_id]
            bench.send(request_id, later)
            bench.pass_time(seconds=1)
        bench.tick()
        assert seen(bench)["state"] == "recovering"
        assert bench.take() == []
        bench.tick()
        assert seen(bench)["state"] == "closed"
        assert [bench.state(request_id) for request_id in (*left, last)] == ["failed"] * 4
        assert bench.client.hmget(bench.keys.destination(AVOS), "recoveringFrom", "recoveredTo") == [
            None,
            None,
        ]

    def test_the_table_is_released_at_a_bounded_rate_nearest_kick_off_first(self, bench: Bench) -> None:
        bench.limit(in_flight=100, release_rate=10)
        ids = broken(bench, lanes=60)
        [first] = probe(bench)
        bench.send(first)
        left = [i for i in ids if i != first]
        bench.tick()
        released = bench.take()
        assert released == left[:10]
        assert bench.take() == [], "no more within the second"
        bench.pass_time(seconds=2)
        released += bench.take()
        assert released == left[:30]
        bench.pass_time(seconds=9)
        for request_id in released + bench.take():
            bench.send(request_id)
        bench.tick()
        assert {bench.state(i) for i in ids} == {"delivered"}
        assert seen(bench)["state"] == "closed"

    def test_first_tries_are_not_held_back_by_the_release(self, bench: Bench) -> None:
        bench.limit(release_rate=1)
        broken(bench, lanes=9)
        [first] = probe(bench)
        bench.send(first)
        bench.tick()
        new = bench.accept(*(bench.patch(f"new{n}") for n in range(5)))
        assert set(new) <= set(bench.take())


class TestDelivered:
    def test_a_claim_tells_what_was_delivered_last(self, bench: Bench) -> None:
        bench.accept(bench.patch(members={"a": [], "b": 1}))
        bench.run()
        bench.accept(bench.patch(members={"a": 2, "b": 2, "c": 2}))
        [request_id] = bench.take()
        claim = bench.claim(request_id)
        assert dict(claim.delivered) == {"a": b"[]", "b": b"1"}

    def test_once_a_write_was_begun_what_stands_there_is_unknown_until_it_is_delivered(
        self, bench: Bench
    ) -> None:
        bench.accept(bench.patch(members={"a": 1, "b": 1}))
        bench.run()
        bench.accept(bench.patch(members={"a": 2}))
        bench.run(DOWN)
        [request_id] = bench.accept(bench.patch(members={"a": 3, "b": 3}))
        bench.take()
        assert dict(bench.claim(request_id).delivered) == {"b": b"1"}

    @pytest.mark.parametrize("park", [True, False])
    def test_a_foreign_edit_is_told_and_parked_only_if_so_set(self, bench: Bench, *, park: bool) -> None:
        bench.accept(bench.patch())
        bench.run()
        [request_id] = bench.accept(bench.patch(members={"a": 2}))
        bench.take()
        claim = bench.claim(request_id)
        found = {"contentMediaId": "CM1", "members": [{"name": "a", "ours": 1, "shown": []}]}
        assert bench.store.drifted(claim, ["a"], found, park=park) is not park
        assert "sync-drifted" in bench.happenings()
        rows = bench.client.xrange(bench.keys.timeline("CM1"))
        assert [json.loads(f[b"detail"]) for _, f in rows if f[b"what"] == b"foreign-edit"] == [found]
        if park:
            assert bench.record(request_id)["error"]["code"] == "foreign_edit"
            bench.store.act(request_id, "retry", "me")
        else:
            assert bench.store.begin(claim, "lm") is not None


class TestSuspects:
    def test_after_an_unknown_outcome_the_lane_is_read_back_one_lease_after_its_next_delivery(
        self, bench: Bench
    ) -> None:
        bench.accept(bench.patch())
        bench.run(AttemptError("timeout", "x", unknown={"members": ["a"], "lastModified": "lm"}))
        bench.tick()
        assert bench.store.suspects(AVOS) == []
        bench.run()
        assert bench.store.suspects(AVOS) == []
        bench.pass_time(seconds=16)
        [suspect] = bench.store.suspects(AVOS)
        assert suspect.name == "cm1"
        assert bench.store.suspects(AVOS) == [], "not again within a lease"
        assert bench.store.cleared(AVOS, suspect)
        bench.pass_time(seconds=60)
        assert bench.store.suspects(AVOS) == []

    def test_a_lease_that_ran_out_while_sending_makes_its_lane_suspect(self, bench: Bench) -> None:
        [request_id] = bench.accept(bench.patch())
        bench.take()
        bench.store.begin(bench.claim(request_id), "lm")
        bench.pass_time(seconds=20)
        bench.store.reclaim(AVOS)
        bench.run()
        bench.pass_time(seconds=16)
        assert [one.name for one in bench.store.suspects(AVOS)] == ["cm1"]


class TestTiming:
    def test_lateness_is_measured_against_kick_off_for_what_was_accepted_before_it(
        self, bench: Bench
    ) -> None:
        soon = bench.now + timedelta(seconds=30)
        in_time, late, after = (bench.patch(name, urgent_at=soon) for name in ("A", "B", "C"))
        bench.accept(in_time)
        bench.run()
        bench.accept(late)
        assert read_timing(bench.store).late == 0
        bench.pass_time(seconds=75)
        assert read_timing(bench.store).late == 1
        bench.run()
        bench.accept(after)
        bench.run()
        assert [bench.record(r.id)["latenessS"] for r in (in_time, late, after)] == [0, 45, None]
        timing = read_timing(bench.store)
        assert timing.late == 0
        assert dict(timing.lateness.buckets)["30.0"] == 1
        assert dict(timing.lateness.buckets)["+Inf"] == 2
        assert timing.lateness.sum_s == 45
        assert dict(timing.delivery.buckets)["+Inf"] == 3
