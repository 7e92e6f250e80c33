"""Several destinations in one store: each has its own limits, breaker and tables; a family has them for each host. On
fakeredis and on a real server."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from app.outgoing.decision import AttemptError
from app.outgoing.destinations import Breaker, Destination, Retry
from app.outgoing.model import AVOS, NewRequest
from app.outgoing.operations import Operations
from app.outgoing.service import RequestService
from app.outgoing.statistics import read_statistics
from app.outgoing.ticks import Ticks
from app.outgoing.timings import read_timing
from app.platform.errors import NotFound
from tests.support.outgoing import Bench

DOWN = AttemptError("connect_failed", "No connection could be made.", destination_fault=True)
REFUSED = AttemptError("unauthorized", "401", destination_fault=True, status=401)
BUSY = AttemptError("throttled", "429", destination_fault=True, status=429, retry_after_s=1000)

LIVE = Destination(
    "live-api",
    in_flight=2,
    lease=timedelta(seconds=5),
    max_age=timedelta(minutes=10),
    first_probe=timedelta(seconds=3),
    breaker=Breaker(threshold=1, refused_lanes=4),
    retry=Retry(longest_rest=timedelta(seconds=20), near_rest=timedelta(seconds=2)),
)
QUIET = Destination("quiet", breaker=None)
NOTICES = Destination("notices", in_flight=3, breaker=Breaker(threshold=1), instances=2)


@pytest.fixture
def several(bench: Bench) -> Bench:
    return replace(bench, others=(LIVE, QUIET, NOTICES))


def to(destination: str, lane: str, **more: Any) -> NewRequest:
    return NewRequest(destination, lane, "notice", "PUT", f"/{lane}", body=b"{}", **more)


def take(bench: Bench, destination: str) -> list[str]:
    bench.store.promote(destination)
    queue = bench.keys.prefix + "live"
    messages = bench.client.lrange(queue, 0, -1)
    bench.client.delete(queue)
    return [message.decode().split()[1] for message in reversed(messages)]


def state(bench: Bench, destination: str) -> str:
    return RequestService(bench.store).destination(destination).state.value


def ticks(bench: Bench) -> Ticks:
    return Ticks(bench.store, Operations(bench.store, RequestService(bench.store)))


class TestLimits:
    def test_each_has_its_own_room_in_flight(self, several: Bench) -> None:
        several.accept(
            *(to("live-api", f"L{n}") for n in range(5)), *(several.patch(f"C{n}") for n in range(5))
        )
        assert len(take(several, "live-api")) == 2
        assert len(take(several, AVOS)) == 5

    def test_messages_of_one_leave_room_for_those_of_another(self, several: Bench) -> None:
        several.accept(to("live-api", "L"), *(several.patch(f"C{n}") for n in range(9)))
        assert several.store.promote(AVOS) == 9, "more than may fly to the other"
        assert several.store.promote("live-api") == 1

    def test_each_has_its_own_lease(self, several: Bench) -> None:
        [ours, theirs] = several.accept(to("live-api", "L"), several.patch("C"))
        assert [*take(several, "live-api"), *take(several, AVOS)] == [ours, theirs]
        claims = [several.claim(one) for one in (ours, theirs)]
        assert [claim.lease_until_ms - claim.at_ms for claim in claims] == [5_000, 15_000]
        several.pass_time(seconds=5)
        assert several.store.begin(claims[0], "") is None
        assert several.store.begin(claims[1], "lm") is not None

    def test_each_has_its_own_age(self, several: Bench) -> None:
        ids = several.accept(to("live-api", "L"), several.patch("C"))
        for destination in ("live-api", AVOS):
            [one] = take(several, destination)
            several.send(one, AttemptError("server_error", "500", status=500))
        several.pass_time(minutes=11)
        ticks(several).retry_failed()
        assert [several.state(one) for one in ids] == ["expired", "live"]

    def test_each_has_its_own_longest_rest(self, several: Bench) -> None:
        several.accept(to("live-api", "L"), several.patch("C"))
        for destination in ("live-api", AVOS):
            [one] = take(several, destination)
            several.send(one, replace(BUSY, destination_fault=False))
        several.accept(to("live-api", "M"), several.patch("D"))
        several.pass_time(seconds=21)
        assert (len(take(several, "live-api")), len(take(several, AVOS))) == (1, 0)

    def test_what_is_near_goes_out_after_its_own_near_rest(self, several: Bench) -> None:
        several.accept(to("live-api", "L"), several.patch("C"))
        for destination in ("live-api", AVOS):
            [one] = take(several, destination)
            several.send(one, replace(BUSY, destination_fault=False))
        soon = several.now + timedelta(minutes=5)
        several.accept(to("live-api", "M", urgent_at=soon), several.patch("D", urgent_at=soon))
        several.pass_time(seconds=3)
        assert (len(take(several, "live-api")), len(take(several, AVOS))) == (1, 0)


class TestBreakers:
    def test_one_opens_alone_and_probes_at_its_own_distance(self, several: Bench) -> None:
        several.accept(to("live-api", "L"), several.patch("C"))
        for destination in ("live-api", AVOS):
            [one] = take(several, destination)
            several.send(one, DOWN)
        assert (state(several, "live-api"), state(several, AVOS)) == ("open", "closed")
        several.accept(to("live-api", "M"))
        several.pass_time(seconds=2)
        assert take(several, "live-api") == []
        several.pass_time(seconds=1)
        assert len(take(several, "live-api")) == 2, "one that waits and one that failed"

    def test_each_counts_refusals_for_itself(self, several: Bench) -> None:
        several.limit(breaker=Breaker(threshold=9))
        for n in range(4):
            several.accept(to("quiet", f"Q{n}"), several.patch(f"C{n}"))
        for destination in ("quiet", AVOS):
            for one in take(several, destination)[:2]:
                several.send(one, REFUSED)
        assert (state(several, "quiet"), state(several, AVOS)) == ("closed", "open")

    def test_so_many_refused_lanes_open_it_as_its_breaker_says(self, several: Bench) -> None:
        several.limit(breaker=Breaker(threshold=9, refused_lanes=3))
        several.accept(*(several.patch(f"C{n}") for n in range(3)))
        seen = []
        for one in take(several, AVOS):
            several.send(one, REFUSED)
            seen.append(state(several, AVOS))
        assert seen == ["closed", "closed", "open"]

    @pytest.mark.parametrize("error", [DOWN, REFUSED, AttemptError("tls_error", "x", destination_fault=True)])
    def test_one_without_a_breaker_never_opens(self, several: Bench, error: AttemptError) -> None:
        several.accept(*(to("quiet", f"Q{n}") for n in range(8)))
        for one in take(several, "quiet"):
            several.send(one, error)
        assert state(several, "quiet") == "closed"
        assert several.client.exists(f"{several.keys.prefix}faults:quiet") == 0

    def test_one_without_a_breaker_rests_when_it_is_asked_to(self, several: Bench) -> None:
        several.accept(to("quiet", "Q"))
        [one] = take(several, "quiet")
        several.send(one, BUSY)
        assert state(several, "quiet") == "resting"

    def test_behind_one_only_its_own_requests_grow_old(self, several: Bench) -> None:
        """However many of another destination wait, and whatever their deadlines."""
        later = several.now + timedelta(hours=1)
        paused = several.accept(*(several.patch(f"C{n}", deadline=later) for n in range(30)))
        RequestService(several.store).pause(AVOS, "me")
        ours = several.accept(
            *(to("live-api", f"L{n}") for n in range(5)), to("live-api", "D", deadline=later)
        )
        for one in take(several, "live-api"):
            several.send(one, DOWN)
        several.pass_time(hours=2)
        for _ in range(3):
            ticks(several).retry_failed()
            several.pass_time(seconds=10)
        assert {several.state(one) for one in paused} == {"pending"}
        assert {several.state(one) for one in ours} == {"expired"}

    def test_a_deadline_that_passed_behind_another_ones_breaker_counts_behind_its_own(
        self, several: Bench
    ) -> None:
        RequestService(several.store).pause(AVOS, "me")
        [late] = several.accept(several.patch("A", deadline=several.now + timedelta(minutes=1)))
        several.accept(to("live-api", "L"))
        [one] = take(several, "live-api")
        several.send(one, DOWN)
        several.pass_time(minutes=2)
        ticks(several).retry_failed()
        assert several.state(late) == "pending", "only the other's breaker is open"
        several.client.hset(
            several.keys.destination(AVOS), mapping={"breaker": "open", "openedAt": several.store.time_ms()}
        )
        several.pass_time(seconds=10)
        ticks(several).retry_failed()
        assert several.state(late) == "expired"


class TestFamilies:
    def test_each_host_has_its_own_breaker(self, several: Bench) -> None:
        names = [NOTICES.of_host(host) for host in ("one.example", "two.example")]
        several.accept(*(to(name, "same lane") for name in names))
        assert sorted(several.store.destination_names()) == sorted([AVOS, "live-api", "quiet", *names])
        [one] = take(several, names[0])
        several.send(one, DOWN)
        assert [state(several, name) for name in names] == ["open", "closed"]
        assert len(take(several, names[1])) == 1

    def test_the_ticks_go_over_all_of_them(self, several: Bench) -> None:
        names = [NOTICES.of_host(host) for host in ("one.example", "two.example")]
        ids = several.accept(*(to(name, "a") for name in names))
        assert ticks(several).promote() == 2
        for one in ids:
            several.claim(one)
        several.pass_time(seconds=16)
        assert ticks(several).reclaim() == 2
        assert ticks(several).retry_failed().promoted == 2
        assert {several.state(one) for one in ids} == {"live"}
        assert ticks(several).audit() == []

    def test_hosts_beyond_the_bound_share_an_instance(self, several: Bench) -> None:
        several.accept(*(to(NOTICES.of_host(f"h{n}.example"), "a") for n in range(5)))
        instances = several.client.zrange(several.keys.instances("notices"), 0, -1)
        assert instances == [b"notices:h0.example", b"notices:h1.example", b"notices:others"]
        assert len(take(several, "notices:others")) == 1, "one lane"
        several.accept(to(NOTICES.of_host("h1.example"), "b"))
        assert several.client.zcard(several.keys.pending("notices:h1.example")) == 2

    def test_one_that_was_not_used_for_a_day_makes_room(self, several: Bench) -> None:
        busy, idle = (NOTICES.of_host(f"{name}.example") for name in ("busy", "idle"))
        several.accept(to(busy, "a"), to(idle, "a"))
        [one] = take(several, idle)
        several.send(one)
        several.pass_time(days=1)
        ticks(several).audit()
        assert several.client.zrange(several.keys.instances("notices"), 0, -1) == [busy.encode()]
        several.accept(to(NOTICES.of_host("new.example"), "a"))
        assert "notices:new.example" in several.store.destination_names()

    def test_a_retry_brings_its_instance_back(self, several: Bench) -> None:
        name = NOTICES.of_host("one.example")
        [one] = several.accept(to(name, "a"))
        take(several, name)
        several.send(one, AttemptError("refused", "400", retryable=False))
        several.pass_time(days=1)
        ticks(several).audit()
        assert name not in several.store.destination_names()
        assert several.store.act(one, "retry", "me") == ("ok", "")
        assert ticks(several).promote() == 1

    def test_a_paused_one_stays_known(self, several: Bench) -> None:
        name = NOTICES.of_host("one.example")
        several.accept(to(name, "a"))
        [one] = take(several, name)
        several.send(one)
        RequestService(several.store).pause(name, "me")
        several.pass_time(days=2)
        ticks(several).audit()
        assert state(several, name) == "paused"

    def test_it_is_shown_by_instance(self, several: Bench) -> None:
        name = NOTICES.of_host("one.example")
        several.accept(to(name, "a"))
        assert RequestService(several.store).destination(name).max_in_flight == 3
        assert name in read_statistics(several.store).destinations
        assert name in [one.name for one in read_timing(several.store).destinations]
        for unknown in ("notices", "notices:other.example", "nowhere"):
            with pytest.raises(NotFound):
                RequestService(several.store).destination(unknown)


def test_a_request_to_one_that_this_process_is_not_given_ends_all_the_same(
    several: Bench, bench: Bench
) -> None:
    [one] = several.accept(to("live-api", "L"))
    take(several, "live-api")
    without = replace(bench, now=several.now)
    without.send(one, DOWN)
    assert without.state(one) == "failed"
    assert without.store.audit() == []
    without.pass_time(days=2)
    without.store.expire(AVOS)
    assert without.state(one) == "expired"
