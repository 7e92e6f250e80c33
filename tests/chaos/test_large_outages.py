"""Outages with much behind them: an expired token before ten thousand requests, a hundred thousand failed ones behind an
open breaker for ten minutes of simulated time."""

from __future__ import annotations

import json
import random
import statistics
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

import pytest
from redis import Redis

from app.outgoing.decision import AttemptError
from app.outgoing.destinations import Destination, Destinations
from app.outgoing.model import AVOS, Acceptance, NewRequest
from app.outgoing.scripts import OutgoingScripts
from app.outgoing.store import OutgoingStore
from app.platform.redis import connect
from app.platform.scripts import Script
from tests.support.deployment import QUICK, TENANT, Deployment
from tests.support.keys import AllKeys
from tests.support.outgoing import Bench
from tests.support.processes import ROOT
from tests.support.server import RealServer
from tests.support.wait import until

pytestmark = [pytest.mark.slow, pytest.mark.processes]
QUEUED: Final = 10_000
FAILED: Final = 100_000
TICKS: Final = 60  # of ten seconds
DOWN: Final = AttemptError("connect_failed", "No connection could be made.", destination_fault=True)


# An expired token -----------------------------------------------------------------------------------------------------


def queue_up(deployment: Deployment, count: int) -> None:
    """As the API would queue them, five hundred to a call."""
    client = connect(deployment.server.url, timeout_s=20)
    store = OutgoingStore(client, AllKeys(TENANT), OutgoingScripts(Destinations(Destination(AVOS))))
    try:
        for first in range(0, count, 500):
            requests = tuple(one_of_many(number) for number in range(first, min(first + 500, count)))
            store.accept(Acceptance(requests=requests))
    finally:
        client.close()


def one_of_many(number: int) -> NewRequest:
    media = f"many-{number}"
    return NewRequest(
        destination=AVOS,
        lane=media,
        kind="generic",
        method="PATCH",
        path=f"/external/contentMedia/live/{media}",
        members={"n": number},
        content_media_id=media,
    )


def counted(deployment: Deployment) -> dict[str, int]:
    """How many requests stand in each state, as /metrics tells."""
    found = {}
    for line in deployment.api.call("GET", "/metrics").expect(200).splitlines():
        if line.startswith("mediaops_requests{"):
            found[line.split('state="')[1].split('"')[0]] = int(float(line.rsplit(" ", 1)[1]))
    return found


@pytest.mark.xdist_group("expired-token")
@pytest.mark.timeout(600)
def test_an_expired_token_at_ten_thousand_queued_requests_is_one_alarm_and_loses_nothing(
    tmp_path: Path,
) -> None:
    with Deployment(tmp_path, **QUICK) as deployment:
        deployment.avos.fault("status", status=401)
        queue_up(deployment, QUEUED)
        until(lambda: breaker(deployment)["state"] == "open", what="the breaker to open")
        assert breaker(deployment)["reason"] == "unauthorized"
        # What was in flight when the first 401 came ends; from then on AVOS sees probes only.
        until(lambda: counted(deployment)["live"] == 0, timeout_s=200, what="what was in flight to end")
        asked = len(deployment.avos.journal())
        assert asked <= 2 * Destination(AVOS).in_flight
        probed = asked + 4
        until(lambda: len(deployment.avos.journal()) >= probed, timeout_s=200, what="four probes")
        states = counted(deployment)
        assert states["failed"] + states["pending"] + states["live"] == QUEUED, states
        assert states["rejected"] == states["expired"] == states["delivered"] == 0, states
        names = [one["eventName"] for one in deployment.happenings()]
        assert names.count("destination-opened") == 1

        deployment.avos.well()  # the token is renewed
        until(
            lambda: counted(deployment)["delivered"] == QUEUED,
            timeout_s=400,
            what="all of them to be delivered",
        )
        names = [one["eventName"] for one in deployment.happenings()]
        assert (names.count("destination-opened"), names.count("destination-closed")) == (1, 1)
        assert "sync-rejected" not in names
        written = [entry["body"]["n"] for entry in deployment.avos.journal() if entry["applied"]]
        assert sorted(written) == list(range(QUEUED)), "each once"


def breaker(deployment: Deployment) -> dict[str, Any]:
    found = deployment.api.destination("avos")
    assert isinstance(found, dict)
    return found


# A hundred thousand failed --------------------------------------------------------------------------------------------


@pytest.fixture
def server_of_its_own(tmp_path: Path) -> Iterator[tuple[RealServer, Redis]]:
    server = RealServer(tmp_path).start()
    client = connect(server.url, timeout_s=60)
    yield server, client
    client.close()
    server.stop()


def fill(bench: Bench, size: int, kick_offs: dict[str, int]) -> None:
    """Copies of one request that really failed, each with a kick-off of its own, all due at the next tick."""
    bench.accept(bench.patch("full-0"))
    bench.run(AttemptError("server_error", "AVOS answered 500.", status=500))
    [kept] = bench.client.zrange(f"{bench.keys.prefix}requests", 0, -1)
    record = bench.client.hgetall(bench.keys.request(kept.decode()))
    own = {"seq", "lane", "path", "versionPath", "media", "contentMediaId"}
    fixed = [text.decode() for pair in record.items() if pair[0].decode() not in own for text in pair]
    script = Script((ROOT / "benchmarks" / "failed_table.lua").read_text())
    now = int(bench.now.timestamp() * 1000)
    for first in range(1000, 1000 + size, 500):
        control = {
            "fixed": fixed, "attempt": "{}", "digest": {"v:a": "-"}, "first": first,
            "count": min(500, 1000 + size - first), "next_try_at": now, "expires_at": now + 86_400_000,
        }  # fmt: skip
        script.run(bench.client, [bench.keys.prefix], [json.dumps(control)])
    bench.client.set(f"{bench.keys.prefix}sequence", size + 10_000)
    chance = random.Random(5)
    pipe = bench.client.pipeline(transaction=False)
    for number in range(1000, 1000 + size):
        name = f"{number:032x}"
        kick_offs[name] = now + chance.randrange(10**9)
        pipe.hset(bench.keys.request(name), "urgency", kick_offs[name])
    pipe.execute()


def calls(client: Redis) -> int:
    """How many commands the server has run, those inside scripts among them."""
    stats: Any = client.info("commandstats")
    return sum(
        int(one["calls"])
        for name, one in stats.items()
        if name not in ("cmdstat_info", "cmdstat_config|resetstat")
    )


def microseconds(client: Redis) -> int:
    stats: Any = client.info("commandstats")
    return sum(
        int(one["usec"])
        for name, one in stats.items()
        if name.startswith(("cmdstat_eval", "cmdstat_evalsha"))
    )


def ten_minutes(bench: Bench) -> tuple[list[int], list[int], list[str]]:
    """A probe every ten seconds, failing: commands and server time of each tick, and the probes."""
    commands, spent, probes = [], [], []
    for _ in range(TICKS):
        bench.pass_time(seconds=10)
        before, since = calls(bench.client), microseconds(bench.client)
        bench.tick()
        promoted = bench.store.promote(AVOS)
        commands.append(calls(bench.client) - before)
        spent.append(microseconds(bench.client) - since)
        sent = bench.take()
        assert len(sent) == promoted == 1, "one probe a tick"
        assert bench.store.promote(AVOS) == 0, "the other ticks send none"
        bench.send(sent[0], DOWN)
        probes += sent
    return commands, spent, probes


@pytest.mark.xdist_group("expired-token")
@pytest.mark.timeout(300)
def test_a_hundred_thousand_failed_requests_behind_an_open_breaker_cost_a_tick_no_more_than_a_hundred(
    server_of_its_own: tuple[RealServer, Redis],
) -> None:
    _, client = server_of_its_own
    cost = {}
    for size in (100, FAILED):
        bench = Bench(client, AllKeys(f"failed{size}"))
        kick_offs: dict[str, int] = {}
        fill(bench, size, kick_offs)
        open_breaker(bench)
        commands, spent, probes = ten_minutes(bench)
        assert len(set(probes)) == TICKS, "another lane each time"
        cost[size] = (statistics.median(commands), statistics.median(spent))
        assert max(commands[10:]) <= max(commands[:10]) + 5, "the tick grows dearer while the breaker is open"
    assert cost[FAILED][0] <= cost[100][0] + 5, cost
    assert cost[FAILED][1] <= 20 * cost[100][1], f"commands and µs a tick: {cost}"

    # The last table is still there: AVOS answers again.
    bench.pass_time(seconds=10)
    bench.tick()
    [request_id] = probe(bench)
    bench.send(request_id)
    bench.pass_time(seconds=10)
    bench.tick()
    released = bench.take()
    nearest = sorted((at, name) for name, at in kick_offs.items() if name != request_id)
    assert released == [name for _, name in nearest[: len(released)]]
    assert len(released) == bench.avos.in_flight


def open_breaker(bench: Bench) -> None:
    [request_id] = bench.accept(bench.patch("token", urgent_at=bench.now + timedelta(hours=1)))
    [taken] = bench.take()
    assert taken == request_id
    bench.send(request_id, AttemptError("tls_error", "no", destination_fault=True))
    bench.store.act(request_id, "discard", "me")


def probe(bench: Bench) -> list[str]:
    bench.store.promote(AVOS)
    return bench.take()
