"""Publishers of events under faults. What isn't acknowledged is sent again, the same events with the same guids, until it is:
at the other API process, as a publisher should. Every event is noted before it is first sent, because its answer may be lost.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, Final

import requests

from tests.chaos.stream_judge import Published

ASSETS: Final = "asset-operations"
CATEGORIES: Final = "category-operations"
TOPICS: Final = (ASSETS, CATEGORIES)
ENTITIES: Final = 150  # ids on each topic: what keeps its order in a stream
_REPEAT_S: Final = 0.1
_PATIENCE_S: Final = 6.0
_LARGE: Final = 20_000  # bytes, of one in a hundred
# Spellings that whoever reads and writes JSON again would change.
_ODD: Final = (
    '"odd" : {"zero": 0.0, "large": 12345678901234567890, "object": {}, "list": [], "letter": "æ\\u00e6"}'
)


@dataclass
class Heard:
    """What one publisher has seen."""

    events: list[Published] = field(default_factory=list)
    calls: int = 0
    repeated: int = 0
    problems: list[str] = field(default_factory=list)


class Publisher:
    """One thread that publishes `count` events within about `seconds`, in calls of one to 250."""

    def __init__(
        self, name: str, seed: str, urls: Sequence[str], token: str, count: int, seconds: float
    ) -> None:
        self.name = name
        self.heard = Heard()
        self._random = random.Random(seed)
        self._urls = list(urls)
        self._count = count
        self._seconds = seconds
        self._give_up = threading.Event()
        self._session = requests.Session()
        self._session.trust_env = False
        self._session.headers.update({"Authorization": f"Bearer {token}", "Content-Type": "application/json"})
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def join(self, timeout_s: float) -> bool:
        """Until all was heard, or the time is over; whether it was."""
        self._thread.join(timeout_s)
        self._give_up.set()
        self._thread.join(_PATIENCE_S + 1)
        self._session.close()
        return len(self.heard.events) == self._count and not self.heard.problems

    @property
    def acknowledged(self) -> int:
        return sum(bool(event.sequences) for event in self.heard.events)

    def _run(self) -> None:
        began = time.monotonic()
        try:
            while len(self.heard.events) < self._count:
                due = began + self._seconds * len(self.heard.events) / self._count
                if self._give_up.wait(max(0.0, due - time.monotonic())):
                    break
                self._until_heard(self._batch())
        except Exception as error:  # noqa: BLE001 - shown in the report; a thread's own end isn't
            self.heard.problems.append(f"{self.name}: {error!r}")

    def _batch(self) -> list[Published]:
        size = self._random.choice([1, 1, self._random.randint(2, 30), self._random.randint(100, 250)])
        # No call is larger than a twentieth of all, so that few events come in many calls too.
        size = min(size, max(1, self._count // 20), self._count - len(self.heard.events))
        topic = self._random.choice([ASSETS, ASSETS, CATEGORIES])
        batch = [self._event(topic, len(self.heard.events) + number) for number in range(size)]
        self.heard.events += batch
        return batch

    def _event(self, topic: str, number: int) -> Published:
        kind = topic.removesuffix("-operations")
        name = f"{kind}-{self._random.choice(['created', 'updated', 'updated', 'deleted', 'published'])}"
        guid = f"{self.name}-{number}-{self._random.getrandbits(64):016x}"
        text = (
            f'{{"eventName":"{name}", "originator":"chaos",\n "tenant" : "t", "versions":["1.0"], '
            f'"timestamp":"2026-11-21T19:30:00.120+00:00","guid":"{guid}", "{kind}Id": {self._random.randrange(ENTITIES)}, '
            f'{_ODD}, "number":{number}'
        )
        if self._random.random() < 0.01:
            text += f', "large": "{"x" * _LARGE}"'
        return Published(topic, name, guid, f"{text} }}".encode())

    def _until_heard(self, batch: list[Published]) -> None:
        """Until each of them has a sequence. A call may be answered in part: the rest is sent again."""
        self.heard.calls += 1
        left = batch
        while left and not self._give_up.is_set():
            results = self._call(left)
            if results is None:
                self.heard.repeated += 1
                self._urls.append(self._urls.pop(0))
                self._give_up.wait(_REPEAT_S)
                continue
            left = self._not_heard(left, results)
        if not left and any(later.sequences[0] <= earlier.sequences[0] for earlier, later in pairwise(batch)):
            self.heard.problems.append(f"{self.name}: an array's order wasn't kept: {batch[0].guid} …")

    def _call(self, events: Sequence[Published]) -> list[dict[str, Any]] | None:
        """The results, or None where it has to be tried again. Anything else but 202 and 503 ends the publisher."""
        body = (
            events[0].body if len(events) == 1 else b"[" + b" , ".join(event.body for event in events) + b"]"
        )
        url = f"{self._urls[0]}/api/events/{events[0].topic}"
        try:
            answer = self._session.post(url, data=body, timeout=_PATIENCE_S)
        except requests.RequestException:
            return None
        if answer.status_code == 503:
            return None
        if answer.status_code != 202:
            raise AssertionError(f"{answer.status_code}: {answer.text[:500]}")
        results: list[dict[str, Any]] = answer.json()["results"]
        return results

    def _not_heard(self, sent: Sequence[Published], results: Sequence[dict[str, Any]]) -> list[Published]:
        left = []
        for event, result in zip(sent, results, strict=True):
            if "sequence" in result:
                if result["guid"] != event.guid:
                    raise AssertionError(f"{event.guid} was answered as {result['guid']}")
                event.heard = event.heard or time.monotonic()
                event.sequences.append(int(result["sequence"]))
            elif result["status"] == 503:
                left.append(event)
            else:
                raise AssertionError(f"one of many: {result}")
        return left
