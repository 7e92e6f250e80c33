"""Many receivers hang at once, more than the workers have slots: those that are well wait for none of them, at the first time and at
every other."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from tests.integration.event_deployment import EventDeployment
from tests.support.callers import eventually
from tests.support.deployment import TENANT
from tests.support.receiver import Got, Receiver, Reply

TOPIC: Final = "asset-operations"
HANGING: Final = 120  # on 100 slots
WELL: Final = 10
CALL_S: Final = 15.0  # app/events/sinks/webhook: how long a hanging receiver may keep a call


class Side:
    """All receivers in one, at a path each; it notes when an event came where for the first time."""

    def __init__(self) -> None:
        self.hang = False
        self.came: dict[str, dict[int, float]] = defaultdict(dict)

    def answer(self, got: Got) -> Reply:
        name = got.path.rsplit("/", 1)[1]
        if self.hang and name.startswith("hanging"):
            return Reply(hang=True)
        self.came[name].setdefault(int(got.headers["x-mediaops-sequence"]), time.monotonic())
        return Reply()

    def have(self, kind: str, sequence: int) -> bool:
        return all(sequence in seen for name, seen in list(self.came.items()) if name.startswith(kind))


@pytest.fixture
def deployment(tmp_path: Path) -> Iterator[EventDeployment]:
    with EventDeployment(tmp_path, slots=50, slow=500) as opened:
        yield opened


def publish(deployment: EventDeployment) -> int:
    event = {"eventName": "asset-updated", "originator": "test", "versions": ["1.0"], "assetId": 1}
    answer: Any = deployment.api.post(f"/api/events/{TOPIC}", event)
    return int(answer["results"][0]["sequence"])


@pytest.mark.processes
@pytest.mark.slow
@pytest.mark.timeout(400)
def test_receivers_that_hang_together_hold_up_nobody_who_is_well(deployment: EventDeployment) -> None:
    side = Side()
    with Receiver(side.answer) as receiver:
        names = [*(f"well{n}" for n in range(WELL)), *(f"hanging{n}" for n in range(HANGING))]
        for name in names:
            side.came[name] = {}
            body = {
                "topics": [{"topic": TOPIC}],
                "sink": {"type": "webhook", "url": f"{receiver.url}/{name}"},
                # Half of the hanging ones may have several calls under way.
                **({"ordered": False, "inFlight": 4} if name.endswith(("1", "3", "5", "7", "9")) else {}),
            }
            deployment.api.post("/api/subscriptions", body)
        slowest: list[float] = []

        def publish_and_wait() -> int:
            began = time.monotonic()
            sequence = publish(deployment)
            eventually(lambda: side.have("well", sequence), timeout_s=60, what="those that are well")
            slowest.append(max(side.came[f"well{n}"][sequence] for n in range(WELL)) - began)
            return sequence

        first = publish_and_wait()
        eventually(lambda: side.have("hanging", first), timeout_s=60, what="all, while all are well")
        for _ in range(2):  # and again, no sooner than they are delivered to as before
            side.hang = True
            for _ in range(4):
                last = publish_and_wait()
            side.hang = False
            eventually(lambda: side.have("hanging", last), timeout_s=120, what="those that hung")  # noqa: B023
        print("the slowest of those that are well, in s:", [round(one, 2) for one in slowest])  # noqa: T201
        assert max(slowest) < CALL_S / 2, slowest

        # They are on probation: a hang now costs the slots of the others nothing at all.
        client = deployment._client()
        try:
            ids: Any = client.zrange(f"{TENANT}:feeds", 0, -1)
            queues = [client.hget(f"{TENANT}:feed:{one.decode()}", "queue") for one in ids]
        finally:
            client.close()
        assert queues.count(b"deliveries-slow") >= HANGING
