"""A receiver that never takes every fifth event: the others arrive, and while nothing is due nobody is woken."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final

import pytest

from tests.integration.event_deployment import EventDeployment
from tests.support.callers import eventually
from tests.support.deployment import TENANT
from tests.support.receiver import Got, Receiver, Reply

TOPIC: Final = "asset-operations"
EVENTS: Final = 3_000
CALL: Final = 250
WAITING: Final = 1_950  # for a retry already
FULL: Final = 4_000  # app/events/consumers/lua: events that wait for a retry, and nothing new is begun while first tries fail
TICKS: Final = 5


def poison(got: Got) -> bool:
    return int(got.headers["x-mediaops-sequence"]) % 5 == 0


class Consumer:
    """A subscription as the store has it."""

    def __init__(self, deployment: EventDeployment, subscription_id: str) -> None:
        self._client = deployment._client()
        self.key = f"{TENANT}:feed:{subscription_id}"

    def close(self) -> None:
        self._client.close()

    @property
    def wakes(self) -> int:
        return int(self._client.hget(self.key, "wakes") or 0)

    def put_off(self, more: int = 0) -> None:
        """What waits for a retry, and so many more, isn't due for an hour."""
        seconds, _ = self._client.time()
        due = (int(seconds) + 3600) * 1000
        waiting: Any = self._client.zrange(f"{self.key}:open", 0, -1)
        made = [f"{TOPIC}|{number}|0|" for number in range(10**7, 10**7 + more)]
        self._client.zadd(f"{self.key}:open", dict.fromkeys([*waiting, *made], due))

    def first_tries_fail(self) -> None:
        seconds, _ = self._client.time()
        self._client.hset(
            self.key, mapping={"failures": 1, "failingSince": int(seconds) * 1000, "retryFrom": ""}
        )

    def pass_ticks(self) -> None:
        """Until the tick of the consumers has been taken so often."""
        key, seen = f"{TENANT}:tick:consumers", set()

        def ticked() -> bool:
            seen.add(self._client.get(key))
            return len(seen) > TICKS

        eventually(ticked, timeout_s=60, what="the ticks to go on")


@pytest.fixture
def deployment(tmp_path: Path) -> Iterator[EventDeployment]:
    with EventDeployment(tmp_path) as opened:
        yield opened


def publish(deployment: EventDeployment, count: int) -> None:
    for first in range(0, count, CALL):
        events = [
            {"eventName": "asset-updated", "originator": "test", "versions": ["1.0"], "assetId": number}
            for number in range(first, min(first + CALL, count))
        ]
        deployment.api.post(f"/api/events/{TOPIC}", events)


@pytest.mark.processes
@pytest.mark.slow
@pytest.mark.timeout(300)
def test_events_that_are_never_taken_hold_up_no_other_and_wake_nobody(deployment: EventDeployment) -> None:
    with ExitStack() as stack:
        receiver = stack.enter_context(Receiver(lambda got: Reply(503 if poison(got) else 200)))
        body = {
            "topics": [{"topic": TOPIC}],
            "sink": {"type": "webhook", "url": receiver.url},
            "ordered": False,
            "inFlight": 10,
        }
        subscription_id = deployment.api.post("/api/subscriptions", body)["id"]
        consumer = Consumer(deployment, subscription_id)
        stack.callback(consumer.close)
        consumer.put_off(WAITING)
        publish(deployment, EVENTS)

        def good() -> int:
            return len({got.headers["webhook-id"] for got in list(receiver.got) if not poison(got)})

        eventually(lambda: good() == EVENTS * 4 // 5, timeout_s=120, what="all that can be taken")
        view = deployment.api.get(f"/api/subscriptions/{subscription_id}")
        assert view["parked"] <= EVENTS // 5
        assert view["state"] == "active"

        deployment.api.post(f"/api/subscriptions/{subscription_id}/pause")
        eventually(
            lambda: deployment.api.get(f"/api/subscriptions/{subscription_id}")["state"] == "paused",
            what="the pause",
        )
        consumer.pass_ticks()  # a worker that had it lets it go
        consumer.put_off()
        deployment.api.post(f"/api/subscriptions/{subscription_id}/resume")
        consumer.pass_ticks()
        before = consumer.wakes
        consumer.pass_ticks()
        assert consumer.wakes == before
        publish(deployment, 1)
        eventually(lambda: good() == EVENTS * 4 // 5 + 1, what="what is new")
        consumer.pass_ticks()
        assert consumer.wakes - before == 1

        # So many that nothing is begun while first tries fail: it is woken once, and rests then.
        consumer.put_off(FULL)
        consumer.first_tries_fail()
        before = consumer.wakes
        for _ in range(3):
            publish(deployment, CALL)
            consumer.pass_ticks()
        assert consumer.wakes - before == 1
        assert good() == EVENTS * 4 // 5 + 1
