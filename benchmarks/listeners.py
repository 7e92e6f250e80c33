"""Publishing to many who listen: what it costs the server in the publishing script, and in the steps that wake them afterwards."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from app.events.consumers.claims import SCRIPTS as CONSUMER_SCRIPTS
from app.events.consumers.claims import ConsumerScripts
from app.events.consumers.figures import FiguresReader
from app.events.consumers.model import ConsumerSpec
from app.events.consumers.store import ConsumerStore
from app.events.consumers.ticks import ConsumerTicks
from app.events.log import SCRIPTS, EventLog
from app.events.sinks.base import Sink
from app.platform.embedded import stop
from app.platform.encryption import Encryption
from app.platform.redis import connect
from benchmarks.failed_table import Weighed
from benchmarks.sides import server
from tests.support.keys import AllKeys

TOPIC: Final = "asset-operations"
_WARM: Final = 3  # publishings to a topic that nobody follows


@dataclass(frozen=True)
class Woken:
    """Milliseconds of the server's processor time: the publishing script, the longest step of waking, and the longest of
    looking at all of them for monitoring and in the audit. `messages` were pushed by who published."""

    publish_ms: float
    step_ms: float
    figures_ms: float
    audit_ms: float
    messages: int
    woken: int


class _NoSinks:
    def build(self, sink: Mapping[str, Any], secrets: Mapping[str, Any], *, ordered: bool) -> Sink:
        raise NotImplementedError("nothing is delivered here")


class Listeners:
    """A server of its own, without workers."""

    def __init__(self, folder: Path) -> None:
        embedded = server(folder)
        self._process = embedded.start()
        self._redis = connect(embedded.url, timeout_s=60)
        self._rounds = 0

    def measure(self, count: int) -> Woken:
        """One event to so many listeners."""
        self._rounds += 1
        tenant = f"round{self._rounds}"
        keys = AllKeys(tenant)
        of_log, of_consumers = (
            Weighed(SCRIPTS, self._process.pid),
            Weighed(CONSUMER_SCRIPTS, self._process.pid),
        )
        log = EventLog(self._redis, keys, scripts=of_log)
        scripts = ConsumerScripts(self._redis, keys, of_consumers)
        ticks, consumers = ConsumerTicks(scripts), ConsumerStore(scripts, log, _NoSinks(), Encryption())
        for number in range(count):
            consumers.create(
                ConsumerSpec(id=f"consumer-{number}", topics=((TOPIC, frozenset()),), sink={"name": "none"})
            )
        ticks.look_after()
        for _ in range(_WARM):
            log.publish("category-operations", [_event("category-created", "categoryId")], "benchmark")
            ticks.fan_out("category-operations")
        audit_ms = _longest(of_consumers, ticks.audit)
        figures_ms = _longest(of_consumers, FiguresReader(scripts).read)
        of_log.longest_ms = 0.0
        log.publish(TOPIC, [_event("asset-created", "assetId")], "benchmark")
        messages = int(self._redis.llen(f"{keys.prefix}deliveries"))
        step_ms = _longest(of_consumers, lambda: ticks.fan_out(TOPIC))
        woken = int(self._redis.llen(f"{keys.prefix}deliveries")) - (messages if count > messages else 0)
        return Woken(of_log.longest_ms, step_ms, figures_ms, audit_ms, messages, woken)

    def stop(self) -> None:
        self._redis.close()
        stop(self._process)


def _longest(scripts: Weighed, work: Callable[[], Any]) -> float:
    scripts.longest_ms = 0.0
    work()
    return scripts.longest_ms


def _event(name: str, member: str) -> bytes:
    return json.dumps({"eventName": name, member: 1}).encode()
