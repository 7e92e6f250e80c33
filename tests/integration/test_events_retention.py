"""Subscriptions that retention overtakes, with real parts: what they have missed is told, shown, and their receivers can see it."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from typing import Any, Final

import pytest

from tests.chaos.publishers import ASSETS, CATEGORIES
from tests.chaos.stream import DELIVERY
from tests.chaos.stream_judge import Published, Receipt, Subscribed, judge
from tests.integration.event_deployment import EventDeployment
from tests.support.callers import eventually

pytestmark = [pytest.mark.processes, pytest.mark.slow, pytest.mark.timeout(200)]
KEPT: Final = 1_000  # events of a topic: the least that can be set
BEFORE: Final = 5
MEANWHILE: Final = 3_000
_numbers = itertools.count()


class Desk:
    """Publishes, subscribes and looks, on the deployment's API."""

    def __init__(self, deployment: EventDeployment) -> None:
        self.deployment = deployment
        self.api = deployment.api
        self.published: list[Published] = []

    def subscribe(self, name: str, topic: str, *names: str, **more: Any) -> str:
        wanted = {"topic": topic, "eventNames": list(names)} if names else {"topic": topic}
        body = {"name": name, "topics": [wanted], "sink": self.deployment.subscribers.sink(name), **more}
        return str(self.api.post("/api/subscriptions", body)["id"])

    def publish(self, topic: str, count: int) -> None:
        while count > 0:
            bodies = [_event(topic) for _ in range(min(count, 500))]
            results = self.api.post(f"/api/events/{topic}", bodies)["results"]
            self.published += [
                Published(
                    topic, body["eventName"], body["guid"], json.dumps(body).encode(), [result["sequence"]]
                )
                for body, result in zip(bodies, results, strict=True)
            ]
            count -= len(bodies)

    def receipts(self, name: str) -> list[Receipt]:
        return [one for one in self.deployment.subscribers.receipts() if one.subscription == name]

    def until_received(self, name: str, count: int) -> list[Receipt]:
        eventually(lambda: len(self.receipts(name)) >= count, what=f"{count} events to come to {name}")
        return self.receipts(name)

    def view(self, subscription_id: str) -> dict[str, Any]:
        found: dict[str, Any] = self.api.get(f"/api/subscriptions/{subscription_id}")
        return found

    def until_nothing_is_left(self, subscription_id: str) -> dict[str, Any]:
        def left() -> bool:
            return bool(self.view(subscription_id)["lag"]["events"])

        eventually(lambda: not left(), timeout_s=90, what="all that is left to be delivered")
        return self.view(subscription_id)

    def gone(self, topic: str) -> tuple[int, int]:
        """What the log itself says that it hasn't any more, after the first ones."""
        log = self.api.get(f"/api/events/{topic}", after=f"{BEFORE}", limit="1")
        assert log["missed"]["from"] == BEFORE + 1
        return BEFORE + 1, int(log["missed"]["to"])


def _event(topic: str) -> dict[str, Any]:
    """With a whole envelope, so that it is stored as it is."""
    number = next(_numbers)
    kind = topic.removesuffix("-operations")
    return {
        "eventName": f"{kind}-{'created' if number % 3 == 0 else 'updated'}",
        "originator": "test",
        "tenant": "t",
        "versions": [],
        "timestamp": "2026-11-21T19:30:00Z",
        "guid": f"g{number}",
        f"{kind}Id": number,
    }


@pytest.fixture(scope="module")
def deployment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EventDeployment]:
    directory = tmp_path_factory.mktemp("retention")
    with EventDeployment(directory, MEDIAOPS_EVENTS_KEEP_LENGTH=str(KEPT)) as deployment:
        yield deployment


@pytest.fixture
def desk(deployment: EventDeployment) -> Desk:
    return Desk(deployment)


def test_what_a_paused_subscription_has_missed_is_told_and_shown(desk: Desk) -> None:
    names = ("asset-created",)
    ids = {
        "whole": desk.subscribe("whole", ASSETS, start="beginning"),
        "names": desk.subscribe("names", ASSETS, *names, start="beginning"),
    }
    desk.subscribe("told", DELIVERY)
    desk.publish(ASSETS, BEFORE)
    desk.until_received("whole", BEFORE)
    desk.until_received("names", sum(one.name in names for one in desk.published))
    for one in ids.values():
        desk.api.post(f"/api/subscriptions/{one}/pause")
    desk.publish(ASSETS, MEANWHILE)
    for one in ids.values():
        desk.api.post(f"/api/subscriptions/{one}/resume")

    first, last = desk.gone(ASSETS)
    assert last >= MEANWHILE - 2 * KEPT
    for one in ids.values():
        view = desk.until_nothing_is_left(one)
        [missed] = view["missed"]
        assert (missed["topic"], missed["from"], missed["to"]) == (ASSETS, first, last)
        assert (view["counters"]["missed"], view["state"]) == (last - first + 1, "active")

    # The receiver has the rest, and can tell that something lies between.
    came = desk.receipts("whole")
    assert [one.sequence for one in came] == [*range(1, first), *range(last + 1, BEFORE + MEANWHILE + 1)]
    assert came[BEFORE].previous == last
    subscribed = [Subscribed("whole", {ASSETS: frozenset()}), Subscribed("names", {ASSETS: frozenset(names)})]
    wrong = judge(subscribed, [*came, *desk.receipts("names")], desk.published).wrong
    lost = [one for one in desk.published if first <= one.sequences[0] <= last]
    assert set(wrong) == {"missing", "gap"}
    assert len(wrong["missing"]) == len(lost) + sum(one.name in names for one in lost)
    assert len(wrong["gap"]) == len(ids)

    # Whoever follows what the system tells of its deliveries is told as well.
    told = [json.loads(one.body) for one in desk.until_received("told", len(ids))]
    assert {one["eventName"] for one in told} == {"subscription-gap"}
    assert {one["subscriptionId"] for one in told} == set(ids.values())
    assert {(one["topic"], one["from"], one["to"]) for one in told} == {(ASSETS, first, last)}
    counted = desk.api.call("GET", "/metrics").expect(200).splitlines()
    assert f"mediaops_subscriptions_missed_events_total {len(ids) * (last - first + 1)}.0" in counted


def test_one_whose_receiver_is_down_for_too_long_is_told_too_and_goes_on_by_itself(desk: Desk) -> None:
    down = desk.subscribe("down", CATEGORIES, start="beginning")
    desk.publish(CATEGORIES, BEFORE)
    desk.until_received("down", BEFORE)
    desk.deployment.subscribers.behave("down", {"status": 503})
    desk.publish(CATEGORIES, MEANWHILE)
    eventually(lambda: desk.view(down)["lastError"], what="its failing to be shown")
    desk.deployment.subscribers.behave("down", {})
    view = desk.until_nothing_is_left(down)
    first, last = desk.gone(CATEGORIES)
    assert [(one["from"], one["to"]) for one in view["missed"]] == [(first, last)]
    came = [one.sequence for one in desk.receipts("down")]
    assert came == [*range(1, first), *range(last + 1, BEFORE + MEANWHILE + 1)]
