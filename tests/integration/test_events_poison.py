"""A receiver that never takes every fifth event: the others arrive, and while nothing is due nobody is woken."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final

import pytest

from tests.integration.event_house import EventHouse
from tests.support.callers import eventually
from tests.support.house import TENANT
from tests.support.receiver import Got, Receiver, Reply

TOPIC: Final = "asset-operations"
EVENTS: Final = 3_000
CALL: Final = 250
WAITING: Final = 1_950  # for a retry already
FULL: Final = 4_000  # app/events/feeds/lua: events that wait for a retry, and nothing new is begun while first tries fail
TICKS: Final = 5


def poison(got: Got) -> bool:
    return int(got.headers["x-mediaops-sequence"]) % 5 == 0


class Feed:
    """A subscription as the store has it."""

    def __init__(self, house: EventHouse, subscription_id: str) -> None:
        self._client = house._client()
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
        """Until the tick of the feeds has been taken so often."""
        key, seen = f"{TENANT}:tick:feeds", set()

        def ticked() -> bool:
            seen.add(self._client.get(key))
            return len(seen) > TICKS

        eventually(ticked, timeout_s=60, what="the ticks to go on")


@pytest.fixture
def house(tmp_path: Path) -> Iterator[EventHouse]:
    with EventHouse(tmp_path) as opened:
        yield opened


def publish(house: EventHouse, count: int) -> None:
    for first in range(0, count, CALL):
        events = [
            {"eventName": "asset-updated", "originator": "test", "versions": ["1.0"], "assetId": number}
            for number in range(first, min(first + CALL, count))
        ]
        house.api.post(f"/api/events/{TOPIC}", events)


@pytest.mark.processes
@pytest.mark.slow
@pytest.mark.timeout(300)
def test_events_that_are_never_taken_hold_up_no_other_and_wake_nobody(house: EventHouse) -> None:
    with ExitStack() as stack:
        receiver = stack.enter_context(Receiver(lambda got: Reply(503 if poison(got) else 200)))
        body = {
            "topics": [{"topic": TOPIC}],
            "sink": {"type": "webhook", "url": receiver.url},
            "ordered": False,
            "inFlight": 10,
        }
        subscription_id = house.api.post("/api/subscriptions", body)["id"]
        feed = Feed(house, subscription_id)
        stack.callback(feed.close)
        feed.put_off(WAITING)
        publish(house, EVENTS)

        def good() -> int:
            return len({got.headers["webhook-id"] for got in list(receiver.got) if not poison(got)})

        eventually(lambda: good() == EVENTS * 4 // 5, timeout_s=120, what="all that can be taken")
        view = house.api.get(f"/api/subscriptions/{subscription_id}")
        assert view["parked"] <= EVENTS // 5
        assert view["state"] == "active"

        house.api.post(f"/api/subscriptions/{subscription_id}/pause")
        eventually(
            lambda: house.api.get(f"/api/subscriptions/{subscription_id}")["state"] == "paused",
            what="the pause",
        )
        feed.pass_ticks()  # a worker that had it lets it go
        feed.put_off()
        house.api.post(f"/api/subscriptions/{subscription_id}/resume")
        feed.pass_ticks()
        before = feed.wakes
        feed.pass_ticks()
        assert feed.wakes == before
        publish(house, 1)
        eventually(lambda: good() == EVENTS * 4 // 5 + 1, what="what is new")
        feed.pass_ticks()
        assert feed.wakes - before == 1

        # So many that nothing is begun while first tries fail: it is woken once, and rests then.
        feed.put_off(FULL)
        feed.first_tries_fail()
        before = feed.wakes
        for _ in range(3):
            publish(house, CALL)
            feed.pass_ticks()
        assert feed.wakes - before == 1
        assert good() == EVENTS * 4 // 5 + 1
