"""Which request goes first, and who may send it. On fakeredis and on a real server."""

from __future__ import annotations

from datetime import timedelta

import pytest

from app.outgoing.decision import AttemptResult
from app.outgoing.model import (
    AVOS,
)
from tests.support.outgoing import Bench


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
        bench.limit(in_flight=2)
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
        assert bench.client.lrange(f"{bench.keys.prefix}pending", 0, -1) == [b"promote avos avos-1"]

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
        assert not bench.store.finish(slow, AttemptResult({"outcome": "delivered"}))
        assert bench.store.finish(current, AttemptResult({"outcome": "delivered"}))
        assert not bench.store.finish(current, AttemptResult({"outcome": "delivered"}))

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
        for _ in range(bench.avos.max_reclaims + 1):
            bench.take()
            bench.claim(request_id)
            bench.pass_time(seconds=60)
            bench.store.reclaim(AVOS)
        assert bench.state(request_id) == "failed"
        assert bench.record(request_id)["error"]["code"] == "lease_lost"

    def test_what_newer_requests_cover_does_not_come_back_from_a_lost_worker(self, bench: Bench) -> None:
        [first] = bench.accept(bench.patch(members={"a": 1}))
        bench.take()
        [second] = bench.accept(bench.patch(members={"a": 2}))
        bench.pass_time(seconds=60)
        bench.store.reclaim(AVOS)
        assert (bench.state(first), bench.record(first)["supersededBy"]) == ("superseded", second)
        assert bench.take() == [second]
