"""A large Failed Requests table: what it costs to claim what is due of it, and to expire and trim what is too old."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

from redis import Redis

from app.outgoing.decision import AttemptError, AttemptResult
from app.outgoing.destinations import Destination, Destinations
from app.outgoing.model import AVOS, Acceptance, encode
from app.outgoing.scripts import SHARED_SCRIPTS, History, OutgoingScripts
from app.outgoing.store import OutgoingStore
from app.platform.embedded import stop
from app.platform.redis import connect, typed
from app.platform.scripts import Script, ScriptFolder
from benchmarks.processes import stolen_s, wait_until
from benchmarks.sides import patch, server
from tests.support.keys import AllKeys

DESTINATIONS: Final = Destinations(Destination(AVOS))
DUE: Final = 1000
_BATCH: Final = 500  # records made by one script
_LATER_MS: Final = 3_600_000
_OWN: Final = (
    "seq",
    "lane",
    "path",
    "versionPath",
    "media",
    "contentMediaId",
)  # what differs from copy to copy
_ATTEMPT: Final = {
    "at": "2026-11-21T18:00:00.000Z",
    "get": {"path": "/external/contentMedia/live/full-00000001", "status": 503, "latencyMs": 12.5},
    "outcome": "failed",
    "error": {"code": "server_error", "detail": "AVOS answers 503."},
}


@dataclass(frozen=True)
class Claimed:
    """Milliseconds for all `DUE` of them: swept into the order of work, promoted, claimed; and what the server spent."""

    sweep_ms: float
    promote_ms: float
    claim_ms: float
    server_ms: float

    @property
    def total_ms(self) -> float:
        return self.sweep_ms + self.promote_ms + self.claim_ms


@dataclass(frozen=True)
class Removed:
    """`longest_ms`: the longest that any script held the server, in its own processor time. By the clock, `slow` of all
    commands took more than 10 ms, and a hundredth of the scripts `p99_ms` and more; but where the machine is a guest, it
    may stand still for 10 ms at a time: `stolen_s` tells how much of that there was on all its cores."""

    count: int
    seconds: float
    p99_ms: float
    longest_ms: float
    slow: int
    stolen_s: float


class Weighed(ScriptFolder):
    """Scripts, with the processor time that the longest of them took the server."""

    def __init__(self, folder: Path, pid: int) -> None:
        super().__init__(folder, shared=SHARED_SCRIPTS)
        self.weighs(pid)

    def weighs(self, pid: int) -> None:
        """Whom it weighs: the server's process."""
        self._pid = pid
        self.longest_ms = 0.0

    def __getitem__(self, name: str) -> Script:
        return _Weighed(super().__getitem__(name).source, self)

    def weigh(self, work: Callable[[], Any]) -> Any:
        before = _server_ms(self._pid)
        answer = work()
        self.longest_ms = max(self.longest_ms, _server_ms(self._pid) - before)
        return answer


class WeighedRequests(Weighed, OutgoingScripts):
    """Those of outgoing requests."""

    def __init__(self, history: History, pid: int) -> None:
        OutgoingScripts.__init__(self, DESTINATIONS, history)
        self.weighs(pid)


class _Weighed(Script):
    def __init__(self, source: str, folder: Weighed) -> None:
        super().__init__(source)
        self._weighing = folder

    def run(self, client: Redis, keys: Sequence[str], args: Sequence[str | bytes | int]) -> Any:
        return self._weighing.weigh(lambda: super(_Weighed, self).run(client, keys, args))


class FailedTable:
    """A server of its own. Rewriting the append-only file is put off: a table of this size isn't made in a minute."""

    def __init__(self, folder: Path) -> None:
        self._embedded = server(folder)
        self._process = self._embedded.start()
        self._redis = connect(self._embedded.url, timeout_s=120)
        self._reader = typed(self._redis)
        self._keys = AllKeys("default")
        self._store = self._open(OutgoingScripts(DESTINATIONS))
        self._script = Script((Path(__file__).parent / "failed_table.lua").read_text())
        self._redis.config_set("auto-aof-rewrite-percentage", 0)
        self._redis.config_set("slowlog-max-len", 100_000)
        self._redis.config_set("latency-tracking-info-percentiles", "50 99 100")
        self._template = self._fail_once()
        self.size = 0

    def _open(self, scripts: OutgoingScripts) -> OutgoingStore:
        return OutgoingStore(self._redis, self._keys, scripts)

    def _fail_once(self) -> dict[str, Any]:
        """A record that our own scripts have brought into the table, as the others will look."""
        (request_id,) = self._store.accept(Acceptance(requests=(patch("full-0"),))).request_ids
        self._try(1)
        record = self._reader.hgetall(self._keys.request(request_id))
        versions = self._reader.hgetall(self._keys.fields(AVOS, "/external/contentMedia/live/full-0"))
        fixed = [
            (name.decode(), value.decode()) for name, value in record.items() if name.decode() not in _OWN
        ]
        digests = {
            name.decode(): value.decode().split("|")[2] for name, value in versions.items() if b"|" in value
        }
        return {
            "fixed": [text for pair in fixed for text in pair],
            "attempt": encode(_ATTEMPT).decode(),
            "digest": digests,
        }

    def fill(self, size: int) -> None:
        """Until the table has so many entries, none of them due within the hour."""
        now = self._store.time_ms()
        self._redis.config_set("appendonly", "no")  # while it is being made; it is written whole afterwards
        while self.size < size:
            control = {
                **self._template,
                "first": self.size + 1000,
                "count": min(_BATCH, size - self.size),
                "next_try_at": now + _LATER_MS,
                "expires_at": now + 24 * _LATER_MS,
            }
            self.size += int(self._script.run(self._redis, [self._keys.prefix], [json.dumps(control)]))
        self._redis.config_set("appendonly", "yes")
        wait_until(self._written, "the append-only file is written", timeout_s=300, every_s=0.2)
        # Later requests must be newer than these.
        self._redis.set(f"{self._keys.prefix}sequence", self.size + 10_000)

    def _written(self) -> bool:
        state = self._redis.info("persistence")
        return not state["aof_rewrite_in_progress"] and not state["aof_rewrite_scheduled"]

    def claim(self) -> Claimed:
        """Make `DUE` of the entries due, and bring them as far as a worker's claim."""
        now = self._store.time_ms()
        failed = self._keys.failed(AVOS)
        due = [found.decode() for found in self._reader.zrange(failed, 0, DUE - 1)]
        self._reader.zadd(failed, dict.fromkeys(due, now - 1))
        before = _server_ms(self._process.pid)
        sweep_ms, swept = _timed(lambda: self._store.sweep(AVOS))
        server_ms = _server_ms(self._process.pid) - before
        promote_ms = claim_ms = 0.0
        in_flight = self._store.destinations.of(AVOS).in_flight
        for _ in range(DUE // in_flight):
            promoted, claimed, server = self._try(in_flight)
            promote_ms, claim_ms, server_ms = promote_ms + promoted, claim_ms + claimed, server_ms + server
        if swept != DUE or self._reader.zcard(self._keys.due(AVOS)):
            raise ValueError(f"{swept} were swept, {self._reader.zcard(self._keys.due(AVOS))} are left")
        return Claimed(sweep_ms, promote_ms, claim_ms, server_ms)

    def _try(self, count: int) -> tuple[float, float, float]:
        """Promote and claim so many (timed; and the server's own time), and let all of them fail for an hour."""
        before = _server_ms(self._process.pid)
        promote_ms, _ = _timed(lambda: self._store.promote(AVOS))
        ids = [found.decode() for found in self._reader.zrange(self._keys.live(AVOS), 0, -1)]
        if len(ids) != count:
            raise ValueError(f"{len(ids)} are live, not {count}")
        claim_ms, claims = _timed(lambda: [self._store.claim(request_id) for request_id in ids])
        server_ms = _server_ms(self._process.pid) - before
        error = AttemptError("server_error", "AVOS answers 503.", retry_after_s=_LATER_MS / 1000)
        for claim in claims:
            if claim is None or not self._store.finish(claim, AttemptResult(_ATTEMPT, error)):
                raise ValueError("a claim was refused")
        self._redis.delete(f"{self._keys.prefix}live")  # the messages; nobody consumes them here
        return promote_ms, claim_ms, server_ms

    def expire(self, count: int) -> Removed:
        """Let so many be too old, and expire them as the tick does."""
        now = self._store.time_ms()
        for first in range(0, count, 10_000):
            last = min(first + 10_000, count) - 1
            ids = self._reader.zrange(self._keys.requests_in("failed"), first, last)
            self._reader.zadd(self._keys.expiry, dict.fromkeys([found.decode() for found in ids], now - 1))
        return self._removed(History(), "expire")

    def trim(self) -> Removed:
        """Remove what was expired, as the tick does once the history is old enough."""
        time.sleep(0.01)  # older than nothing: the clock must have moved
        return self._removed(History(keep=timedelta(0)), "trim")

    def _removed(self, history: History, verb: str) -> Removed:
        scripts = WeighedRequests(history, self._process.pid)
        store = self._open(scripts)
        self._redis.config_resetstat()
        self._redis.slowlog_reset()
        stolen = stolen_s()
        took_ms, count = _timed(lambda: store.expire(AVOS) if verb == "expire" else store.trim())
        slow = self._redis.slowlog_len()
        tracked = self._redis.info("latencystats")
        most = float(tracked["latency_percentiles_usec_evalsha"]["p99"])
        return Removed(
            int(count), took_ms / 1000, most / 1000, scripts.longest_ms, int(slow), stolen_s() - stolen
        )

    def memory_mb(self) -> float:
        return float(self._redis.info("memory")["used_memory"]) / 1e6

    def stop(self) -> None:
        self._redis.close()
        stop(self._process)


def _timed(work: Any) -> tuple[float, Any]:
    started = time.monotonic()
    result = work()
    return (time.monotonic() - started) * 1000, result


def _server_ms(pid: int) -> float:
    """Processor time of the server's main thread, by the scheduler's own count: waiting for the disk isn't in it."""
    return int(Path(f"/proc/{pid}/schedstat").read_text().split()[0]) / 1e6
