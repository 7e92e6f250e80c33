"""The fault script: what is broken when, for how long, drawn from a seed; and how each fault is staged.

Four tracks run side by side, so that faults meet: `workers` are killed, `processes` are frozen, killed and restarted
in order, the `store` is frozen, killed, cut off, filled and its clock stepped, the `far` side misbehaves.
"""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import redis

from app.platform.redis import connect
from tests.chaos.house import APIS, ATTEMPT_S, BEATS, LEASE_S, LIVE, WORKERS, ChaosHouse
from tests.chaos.judge import Staged

PROCESSES: Final = (
    "freeze worker", "freeze worker", "freeze worker", "kill beat", "freeze beat", "step the clock of beat",
    "step the clock of workers", "kill api", "freeze api", "rolling restart",
)  # fmt: skip
STORE: Final = (
    "freeze store", "kill store", "freeze store", "kill store", "cut all connections", "memory full", "disk full",
    "step the clock of the store",
)  # fmt: skip
FAR: Final = (
    "down", "reset unread", "slow", "reset before", "reset after", "conflicts", "foreign edits", "throttled",
    "unavailable", "token refused", "malformed",
)  # fmt: skip
COARSE: Final = ("applied late", "applied late")  # where lastModified can't tell two writes of a second apart
# A far side may fail while others wait: nothing of these says that a write wasn't applied but `reset` and `slow`.
SWITCHES: Final[Mapping[str, dict[str, Any]]] = {
    "down": {"down": "refuse"},
    "reset unread": {"down": "reset"},
    "slow": {"latencyMs": {"get": 300, "patch": 2500, "other": 200}},
    "reset before": {"faults": [{"kind": "reset", "when": "before", "probability": 0.4}]},
    "reset after": {"faults": [{"kind": "reset", "when": "after", "on": "patch", "probability": 0.5}]},
    "applied late": {"faults": [{"kind": "late", "on": "patch", "probability": 0.3, "intervalMs": 450}]},
    "conflicts": {"faults": [{"kind": "conflict", "on": "patch", "probability": 0.7}]},
    "foreign edits": {"faults": [{"kind": "edit", "on": "patch", "probability": 0.5}]},
    "throttled": {"faults": [{"kind": "status", "status": 429, "retryAfter": 1, "probability": 0.5}]},
    "unavailable": {"faults": [{"kind": "status", "status": 503, "probability": 0.7}]},
    "token refused": {"faults": [{"kind": "status", "status": 401}]},
    "malformed": {"faults": [{"kind": "malformed", "on": "get", "probability": 0.5}]},
}
WELL: Final[Mapping[str, Any]] = {"down": "no", "faults": []}


@dataclass(frozen=True)
class Fault:
    """`at` and `lasts` in seconds of the campaign; `whom` names a process, or by how much a clock is stepped."""

    at: float
    track: str
    kind: str
    lasts: float = 0.0
    whom: str = ""


def script(seed: int, seconds: float, kills: int, *, coarse: bool = False) -> list[Fault]:
    """Everything that will be broken, by the seed alone; nothing in the last seconds, so that all tracks end."""
    far = (*FAR, *COARSE) if coarse else FAR
    end = seconds - 2
    found = [*_kills(random.Random(f"{seed}-workers"), end, kills)]
    for track, kinds, pause in (("processes", PROCESSES, 4.0), ("store", STORE, 7.0), ("far", far, 2.5)):
        found += _track(random.Random(f"{seed}-{track}"), track, kinds, pause, end)
    return sorted(found, key=lambda fault: fault.at)


def _kills(chance: random.Random, end: float, kills: int) -> Iterator[Fault]:
    for number in range(kills):
        at = (number + chance.uniform(0.1, 0.9)) * end / kills
        # The live ones hold what matters; the others aren't immune.
        yield Fault(at, "workers", "kill worker", whom=chance.choice([*LIVE, *LIVE, *LIVE, *WORKERS]))


def _track(
    chance: random.Random, track: str, kinds: tuple[str, ...], pause: float, end: float
) -> Iterator[Fault]:
    """Every kind once before any comes again."""
    at = chance.uniform(1, pause)
    left: list[str] = []
    while True:
        left = left or chance.sample(kinds, len(kinds))
        fault = _drawn(chance, at, track, left.pop())
        if at + fault.lasts > end:
            return
        yield fault
        at += fault.lasts + chance.uniform(0.5, 1.5) * pause


def _drawn(chance: random.Random, at: float, track: str, kind: str) -> Fault:
    lasts, whom = chance.uniform(1.0, 4.0), ""
    if kind == "freeze worker":
        lasts, whom = chance.uniform(0.5, 2.5) * LEASE_S, chance.choice([*LIVE, *LIVE, *WORKERS])
    elif kind in ("kill beat", "freeze beat"):
        lasts, whom = (0.0 if kind == "kill beat" else lasts), chance.choice(BEATS)
    elif kind in ("kill api", "freeze api"):
        lasts, whom = (0.0 if kind == "kill api" else lasts), chance.choice(APIS)
    elif kind == "rolling restart":
        lasts = 0.0
    elif kind.startswith("step the clock"):
        lasts, whom = chance.uniform(2, 5), f"{chance.choice([5, 60, 3600]) * chance.uniform(-1, 1):.1f}"
    elif kind in ("kill store", "cut all connections"):
        lasts = chance.choice([0.0, chance.uniform(0.5, 3.0)]) if kind == "kill store" else 0.0
    return Fault(round(at, 2), track, kind, round(lasts, 2), whom)


@dataclass(frozen=True)
class Struck:
    """A fault as it happened."""

    at: float
    ended: float
    fault: Fault
    note: str


class Saboteur:
    """Runs a fault script against a house. `log` tells what happened."""

    def __init__(self, house: ChaosHouse, faults: list[Fault]) -> None:
        self._house = house
        self._faults = faults
        self.log: list[Struck] = []
        self.staged: list[Staged] = []
        self.api_frozen: list[Staged] = []
        self.counts: Counter[str] = Counter()
        self.problems: list[str] = []
        self._began = time.monotonic()
        self._abort = threading.Event()

    def run(self, meanwhile: Callable[[], None] = lambda: None) -> None:
        """Until every track has ended; whatever was broken is whole again. `meanwhile` is called twice a second."""
        self._began = time.monotonic()
        tracks = sorted({fault.track for fault in self._faults})
        threads = [
            threading.Thread(target=self._track, args=(track,), name=track, daemon=True) for track in tracks
        ]
        for thread in threads:
            thread.start()
        try:
            for thread in threads:
                while thread.is_alive():
                    thread.join(0.5)
                    meanwhile()
        finally:
            self._abort.set()
            self._house.avos.control(**WELL, latencyMs=self._house.usual_latency)

    def _track(self, track: str) -> None:
        for fault in self._faults:
            if fault.track != track:
                continue
            if self._abort.wait(max(0.0, self._began + fault.at - time.monotonic())):
                return
            at = time.monotonic()
            try:
                note = self._stage(fault)
            except Exception as error:  # noqa: BLE001 - a fault that can't be staged fails the campaign, in its report
                note = repr(error)
                self.problems.append(
                    f"{fault.kind} {fault.whom} at {fault.at:.1f} s couldn't be staged: {error!r}"
                )
            ended = time.monotonic()
            self.counts[fault.kind] += note != "it wasn't there"
            self.log.append(Struck(at - self._began, ended - self._began, fault, note))
            self._excuse(fault, at, ended)

    def _excuse(self, fault: Fault, at: float, ended: float) -> None:
        """When two writes may meet in a lane: a worker that was frozen sends what it had begun when it wakes up, and
        an attempt at a slow far side is given up while the first is still under way there."""
        if fault.kind == "freeze api":
            self.api_frozen.append(Staged(at, ended))
        if fault.kind in ("freeze worker", "slow"):
            self.staged.append(Staged(at, ended + ATTEMPT_S + LEASE_S))

    def _stage(self, fault: Fault) -> str:
        if fault.track == "workers":
            return "" if self._house.kill(fault.whom) else "it wasn't there"
        if fault.track == "far":
            return self._far(fault)
        if fault.track == "processes":
            return self._process(fault)
        return self._store(fault)

    def _far(self, fault: Fault) -> str:
        usual = self._house.usual_latency
        self._house.avos.control(**{"latencyMs": usual, **SWITCHES[fault.kind]})
        self._abort.wait(fault.lasts)
        self._house.avos.control(**WELL, latencyMs=usual)
        return ""

    def _process(self, fault: Fault) -> str:
        house = self._house
        if fault.kind.startswith("kill"):
            return "" if house.kill(fault.whom) else "it wasn't there"
        if fault.kind.startswith("freeze"):
            pids = house.freeze(fault.whom)
            self._abort.wait(fault.lasts)
            house.thaw(pids)
            return "" if pids else "it wasn't there"
        if fault.kind.startswith("step"):
            return self._step("beat1" if fault.kind.endswith("beat") else "workers", fault)
        stopped = [name for name in WORKERS if house.restart_in_order(name, timeout_s=10)]
        return f"{len(stopped)} of {len(WORKERS)} ended in order"

    def _step(self, name: str, fault: Fault) -> str:
        clock = self._house.clocks[name]
        if not clock.steppable:
            return "not staged: no C compiler here"
        clock.step(float(fault.whom))
        self._abort.wait(fault.lasts)
        clock.step(0.0)
        return ""

    def _store(self, fault: Fault) -> str:
        server = self._house.server
        if fault.kind == "freeze store":
            self._house.freeze_server()
            self._abort.wait(fault.lasts)
            self._house.thaw_server()
        elif fault.kind == "kill store":
            server.kill()
            self._abort.wait(fault.lasts)
            server.start()
        elif fault.kind == "cut all connections":
            with self._client() as client:
                return f"{client.execute_command('CLIENT', 'KILL', 'TYPE', 'normal')} connections"
        elif fault.kind == "memory full":
            with self._client() as client:
                before = client.config_get("maxmemory")["maxmemory"]
                client.config_set("maxmemory", "2mb")
                self._abort.wait(fault.lasts)
                client.config_set("maxmemory", before)
        elif fault.kind == "disk full":
            server.fill_disk()
            ended = server.wait_ended(10)
            if not ended:
                server.kill()
            self._abort.wait(fault.lasts)
            server.start()
            return "it ended at a write that it couldn't make" if ended else "it wrote nothing for 10 s"
        else:
            return self._step("server", fault)
        return ""

    def _client(self) -> redis.Redis:
        return connect(self._house.server.url, timeout_s=10)


def shown(log: list[Struck]) -> str:
    """The fault log, to be read."""
    lines = []
    for one in sorted(log, key=lambda one: one.at):
        whom = f" {one.fault.whom}" if one.fault.whom else ""
        lasted = f" for {one.ended - one.at:.1f} s" if one.ended - one.at > 0.2 else ""
        note = f" ({one.note})" if one.note else ""
        lines.append(f"{one.at:8.2f} s  {one.fault.track:<9} {one.fault.kind}{whom}{lasted}{note}")
    return "\n".join(lines)
