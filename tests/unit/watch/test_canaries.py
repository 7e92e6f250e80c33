"""Rounds of canaries, and what the watch makes of what it reads."""

from __future__ import annotations

import json
from typing import Any

import fakeredis
import pytest
from celery.utils.nodenames import worker_direct
from redis import Redis
from redis.exceptions import OutOfMemoryError

from app import packages
from app.platform.dispatch import CANARY, Envelope, direct_queue
from app.platform.errors import Unavailable
from app.watch.canaries import FORGET_S, Canaries
from app.watch.evaluation import BEAT_S, QUEUE_ROUNDS, findings, judge, worker_rounds
from app.watch.model import ROUND_S, Pulse, Ran, Sent, WatchReading, Worker
from tests.support.keys import AllKeys

WORKER = "live1@host"
QUEUES = [queue.name for queue in packages.QUEUES]
ROUNDS = 4


class Deployment:
    """The watch, and workers that run what is in their queues when they are told to."""

    def __init__(self, client: Redis) -> None:
        self.client: Any = client
        self.canaries = Canaries(client, AllKeys("t"), Envelope("t"), packages.QUEUES)

    def round(self) -> None:
        self.client.delete("t:tick:watch")  # the next interval
        self.canaries.round()

    def messages(self, queue: str) -> list[Any]:
        return [json.loads(raw) for raw in self.client.lrange(f"t:{queue}", 0, -1)]

    def run(self, queue: str, by: str = WORKER) -> None:
        for message in self.messages(queue):
            assert message["headers"]["task"] == CANARY
            (target, sent_ms), _, _ = json.loads(message["body"])
            self.canaries.ran(target, sent_ms, by)
        self.client.delete(f"t:{queue}")


@pytest.fixture
def deployment() -> Deployment:
    return Deployment(fakeredis.FakeRedis())


def test_each_queue_and_each_process_gets_one_canary_at_a_time(deployment: Deployment) -> None:
    deployment.canaries.enrol(WORKER, 7, ("live",))
    for _ in range(5):
        deployment.round()
    assert {queue: len(deployment.messages(queue)) for queue in (*QUEUES, f"{WORKER}.dq2")} == {
        **dict.fromkeys(QUEUES, 1), f"{WORKER}.dq2": 1,
    }  # fmt: skip
    assert deployment.canaries.read().sent["live"].missed == 4


def test_two_beats_make_one_round_an_interval(deployment: Deployment) -> None:
    deployment.round()
    deployment.canaries.round()
    assert deployment.canaries.read().sent["live"].missed == 0


def test_no_canary_makes_a_full_live_queue_longer(deployment: Deployment) -> None:
    full = [b"x"] * 200
    deployment.client.rpush("t:live", *full)
    for _ in range(QUEUE_ROUNDS + 1):
        deployment.round()
    assert deployment.client.lrange("t:live", 0, -1) == full
    found = deployment.canaries.report().queues["live"]
    assert found.stalled
    deployment.client.delete("t:live")  # somebody comes
    deployment.round()
    assert len(deployment.messages("live")) == 1


def test_a_canary_that_was_run_is_followed_by_a_new_one(deployment: Deployment) -> None:
    deployment.round()
    deployment.run("live")
    first = deployment.canaries.read()
    assert first.outstanding("live") is None
    assert first.outstanding("pending") is not None
    deployment.round()
    assert deployment.canaries.read().sent["live"] == Sent(deployment.canaries.read().sent["live"].at_ms, 0)
    assert len(deployment.messages("live")) == 1


def test_a_canary_that_died_with_its_worker_is_replaced(deployment: Deployment) -> None:
    deployment.round()
    deployment.client.delete("t:live")  # popped, and never run
    deployment.round()
    assert deployment.messages("live") == []  # it may still come
    deployment.round()
    assert len(deployment.messages("live")) == 1
    deployment.run("live")
    assert deployment.canaries.read().outstanding("live") is None


def test_a_process_that_comes_again_starts_without_the_past_and_one_that_ends_is_not_missed(
    deployment: Deployment,
) -> None:
    deployment.canaries.enrol(WORKER, 7, ("live",))
    for _ in range(ROUNDS + 3):
        deployment.round()
    deployment.canaries.enrol(WORKER, 8, ("live",))
    found = deployment.canaries.read()
    assert found.workers[WORKER].pid == 8
    assert WORKER not in found.sent
    assert deployment.messages(direct_queue(WORKER)) == []
    deployment.canaries.pulse("beat@host", 9)
    deployment.canaries.withdraw(WORKER)
    deployment.canaries.withdraw("beat@host")
    found = deployment.canaries.read()
    assert (found.workers, found.beats) == ({}, {})


def test_what_does_not_come_back_is_forgotten(deployment: Deployment) -> None:
    deployment.canaries.enrol(WORKER, 7, ("live",))
    deployment.client.hset("t:watch:beats", "beat@gone", Pulse(1, 3).encode())
    deployment.round()
    assert deployment.canaries.read().beats == {}
    sent = deployment.canaries.read().sent[WORKER]
    deployment.client.hset("t:watch:sent", WORKER, Sent(sent.at_ms, int(FORGET_S / ROUND_S)).encode())
    deployment.round()
    assert deployment.canaries.read().workers == {}
    assert deployment.messages(direct_queue(WORKER)) == []
    deployment.round()
    assert WORKER not in deployment.canaries.read().sent


def test_what_another_release_has_written_is_left_out(deployment: Deployment) -> None:
    deployment.client.hset("t:watch:workers", mapping={"a@h": "no json", "b@h": "{}"})
    deployment.client.hset("t:watch:beats", "beat@h", "one two three")
    found = deployment.canaries.read()
    assert (found.workers, found.beats) == ({}, {})


def test_a_store_that_takes_no_writes_says_so(
    deployment: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any, **__: Any) -> Any:
        raise OutOfMemoryError("OOM command not allowed when used memory > 'maxmemory'.")

    monkeypatch.setattr(deployment.client, "set", full)
    with pytest.raises(Unavailable):
        deployment.canaries.check_writes()
    with pytest.raises(Unavailable):
        deployment.round()
    assert deployment.canaries.read().sent == {}  # nothing is counted while nobody can look


def test_a_process_is_addressed_as_celery_addresses_it() -> None:
    assert direct_queue(WORKER) == worker_direct(WORKER).name


# Judging --------------------------------------------------------------------------------------------------------------


def reading(**given: Any) -> WatchReading:
    known: dict[str, Any] = {
        "now_ms": 100_000,
        "workers": {WORKER: Worker(WORKER, 7, ("live",), 50_000)},
        "sent": {name: Sent(98_000) for name in (*QUEUES, WORKER)},
        "ran": {name: Ran(98_000, 98_040, WORKER) for name in (*QUEUES, WORKER)},
        "beats": {"beat@host": Pulse(99_000, 9)},
    }
    return WatchReading(**{**known, **given})


def states(found: WatchReading) -> dict[str, str]:
    report = judge(found, packages.QUEUES, rounds=ROUNDS)
    return {one.what: one.state for one in findings(report) if one.state != "ok"}


LATE = {name: Sent(98_000) for name in QUEUES}


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, {}),
        # nobody consumes it; its one process runs what is addressed to it
        (
            {"sent": LATE | {"pending": Sent(99_000, QUEUE_ROUNDS)}},
            {"canary pending": "bad"},
        ),
        ({"sent": LATE | {"pending": Sent(99_000, QUEUE_ROUNDS - 1)}}, {}),
        # behind other work
        ({"sent": LATE | {"live": Sent(99_000, QUEUE_ROUNDS)}}, {"canary live": "warning"}),
        ({"sent": LATE | {WORKER: Sent(99_000, ROUNDS - 1)}}, {}),
        ({"sent": LATE | {WORKER: Sent(99_000, ROUNDS)}}, {f"worker {WORKER}": "bad"}),
        (
            {"sent": LATE | {WORKER: Sent(99_000, ROUNDS), "live": Sent(99_000, ROUNDS)}},
            {f"worker {WORKER}": "bad", "canary live": "bad"},
        ),
        ({"beats": {}}, {"beat": "bad"}),
        ({"beats": {"beat@host": Pulse(int(100_000 - BEAT_S * 1000 - 1), 9)}}, {"beat": "bad"}),
        ({"beats": {"beat@a": Pulse(1, 9), "beat@b": Pulse(99_000, 9)}}, {"beat": "warning"}),
        ({"sent": {}, "ran": {}}, {f"canary {name}": "warning" for name in QUEUES}),
        # a clock that was set back makes nothing negative, and hides nobody
        ({"now_ms": 90_000}, {}),
        ({"now_ms": 90_000, "sent": LATE | {WORKER: Sent(70_000, ROUNDS)}}, {f"worker {WORKER}": "bad"}),
    ],
)
def test_what_a_reading_means(given: dict[str, Any], expected: dict[str, str]) -> None:
    assert states(reading(**given)) == expected


def test_how_long_things_took() -> None:
    report = judge(reading(sent=LATE | {"live": Sent(99_500)}), packages.QUEUES, rounds=ROUNDS)
    live = report.queues["live"]
    assert (live.latency_s, live.age_s, live.waiting_s) == (0.04, 1.96, 0.5)
    assert report.queues["ticks"].waiting_s is None
    assert report.beat_age_s == 1
    assert judge(reading(now_ms=10), packages.QUEUES, rounds=ROUNDS).beat_age_s == 0


def test_silence_lasts_longer_than_a_pool_full_of_attempts_that_time_out() -> None:
    assert worker_rounds(10) * ROUND_S >= 3 * 10 + 15
    assert worker_rounds(0.5) * ROUND_S < 25
