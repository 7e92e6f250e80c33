"""A consumer's script that breaks off in the middle leaves what it has written. Whatever the call at which it breaks: after the
lease, a tick and the audit every event comes, in its order, and the consumer stands where its state says."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from redis.exceptions import ResponseError

from app.events.consumers.claims import SCRIPTS
from app.events.log import SCRIPTS as LOG_SCRIPTS
from app.events.log import EventLog
from app.platform.scripts import Script, ScriptFolder, templates
from tests.support.consumers import DOWN, MESSAGES, OK, REFUSED, TOPIC, ConsumerBench, FakeSink

_BREAKING = """
local made_calls = 0
local function CALL(...)
  made_calls = made_calls + 1
  if made_calls == %d then error('broken off') end
  return redis.call(...)
end
"""
MOST_CALLS = 200
AT_MOST = 24  # consumers that one script wakes


class Breaking(ScriptFolder):
    """The package's scripts, one of which fails at its n-th call of Redis, the first time that it makes so many."""

    def __init__(self, name: str, call: int, *, flags: bool, folder: Path = SCRIPTS) -> None:
        super().__init__(folder, shared=(LOG_SCRIPTS,), made=templates(MESSAGES), flags=flags)
        self.at_most = AT_MOST
        self.broken: str | None = name  # until it has
        self.call = call

    def text(self, name: str) -> str:
        return super().text(name).replace(f"AT_MOST = {AT_MOST}", f"AT_MOST = {self.at_most}")

    def __getitem__(self, name: str) -> Script:
        if name != self.broken:
            return super().__getitem__(name)
        first, rest = "", self.text(name)
        if rest.startswith("#!"):
            first, rest = rest.split("\n", 1)
            first += "\n"
        return Script(first + _BREAKING % self.call + re.sub(r"\bredis\.call\(", "CALL(", rest))

    def attempt(self, work: Callable[[], Any]) -> Any:
        """What `work` gives, or None where the script has broken off."""
        try:
            return work()
        except ResponseError as error:
            if "broken off" not in str(error):
                raise
            self.broken = None
            return None


class Story:
    """A consumer's life through every script; a step that breaks is left as it is."""

    def __init__(self, consumers: ConsumerBench, scripts: Breaking, *, ordered: bool) -> None:
        self.consumers = consumers
        self.scripts = scripts
        self.broke = False
        self.sink = consumers.sinks.sinks["s1"] = FakeSink()
        consumers.rebuild(scripts=scripts)
        self.spec: dict[str, Any] = {"ordered": ordered, "in_flight": 1 if ordered else 3}

    def step(self, work: Callable[[], Any]) -> Any:
        found = self.scripts.attempt(work)
        self.broke = self.scripts.broken is None
        return found

    def work(self) -> None:
        for consumer_id in self.consumers.messages() + self.consumers.messages("deliveries-slow"):
            self.step(partial(self.consumers.runner.run, consumer_id))

    def tell(self) -> None:
        consumers, sink, spec = self.consumers, self.sink, self.spec
        self.step(lambda: consumers.store.create(consumers.spec(**spec)))
        if consumers.store.status("s1") is None:
            consumers.store.create(consumers.spec(**spec))  # who created it was told that it failed
        sink.say = lambda one: (
            DOWN if one.attempt < 2 and one.sequence == 2 else REFUSED if one.sequence == 3 else OK
        )
        for _ in range(3):
            self.step(lambda: consumers.publish(2))
            self.work()
            self.step(lambda: consumers.tick(1))
        self.step(lambda: consumers.store.pause("s1"))
        self.step(consumers.publish)
        self.step(lambda: consumers.store.update(consumers.spec(**spec)))
        self.step(lambda: consumers.store.resume("s1"))
        self.work()
        self.step(lambda: consumers.store.replay("s1", 0))
        self.work()
        sink.say = lambda _: OK
        self.step(lambda: consumers.store.retry_parked("s1"))
        self.work()
        self.heal()

    def heal(self) -> None:
        """What beat's ticks do, and the operator whose call failed and who repeats it."""
        for _ in range(20):
            self.consumers.store.resume("s1")
            self.work()
            self.step(lambda: self.consumers.tick(6))
            self.step(self.consumers.ticks.audit)
            self.work()

    def judge(self) -> None:
        first: list[int] = []
        for one in self.sink.taken:
            if one.redelivery is None and one.sequence not in first:
                first.append(one.sequence)
        last = int(self.consumers.client.get(self.consumers.keys.log_sequence("asset-operations")) or 0)
        parked = {one.sequence for one in self.consumers.store.parked("s1", 100)[0]}
        taken = {one.sequence for one in self.sink.taken}
        stored = {
            int(entry.split(b"-")[0])
            for entry, _ in self.consumers.client.xrange(self.consumers.keys.log("asset-operations"))
        }
        assert taken | parked == stored, (last, parked)
        if self.spec["ordered"]:
            assert first == sorted(first)
        assert self.consumers.client.zcard(self.consumers.keys.consumer_part("s1", "open")) == 0
        self.consumers.stands_in_one_place()


@pytest.mark.slow
@pytest.mark.parametrize("ordered", [True, False])
@pytest.mark.parametrize(
    "name", ["claim", "ack", "tick", "create", "update", "act", "replay", "unpark", "audit"]
)
def test_wherever_a_script_breaks_off_every_event_comes(
    consumers: ConsumerBench, name: str, ordered: bool
) -> None:
    prefix = consumers.keys.prefix
    for call in range(1, MOST_CALLS):
        for key in consumers.client.scan_iter(f"{prefix}*"):
            consumers.client.delete(key)
        consumers.__post_init__()
        story = Story(consumers, Breaking(name, call, flags=consumers.flags), ordered=ordered)
        story.tell()
        if not story.broke:
            assert call > 3, "the script was never run"
            return
        try:
            story.judge()
        except AssertionError as error:
            raise AssertionError(f"{name} broken at its call {call}: {error}") from error
    raise AssertionError(f"{name} makes {MOST_CALLS} calls")


def test_wherever_publishing_breaks_off_what_it_has_written_comes(consumers: ConsumerBench) -> None:
    """To a filter as well, whose place the next event moves on."""
    wanted = {"eventName": "asset-deleted", "originator": "test", "versions": [], "assetId": 7}
    prefix = consumers.keys.prefix
    for call in range(1, MOST_CALLS):
        for key in consumers.client.scan_iter(f"{prefix}*"):
            consumers.client.delete(key)
        consumers.__post_init__()
        sinks = [consumers.consumer("s1", topics={TOPIC: ["asset-deleted"]}), consumers.consumer("s2")]
        scripts = Breaking("publish", call, flags=consumers.flags, folder=LOG_SCRIPTS)
        log = EventLog(consumers.client, consumers.keys, now_ms=lambda: consumers.now_ms, scripts=scripts)
        consumers.publish(2)
        events = [json.dumps({**wanted, "guid": f"broken{n}"}).encode() for n in range(2)]
        broke = False
        try:
            log.publish(TOPIC, events, "test")
        except ResponseError:
            broke = True
        consumers.publish(2)
        consumers.publish(name="asset-deleted")
        for _ in range(3):
            consumers.work()
            consumers.tick(6)
            consumers.ticks.audit()
        rows = consumers.client.xrange(consumers.keys.log(TOPIC))
        stored = {int(entry.split(b"-")[0]): fields[b"name"] for entry, fields in rows}
        deleted = [sequence for sequence, name in stored.items() if name == b"asset-deleted"]
        assert [sink.sequences for sink in sinks] == [deleted, list(stored)], f"broken at call {call}"
        assert [consumers.status(one).missed for one in ("s1", "s2")] == [(), ()]
        if not broke:
            assert call > 10
            return
    raise AssertionError("publishing has no end")


@pytest.mark.slow
@pytest.mark.parametrize("name", ["publish", "fan_out"])
def test_wherever_the_waking_of_many_breaks_off_all_of_them_get_what_was_written(
    consumers: ConsumerBench, name: str
) -> None:
    """With and without a filter; some listen again, and something is published, before all were woken."""
    prefix = consumers.keys.prefix
    for call in range(1, MOST_CALLS):
        for key in consumers.client.scan_iter(f"{prefix}*"):
            consumers.client.delete(key)
        consumers.__post_init__()
        filters: list[Any] = [{TOPIC: names} for names in [()] * 3 + [["asset-deleted", "asset-updated"]] * 3]
        consumers.publish()
        sinks = [consumers.consumer(f"s{n}", topics=topics) for n, topics in enumerate(filters)]
        scripts = Breaking(
            name, call, flags=consumers.flags, folder=LOG_SCRIPTS if name == "publish" else SCRIPTS
        )
        calm = Breaking("", 0, flags=consumers.flags, folder=LOG_SCRIPTS)
        scripts.at_most = calm.at_most = 2
        if name == "fan_out":
            consumers.rebuild(scripts=scripts)
        publishing = scripts if name == "publish" else calm
        consumers.log = EventLog(
            consumers.client, consumers.keys, now_ms=lambda: consumers.now_ms, scripts=publishing
        )
        for event in ("asset-created", "asset-deleted", "asset-created", "asset-updated"):
            scripts.attempt(partial(consumers.publish, 2, name=event))
            for consumer_id in consumers.messages()[:2]:
                consumers.runner.run(consumer_id)
            scripts.attempt(consumers.fan_out)
        broke, scripts.broken = scripts.broken is None, None
        consumers.publish(1, name="asset-deleted")
        for _ in range(3):
            consumers.work()
            consumers.tick(6)
            consumers.ticks.audit()
        consumers.work()
        rows = consumers.client.xrange(consumers.keys.log(TOPIC))
        stored = {int(entry.split(b"-")[0]): fields[b"name"] for entry, fields in rows}
        wanted = [sequence for sequence, named in stored.items() if named != b"asset-created"]
        expected = [list(stored)[1:]] * 3 + [wanted] * 3
        assert [sink.sequences for sink in sinks] == expected, f"{name} broken at its call {call}"
        assert [consumers.status(f"s{n}").missed for n in range(6)] == [()] * 6
        if not broke:
            assert call > 10
            return
    raise AssertionError(f"{name} has no end")
