"""Consumers for tests: a clock that the test moves, a sink that says what it is told to, messages that the test can read."""

from __future__ import annotations

import itertools
import json
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from app.events.consumers.claims import ConsumerClaims, ConsumerScripts, consumer_folder
from app.events.consumers.leases import LeaseRenewer
from app.events.consumers.model import ConsumerSpec, ConsumerStatus
from app.events.consumers.runner import Runner
from app.events.consumers.store import ConsumerStore
from app.events.consumers.ticks import ConsumerTicks
from app.events.consumers.turn import DeliveryPolicy
from app.events.log import SCRIPTS, EventLog
from app.events.sinks.base import Delivery, Kind, Limits, Outcome, SinkError
from app.platform.encryption import Encryption
from app.platform.scripts import ScriptFolder, templates
from tests.support.keys import AllKeys
from tests.support.published import fitting

TOPIC = "asset-operations"
OTHER = "category-operations"
START_MS = 1_795_262_400_000
OK = Outcome(None, 200, 5, "ok")
DOWN = Outcome(SinkError("unavailable", "The receiver answered 503.", Kind.RETRY), 503, 5)
REFUSED = Outcome(SinkError("refused", "The receiver answered 400.", Kind.REFUSED), 400, 5)
GONE = Outcome(SinkError("gone", "The receiver answered 410.", Kind.GONE), 410, 5)
Say = Callable[[Delivery], Outcome]


# Messages that only say what they are about.
MESSAGES = {
    "deliveries": "@@ID1@@ deliver @@ARG@@",
    "deliveries-slow": "@@ID1@@ slowly @@ARG@@",
    "fan_out": "@@ID1@@ fan-out @@ARG@@",
}


class FakeSink:
    """Remembers what it was sent; `say` answers."""

    def __init__(self, limits: Limits | None = None) -> None:
        self.limits = limits or Limits(events=1, bytes=1 << 20, event_bytes=1 << 20, one_per_key=False)
        self.say: Say = lambda _: OK
        self.calls: list[list[Delivery]] = []
        self.taken: list[Delivery] = []  # those that were answered with success
        self.during: Callable[[], None] = lambda: None
        self.closed = False
        self._lock = threading.Lock()

    def send(self, deliveries: Sequence[Delivery], deadline: float) -> list[Outcome]:
        self.during()
        outcomes = [self.say(one) for one in deliveries]
        with self._lock:
            self.calls.append(list(deliveries))
            self.taken += [one for one, said in zip(deliveries, outcomes, strict=True) if said.error is None]
        return outcomes

    def request_summary(self, deliveries: Sequence[Delivery]) -> dict[str, Any]:
        return {"method": "POST", "events": len(deliveries)}

    def close(self) -> None:
        self.closed = True

    @property
    def sequences(self) -> list[int]:
        return [one.sequence for one in self.taken]


@dataclass
class FakeSinks:
    """Builds what the test has put there, by the configuration's `name`."""

    sinks: dict[str, FakeSink] = field(default_factory=dict)
    built: list[tuple[Mapping[str, Any], Mapping[str, Any], bool]] = field(default_factory=list)

    def build(self, sink: Mapping[str, Any], secrets: Mapping[str, Any], *, ordered: bool) -> FakeSink:
        self.built.append((sink, secrets, ordered))
        return self.sinks.setdefault(sink["name"], FakeSink())


@dataclass
class ConsumerBench:
    """A log, consumers, a runner without a thread, and short ways to say what tests say often."""

    client: Any  # a Redis that answers with bytes
    keys: AllKeys
    flags: bool = True
    scripts: ScriptFolder | None = None
    log_scripts: ScriptFolder | None = None
    now_ms: int = START_MS
    disable_after_s: float = 72 * 3600
    slice_s: float = 60.0
    clock: Callable[[], float] = time.monotonic
    log_length: int = 1_000_000
    encryption: Encryption | None = None

    def __post_init__(self) -> None:
        self.sinks = FakeSinks()
        self._guids = itertools.count(1)
        self.called: list[str] = []
        self.rebuild()

    def rebuild(self, **changes: Any) -> None:
        """As another process would come to the same store, with other settings."""
        for name, value in changes.items():
            setattr(self, name, value)
        folder = self.scripts or consumer_folder(flags=self.flags, messages=MESSAGES)
        of_log = self.log_scripts or ScriptFolder(SCRIPTS, made=templates(MESSAGES), flags=self.flags)
        encryption = self.encryption or Encryption()
        self.runs = ConsumerScripts(
            self.client, self.keys, folder, log_length=self.log_length, now_ms=lambda: self.now_ms
        )
        self.log = EventLog(
            self.client, self.keys, length=self.log_length, now_ms=lambda: self.now_ms, scripts=of_log
        )
        self.claims = ConsumerClaims(self.runs, encryption)
        self.ticks = ConsumerTicks(self.runs)
        self.store = ConsumerStore(self.runs, self.log, self.sinks, encryption)
        policy = DeliveryPolicy(
            disable_after_s=self.disable_after_s, slice_s=self.slice_s, clock=self.clock, rand=lambda: 0.5
        )
        self.runner = Runner(self.claims, self.sinks, policy, LeaseRenewer(self.claims))

    def pass_time(self, seconds: float) -> None:
        self.now_ms += int(seconds * 1000)

    def consumer(
        self, consumer_id: str = "s1", *, topics: Any = None, sink: FakeSink | None = None, **more: Any
    ) -> FakeSink:
        """A new consumer; all of `TOPIC` unless `topics` says otherwise. Its sink."""
        self.store.create(self.spec(consumer_id, topics=topics, **more))
        return self.sinks.sinks.setdefault(consumer_id, sink or FakeSink())

    def spec(self, consumer_id: str = "s1", *, topics: Any = None, **more: Any) -> ConsumerSpec:
        wanted = topics or {TOPIC: ()}
        return ConsumerSpec(
            id=consumer_id,
            topics=tuple((topic, frozenset(names)) for topic, names in wanted.items()),
            sink={"name": consumer_id},
            **more,
        )

    def publish(
        self, count: int = 1, topic: str = TOPIC, name: str = "", about: Any = None, pad: int = 0
    ) -> list[int]:
        """Events of one or several entities (`about`: a list, in turn); their sequences."""
        name = name or ("asset-created" if topic == TOPIC else "category-created")
        member = "assetId" if topic == TOPIC else "categoryId"
        abouts = itertools.cycle(about or [7])
        events = []
        for _ in range(count):
            guid = f"g{next(self._guids)}"
            event = {
                "eventName": name,
                "guid": guid,
                "originator": "test",
                "versions": [],
                member: next(abouts),
            }
            events.append(json.dumps(event | ({"x": "y" * pad} if pad else {})).encode())
        return [one.sequence for one in self.log.publish(topic, events, "test")]  # type: ignore[union-attr]

    def messages(self, queue: str = "deliveries") -> list[str]:
        """The wake-ups that lie there, oldest first, taken away; those of topics go to `called`."""
        key = self.keys.prefix + queue
        found = [message.decode().split() for message in reversed(self.client.lrange(key, 0, -1))]
        self.client.delete(key)
        self.called += [about for _, task, about in found if task == "fan-out"]
        return [about for _, task, about in found if task != "fan-out"]

    def fan_out(self) -> int:
        """What a worker does with the messages of topics; how many consumers it has woken."""
        called, self.called = self.called, []
        return sum(self.ticks.fan_out(topic) for topic in called)

    def work(self, *, most: int = 100) -> list[str]:
        """Run every wake-up there is, as a worker of both queues would; how each ended."""
        words: list[str] = []
        for _ in range(most):
            due = self.messages() + self.messages("deliveries-slow")
            if self.fan_out() == 0 and not due:
                return words
            words += [self.runner.run(consumer_id) for consumer_id in due]
        raise AssertionError(f"no end of wake-ups: {words[-10:]}")

    def tick(self, seconds: float = 0) -> None:
        self.pass_time(seconds)
        self.ticks.look_after()

    def status(self, consumer_id: str = "s1") -> ConsumerStatus:
        found = self.store.status(consumer_id)
        assert found is not None, f"no consumer {consumer_id}"
        return found

    def field(self, name: str, consumer_id: str = "s1") -> str:
        return (self.client.hget(self.keys.consumer(consumer_id), name) or b"").decode()

    def told(self, topic: str = "delivery-operations") -> list[dict[str, Any]]:
        """What this system has published about its deliveries, each in the form of its family."""
        rows = [fields[b"event"] for _, fields in self.client.xrange(self.keys.log(topic))]
        assert all(fitting(topic, raw) for raw in rows)
        return [json.loads(raw) for raw in rows]

    def journal(self, consumer_id: str = "s1") -> list[tuple[str, dict[str, Any]]]:
        rows = self.client.xrange(self.keys.deliveries(consumer_id))
        return [(fields[b"outcome"].decode(), json.loads(fields[b"entry"])) for _, fields in rows]

    def stands_in_one_place(self, consumer_id: str = "s1") -> None:
        """Exactly one of listening, awake, taken, resting, stopped, as docs/data-model.md has it."""
        state = self.field("state", consumer_id)
        marks = [name for name in ("wake", "token", "notBefore") if self.field(name, consumer_id)]
        due = self.client.zscore(self.keys.consumers_due, consumer_id)
        assert len(marks) <= 1, marks
        if state != "active":
            assert not [mark for mark in marks if mark != "token"]
        elif marks:
            assert due is not None, marks
        else:
            topics = json.loads(self.field("topics", consumer_id))
            sets = [(topic, name) for topic, names in topics for name in names or [None]]
            members = [self.client.zrange(self.keys.listening(topic, name), 0, -1) for topic, name in sets]
            assert all(any(m.decode().split("|")[0] == consumer_id for m in some) for some in members)
