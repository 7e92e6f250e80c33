"""Our side for the measurements of the event stream: subscriptions over HTTP, events into the log, what consumers have done."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from app.events.log import EventLog
from benchmarks.events_load import texts
from benchmarks.load import Connection, request
from benchmarks.ours import Ours
from benchmarks.processes import Broken, cpu_s, wait_until
from tests.support.keys import AllKeys

NOWHERE: Final = "http://127.0.0.1:9"  # of AVOS: nothing is sent there in these measurements
WORKERS: Final = ("events", "events-slow")  # that deliver
_CHUNK: Final = 1000  # events that are handed to the log at once


class Stream(Ours):
    """All processes of `up`; webhooks on this machine are allowed. `aws` is boto3's environment."""

    def __init__(self, folder: Path, aws: Mapping[str, str]) -> None:
        super().__init__(folder, NOWHERE, MEDIAOPS_ALLOWED_CIDRS="127.0.0.0/8", **aws)

    def api(self, method: str, path: str, body: Any = None) -> Any:
        """A call, answered 2xx. Raises Broken."""
        connection = Connection(self.port)
        try:
            status, content = connection.call(request(method, path, body or {}, self.token))
        finally:
            connection.close()
        if not 200 <= status < 300:
            raise Broken(f"{method} {path} is answered {status}: {content[:300]!r}")
        return json.loads(content)

    def subscribe(self, topics: Sequence[Mapping[str, Any]], sink: Mapping[str, Any], **more: Any) -> str:
        """A new subscription's id."""
        made = self.api("POST", "/api/subscriptions", {"topics": topics, "sink": sink, **more})
        return str(made["id"])

    def webhook(self, url: str, topic: str, name: str | None = None) -> str:
        """An ordered one to all of a topic, or to one event's name."""
        wanted = {"topic": topic} if name is None else {"topic": topic, "eventNames": [name]}
        return self.subscribe([wanted], {"type": "webhook", "url": url})

    def unsubscribe(self, ids: Sequence[str]) -> None:
        for one in ids:
            self.api("DELETE", f"/api/subscriptions/{one}")

    def act(self, subscription: str, verb: str) -> None:
        self.api("POST", f"/api/subscriptions/{subscription}/{verb}")

    def write(self, topic: str, name: str, count: int) -> None:
        """So many events straight into the log, without a call over HTTP."""
        for first in range(0, count, _CHUNK):
            self.system[EventLog].publish(topic, texts(topic, name, min(_CHUNK, count - first)), "benchmark")

    def delivered(self, consumer: str | None = None) -> int:
        """Events that a consumer has delivered."""
        if consumer is None:
            return super().delivered()
        key = AllKeys.of(self.system.keys).consumer_part(consumer, "counters")
        return int(self.system.redis.hget(key, "delivered") or 0)

    def wait_delivered(self, consumer: str, count: int, timeout_s: float) -> float:
        """When (of time.monotonic) it had delivered so many. Raises Broken."""
        what = f"{count} events are delivered"
        wait_until(lambda: self.delivered(consumer) >= count, what, timeout_s=timeout_s, every_s=0.01)
        return time.monotonic()

    def cpu(self) -> dict[str, float]:
        """Seconds of processor time so far, by program; the workers that deliver nothing are `others`."""
        shown = {"server": "redis", "api": "api", **{name: name for name in WORKERS}}
        used: dict[str, float] = {}
        for name, program in self._programs.items():
            group = shown.get(name.rstrip("0123456789"), "others")
            used[group] = used.get(group, 0.0) + cpu_s([program.pid])
        return used
