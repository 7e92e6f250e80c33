"""What is published in the measurements, and publishing it over HTTP at given moments."""

from __future__ import annotations

import itertools
import json
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from app.events.catalogue import TOPICS
from benchmarks.load import Connection, request
from benchmarks.processes import Broken

CALLERS: Final = 8  # connections that calls are made over, each one call at a time
KEYS: Final = 10_000  # assets that events are about, in turn
# As many as there are of these are subscriptions of the measurement in which each gets events of its own.
KINDS: Final = [(topic.name, name) for topic in TOPICS.values() if not topic.own for name in topic.events]
_KEPT_S: Final = (
    1.0  # a connection that hasn't been used for longer is made anew: the server may be closing it
)
_numbers: Final = itertools.count(1)
_LINK: Final = {"self": {"href": "/api/user/7"}}
_MEMBERS: Final[Mapping[str, Mapping[str, Any]]] = {
    "user": {"eventType": "UPDATE", "payload": {"name": "Somebody"}, "_links": _LINK},
    "order": {"eventType": "RENEW", "payload": {"orderId": 7}, "_links": _LINK},
    "asset": {"metadata": {"title": {"*": "Home - Away"}, "description": {"*": "x" * 200}}, "platforms": []},
    "category": {"platforms": ["web", "ios", "android"]},
    "capture": {"userId": 7, "orderId": 7, "productGroupId": 3, "parameters": {"channel": "web"}},
    "contentPanel": {
        "contentPanelId": 7,
        "contentPanelKey": "start",
        "contentPanelType": "row",
        "parentKey": "root",
        "action": "updated",
        "action_on_type": "content_panel",
        "user": "somebody",
        "system_name": "cms",
    },
    "ingest": {"companyId": 7, "assetId": "7", "ingestId": "i-7"},
}


@dataclass(frozen=True)
class Call:
    """One event to be published with a call of its own, so many seconds after the beginning."""

    moment: float
    guid: str
    whole: bytes


def event(topic: str, name: str) -> dict[str, Any]:
    """A new event of some hundred bytes."""
    number = next(_numbers)
    family = TOPICS[topic].events[name]
    members = dict(_MEMBERS["ingest" if family == "ingestStarted" else family])
    if family in ("asset", "category"):
        members[f"{family}Id"] = number % KEYS
    return {"eventName": name, "guid": f"bench-{number:09d}", **members}


def texts(topic: str, name: str, count: int) -> list[bytes]:
    """So many new events, as they are handed to the log itself."""
    return [json.dumps(event(topic, name)).encode() for _ in range(count)]


def call(moment: float, topic: str, name: str, token: str) -> Call:
    made = event(topic, name)
    return Call(moment, made["guid"], request("POST", f"/api/events/{topic}", made, token))


def calls(topic: str, name: str, token: str, count: int) -> Iterator[bytes]:
    """Requests without end that publish `count` new events each."""
    while True:
        made = [event(topic, name) for _ in range(count)]
        yield request("POST", f"/api/events/{topic}", made if count > 1 else made[0], token)


def publish(port: int, planned: Sequence[Call]) -> dict[str, float]:
    """Make each call at its moment; guid → when (seconds since 1970) it was sent. Raises Broken."""
    publishing = _Publishing(port, planned)
    callers = [threading.Thread(target=publishing.call) for _ in range(CALLERS)]
    for thread in callers:
        thread.start()
    for thread in callers:
        thread.join()
    if publishing.problems:
        raise Broken(publishing.problems[0])
    return publishing.sent


class _Publishing:
    """Calls that several threads share."""

    def __init__(self, port: int, planned: Sequence[Call]) -> None:
        self.sent: dict[str, float] = {}
        self.problems: list[str] = []
        self._port = port
        self._waiting = iter(planned)
        self._taking = threading.Lock()
        self._started = time.monotonic()

    def call(self) -> None:
        """Take one call after the other until there are no more."""
        connection: Connection | None = None
        try:
            while not self.problems and (due := self._next()) is not None:
                time.sleep(max(0.0, self._started + due.moment - time.monotonic()))
                connection = self._fresh(connection)
                self.sent[due.guid] = time.time()
                status, body = connection.call(due.whole)
                if status != 202:
                    self.problems.append(f"Publishing was answered {status}: {body[:200]!r}")
        except OSError as error:
            self.problems.append(f"Publishing failed: {error}")
        finally:
            if connection is not None:
                connection.close()

    def _next(self) -> Call | None:
        with self._taking:
            return next(self._waiting, None)

    def _fresh(self, before: Connection | None) -> Connection:
        if before is not None:
            if time.monotonic() - before.sent_at < _KEPT_S:
                return before
            before.close()
        return Connection(self._port)
