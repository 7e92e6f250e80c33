"""How many calls a second the API accepts, beside a Flask view that sends a chain. Nothing is delivered meanwhile."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from benchmarks.load import Answered, Connection, press, request
from benchmarks.ours import Ours
from benchmarks.plain import Plain
from benchmarks.processes import Broken, cpu_s
from benchmarks.sides import Side
from benchmarks.updates import names

NOWHERE: Final = "http://127.0.0.1:9"  # nothing is sent in this measurement
BULK: Final = 100  # messages of one call
_START: Final = datetime(2026, 11, 21, 18, tzinfo=UTC)
_moves: Final = itertools.count(1)


@dataclass(frozen=True)
class Rate:
    """`accepted` calls in `seconds`, each of so many `items`; processor time of API and server for one item."""

    accepted: int
    items: int
    seconds: float
    took_s: tuple[float, float]  # median and 99th percentile of a call
    cpu_ms: Mapping[str, float]

    @property
    def per_second(self) -> float:
        return self.accepted * self.items / self.seconds


class Planning:
    """Events with a job and a registered livestream each, so that every change to them queues an update."""

    def __init__(self, side: Ours, pairs: int) -> None:
        self._token = side.token
        self._pairs = pairs
        made = [f"{number:05d}" for number in range(pairs)]
        with_all = Connection(side.port)
        for first in range(0, pairs, BULK):
            chunk = made[first : first + BULK]
            events = [{"type": "event", "id": f"ev-{n}", "body": _event(n)} for n in chunk]
            jobs = [{"type": "job", "id": f"job-{n}", "body": _job(n)} for n in chunk]
            _expect(
                200, with_all.call(self._request("POST", "/api/custom/messages", {"messages": events + jobs}))
            )
        for number in made:
            path = f"/api/custom/livestreams/registrations?livestreamId=ls-{number}"
            _expect(201, with_all.call(self._request("POST", path, {"contentMediaId": f"cm-{number}"})))
        with_all.close()

    def puts(self) -> Iterator[bytes]:
        """Every event moved, then every job, and so on: what is on its way at one time never concerns the same pair."""
        numbers = [f"{n:05d}" for n in range(self._pairs)]
        while True:
            for number in numbers:
                yield self._request("PUT", f"/api/custom/events/ev-{number}", _event(number, next(_moves)))
            for number in numbers:
                yield self._request("PUT", f"/api/custom/jobs/job-{number}", _job(number, next(_moves)))

    def bulks(self) -> Iterator[bytes]:
        """`BULK` jobs moved with one call."""
        numbers = itertools.cycle(f"{n:05d}" for n in range(self._pairs))
        while True:
            messages = [
                {"type": "job", "id": f"job-{number}", "body": _job(number, next(_moves))}
                for number in itertools.islice(numbers, BULK)
            ]
            yield self._request("POST", "/api/custom/messages", {"messages": messages})

    def _request(self, method: str, path: str, body: Any) -> bytes:
        return request(method, path, body, self._token)


class Accepting:
    """Both doors open at once, and pressed in turn."""

    def __init__(self, folder: Path, pairs: int) -> None:
        self._ours = Ours(folder / "ours", NOWHERE, only=("api",))
        try:
            (folder / "naive").mkdir()
            self._plain = Plain(folder / "naive", NOWHERE, "defaults", workers=False)
        except BaseException:
            self._ours.stop()
            raise
        planning = Planning(self._ours, pairs)
        self.kinds: Mapping[str, tuple[Side, Callable[[], Iterator[bytes]], int]] = {
            "naive view": (self._plain, lambda: _calls(self._plain), 1),
            "generic request": (self._ours, lambda: _calls(self._ours), 1),
            "event or job": (self._ours, planning.puts, 1),
            "bulk message": (self._ours, planning.bulks, BULK),
        }

    def round(self, seconds: float) -> Iterator[tuple[str, Rate]]:
        """Each kind of call for so long."""
        for kind, (side, calls, items) in self.kinds.items():
            yield kind, _press(side, calls(), items, seconds)

    def memory(self) -> float:
        """Megabytes (PSS) of the API's processes together."""
        return sum(memory.pss for memory in self._ours.api_memory())

    def stop(self) -> None:
        self._plain.stop()
        self._ours.stop()


def _press(side: Side, calls: Iterator[bytes], items: int, seconds: float) -> Rate:
    groups = side.pids()
    before = {group: cpu_s(pids) for group, pids in groups.items()}
    answered: Answered = press(side.port, calls, seconds=seconds, connections=16 if items == 1 else 2)
    done = answered.accepted * items
    if done == 0 or answered.accepted < sum(answered.statuses.values()):
        raise Broken(f"{side.name} answered {dict(answered.statuses)}.")
    cpu = {group: (cpu_s(pids) - before[group]) * 1000 / done for group, pids in groups.items()}
    ordered = sorted(answered.took_s)
    took = (ordered[len(ordered) // 2], ordered[int(len(ordered) * 0.99)])
    return Rate(answered.accepted, items, answered.seconds, took, cpu)


def _calls(side: Side) -> Iterator[bytes]:
    while True:
        yield side.call(names(1)[0])


def _expect(status: int, answer: tuple[int, bytes]) -> None:
    if answer[0] != status:
        raise Broken(f"The API answers {answer[0]}: {answer[1][:300]!r}")


def _at(minutes: int) -> str:
    return (_START + timedelta(minutes=minutes)).strftime("%Y-%m-%dT%H:%M:%SZ")


def _event(number: str, move: int = 0) -> dict[str, Any]:
    """As in the outside contract; `move` makes its end another one."""
    livestream = {"livestreamId": f"ls-{number}", "preKoUtc": _at(90), "txEventType": "Update"}
    return {"name": f"Home - Away {number}", "eventEnd": _at(300 + move), "livestreams": [livestream]}


def _job(number: str, move: int = 0) -> dict[str, Any]:
    properties = {
        "DMHE": "true",
        "Destination": "http://example.com/destination1",
        "SourceUri": "http://example.com/resourceA",
        "SourceChannelId": "channel123",
    }
    resource = {
        "resourceId": "r-1",
        "name": "ResourceA",
        "properties": [{"name": name, "value": value} for name, value in properties.items()],
    }
    node = {"nodeId": "1", "alias": "main", "nodeType": "Resource", "order": 1, "resource": resource}
    info = {"jobName": f"Home - Away {number}", "jobStart": _at(-move), "jobEnd": _at(270)}
    return {"eventId": f"ev-{number}", "status": "confirmed", "jobInfo": info, "nodes": [node]}
