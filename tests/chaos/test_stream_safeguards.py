"""The checker of the event stream is checked with the product's own scripts: with a safeguard switched off it finds what that
breaks; with all of them on, it finds nothing in the same scenario."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import fakeredis
import pytest

from app.events import log
from app.events.consumers import claims
from app.events.consumers.model import ReadLimits
from app.events.log import Published as Answered
from app.platform.scripts import ScriptFolder, templates
from tests.chaos.stream_judge import ANY, BY_TOPIC, Published, Receipt, Subscribed, judge
from tests.support.consumers import MESSAGES, OK, TOPIC, ConsumerBench
from tests.support.keys import AllKeys

# What each safeguard is in the scripts, and the scripts without it.
SAFEGUARDS: Final = {
    "lease": (
        "claim",
        "if f.token and f.leaseUntil and f.leaseUntil > now then return { 'no' } end",
        "",
    ),
    "reclaim": ("tick", "'reclaims', 1)\n      reschedule(f)", "'reclaims', 1)"),
    "left behind": (
        "claim",
        "'ZRANGEBYSCORE', consumer_key(f.id, 'open'), int(HELD), '+inf')",
        "'ZRANGEBYSCORE', consumer_key(f.id, 'open'), '+inf', '+inf')",
    ),
    "previous": ("claim", "way.previous = sequence\n", "\n"),
    "names": ("claim", "if not names or names[name] then", "if true then"),
    "guid": ("publish", "if not seen then", "if true then"),
}


class Without(ScriptFolder):
    """The scripts with one safeguard switched off; "" with all of them on."""

    def __init__(self, safeguard: str, folder: Path, *shared: Path) -> None:
        super().__init__(folder, shared=shared, made=templates(MESSAGES), flags=False)
        self._safeguard = safeguard

    def text(self, name: str) -> str:
        text = super().text(name)
        if not self._safeguard or SAFEGUARDS[self._safeguard][0] != name:
            return text
        _, on, off = SAFEGUARDS[self._safeguard]
        assert on in text, f"{self._safeguard} no longer stands in {name}.lua as this test knows it"
        return text.replace(on, off)


class Scene:
    """A log, one consumer, and as many workers as a scenario plays."""

    def __init__(self, safeguard: str, tenant: str) -> None:
        self.bench = ConsumerBench(
            fakeredis.FakeRedis(),
            AllKeys(tenant),
            flags=False,
            scripts=Without(safeguard, claims.SCRIPTS, log.SCRIPTS),
            log_scripts=Without(safeguard, log.SCRIPTS),
        )
        self.published: list[Published] = []
        self.subscribed = Subscribed("s1", {TOPIC: frozenset()})

    def follow(self, *names: str, ordered: bool = True) -> None:
        order = BY_TOPIC if ordered else ANY
        self.subscribed = Subscribed("s1", {TOPIC: frozenset(names)}, order)
        self.sink = self.bench.consumer(topics={TOPIC: names}, ordered=ordered, in_flight=1 if ordered else 3)

    def publish(self, count: int = 5) -> None:
        self.published = [_event(number) for number in range(count)]
        self.send()

    def send(self) -> None:
        """All of them, as whoever has heard no answer does again."""
        for event, answer in zip(
            self.published,
            self.bench.log.publish(TOPIC, [one.body for one in self.published], "test"),
            strict=True,
        ):
            assert isinstance(answer, Answered)
            event.sequences.append(answer.sequence)

    def die(self) -> None:
        """A worker takes the consumer, with the first four events, and is never heard of again."""
        self.bench.messages()
        assert self.bench.claims.claim("s1", 0, ReadLimits(4, 1 << 20, 4)) is not None
        self.bench.tick(10)

    def wrong(self) -> set[str]:
        receipts = [
            Receipt("s1", at, one.topic, one.sequence, one.previous, one.guid, one.event, one.redelivery)
            for at, one in enumerate(self.sink.taken)
        ]
        return set(judge([self.subscribed], receipts, self.published).wrong)


def _event(number: int) -> Published:
    name = "asset-created" if number % 2 else "asset-updated"
    body: dict[str, Any] = {
        "eventName": name, "originator": "test", "tenant": "t", "versions": [], "guid": f"g{number}",
        "timestamp": "2026-11-21T19:30:00Z", "assetId": number,
    }  # fmt: skip
    return Published(TOPIC, name, f"g{number}", json.dumps(body).encode())


def a_message_comes_twice(scene: Scene) -> None:
    scene.follow()
    scene.publish()

    def another() -> None:
        scene.sink.during = lambda: None
        scene.bench.runner.run("s1")

    scene.sink.during = another
    scene.bench.work()


def a_worker_dies(scene: Scene) -> None:
    scene.follow()
    scene.publish()
    scene.die()
    scene.bench.work()


def a_worker_dies_with_several_in_flight(scene: Scene) -> None:
    scene.follow(ordered=False)
    scene.publish()
    scene.die()
    for _ in range(3):  # without the safeguard there is no end of wake-ups
        scene.bench.runner.run("s1")


def all_goes_well(scene: Scene) -> None:
    scene.follow()
    scene.sink.say = lambda _: OK
    scene.publish()
    scene.bench.work()


def only_one_name_is_wanted(scene: Scene) -> None:
    scene.follow("asset-created")
    scene.publish()
    scene.bench.work()


def an_answer_to_the_publisher_is_lost(scene: Scene) -> None:
    scene.follow()
    scene.publish()
    scene.send()
    scene.bench.work()


SCENARIOS: Final[dict[str, tuple[Callable[[Scene], None], set[str]]]] = {
    "lease": (a_message_comes_twice, {"twice"}),
    "reclaim": (a_worker_dies, {"missing"}),
    "left behind": (a_worker_dies_with_several_in_flight, {"missing", "gap"}),
    "previous": (all_goes_well, {"gap"}),
    "names": (only_one_name_is_wanted, {"invented"}),
    "guid": (an_answer_to_the_publisher_is_lost, {"published twice"}),
}


@pytest.mark.parametrize("safeguard", SCENARIOS)
def test_without_a_safeguard_the_checker_finds_what_breaks(safeguard: str, tenant: str) -> None:
    scenario, wrong = SCENARIOS[safeguard]
    scene = Scene(safeguard, tenant)
    scenario(scene)
    assert scene.wrong() == wrong


@pytest.mark.parametrize("safeguard", SCENARIOS)
def test_with_all_of_them_the_same_scenario_is_fine(safeguard: str, tenant: str) -> None:
    scene = Scene("", tenant)
    SCENARIOS[safeguard][0](scene)
    assert scene.wrong() == set()
