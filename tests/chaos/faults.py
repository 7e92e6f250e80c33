"""How each fault of a script is staged, and what that explains."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import redis

from app.platform.redis import connect
from tests.chaos.deployment import ATTEMPT_S, DELIVERERS, LEASE_S, WORKERS, ChaosDeployment
from tests.chaos.judge import Staged
from tests.chaos.operators import Operators
from tests.chaos.script import SWITCHES, WELL, Fault
from tests.chaos.stream_judge import Excuse
from tests.chaos.subscribers import SWITCHES as SUBSCRIBERS
from tests.support.deployment import TENANT

_LATE_S: Final = 1.0  # between a fault and what a receiver writes down of what was on its way to it
# Celery's own connection may take as long to find out that the server was away, and some workers end over it.
_AFTERMATH_S: Final = 6.0
_TERM_S: Final = 20.0  # what a worker of events is delivering may come to its end


@dataclass(frozen=True)
class Struck:
    """A fault as it happened."""

    at: float
    ended: float
    fault: Fault
    note: str


class Saboteur:
    """Runs a fault script against a deployment. `log` tells what happened."""

    def __init__(
        self, deployment: ChaosDeployment, faults: list[Fault], operators: Operators, lane: str
    ) -> None:
        """`lane`: the content media whose requests AVOS refuses, where the script says so."""
        self._deployment = deployment
        self.lane = lane
        self._faults = faults
        self._operators = operators
        self.log: list[Struck] = []
        self.staged: list[Staged] = []
        self.api_frozen: list[Staged] = []
        self.excuses: list[Excuse] = []  # of what subscribers get twice
        self.frozen: list[Excuse] = []  # of what they get late
        self.blinks: list[Staged] = []
        self.longest_queues: dict[str, int] = {}  # while nobody took anything out of them
        self.counts: Counter[str] = Counter()
        self.problems: list[str] = []
        self._began = time.monotonic()
        self._abort = threading.Event()

    def run(self, meanwhile: Callable[[], None] = lambda: None, *, until: float = 0.0) -> None:
        """Until every track has ended, and this time (monotonic) has come; whatever was broken is whole again then.
        `meanwhile` is called twice a second."""
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
            while not self._abort.wait(min(0.5, max(0.0, until - time.monotonic()))):
                meanwhile()
                if time.monotonic() >= until:
                    break
        finally:
            self._abort.set()
            self._deployment.avos.control(**WELL, latencyMs=self._deployment.usual_latency)
            self._deployment.avos.control(self.lane, faults=[])

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
        if fault.kind == "freeze deliverer":
            self.frozen.append(Excuse(at, ended + _LATE_S))
        if fault.track == "store":
            self.excuses.append(Excuse(at, ended + _AFTERMATH_S))
        elif fault.kind in ("kill deliverer", "freeze deliverer"):
            self.excuses.append(Excuse(at, ended + _LATE_S))
        elif fault.kind.endswith("loses answers") or fault.kind in ("hook slow", "hook drips"):
            # Who takes longer than a first try may is sent the event again.
            self.excuses.append(Excuse(at, ended + _LATE_S, fault.whom))

    def _stage(self, fault: Fault) -> str:
        stages: dict[str, Callable[[Fault], str]] = {
            "workers": self._strike,
            "far": self._far,
            "lane": self._refuse_lane,
            "blinks": self._blink,
            "roles": self._restart,
            "away": self._no_workers,
            "subscribers": self._subscriber,
            "topic": self._subscriber,
            "operators": self._operate,
            "deliverers": self._deliverer,
            "processes": self._process,
            "store": self._store,
        }
        return stages[fault.track](fault)

    def _operate(self, fault: Fault) -> str:
        return self._operators.act(fault.kind, fault.whom, fault.lasts, self._abort)

    def _refuse_lane(self, fault: Fault) -> str:
        self._deployment.avos.control(self.lane, faults=[{"kind": "status", "status": 403}])
        self._abort.wait(fault.lasts)
        self._deployment.avos.control(self.lane, faults=[])
        return self.lane

    def _blink(self, fault: Fault) -> str:
        at = time.monotonic()
        self._deployment.avos.control(down="refuse")
        self._abort.wait(fault.lasts)
        self._deployment.avos.control(down="no")
        self.blinks.append(Staged(at, time.monotonic()))
        return ""

    def _restart(self, fault: Fault) -> str:
        began = time.monotonic()
        # An API process may wait for connections that are kept alive.
        in_order = self._deployment.restart_in_order(fault.whom, timeout_s=_TERM_S)
        if fault.whom in DELIVERERS and not in_order:
            self.excuses.append(Excuse(began, time.monotonic() + _LATE_S))
        took = time.monotonic() - began
        self._deployment.parts[fault.whom].wait_ready()
        return f"{'ended in order' if in_order else 'had to be killed'} after {took:.1f} s"

    def _no_workers(self, fault: Fault) -> str:
        """How long the queue grows is read from the broker."""
        parts = [part for name, part in self._deployment.parts.items() if name.rstrip("123") == fault.whom]
        for part in parts:
            part.stop()
        until, longest = time.monotonic() + fault.lasts, 0
        with self._client() as client:
            while time.monotonic() < until and not self._abort.wait(0.2):
                longest = max(longest, client.llen(f"{TENANT}:{fault.whom}"))
        self.longest_queues[fault.whom] = max(longest, self.longest_queues.get(fault.whom, 0))
        for part in parts:
            part.start()
        for part in parts:
            part.wait_ready()
        return f"{longest} messages at most"

    def _far(self, fault: Fault) -> str:
        usual = self._deployment.usual_latency
        self._deployment.avos.control(**{"latencyMs": usual, **SWITCHES[fault.kind]})
        self._abort.wait(fault.lasts)
        self._deployment.avos.control(**WELL, latencyMs=usual)
        return ""

    def _subscriber(self, fault: Fault) -> str:
        self._deployment.subscribers.behave(fault.whom, SUBSCRIBERS[fault.kind])
        self._abort.wait(fault.lasts)
        self._deployment.subscribers.behave(fault.whom, {})
        return ""

    def _deliverer(self, fault: Fault) -> str:
        if fault.whom:
            return self._strike(fault)
        began = time.monotonic()
        stopped = [name for name in DELIVERERS if self._deployment.restart_in_order(name, timeout_s=_TERM_S)]
        if len(stopped) < len(DELIVERERS):  # who didn't was killed
            self.excuses.append(Excuse(began, time.monotonic() + _LATE_S))
        return f"{len(stopped)} of {len(DELIVERERS)} ended in order"

    def _strike(self, fault: Fault) -> str:
        if fault.kind.startswith("kill"):
            return "" if self._deployment.kill(fault.whom) else "it wasn't there"
        pids = self._deployment.freeze(fault.whom)
        self._abort.wait(fault.lasts)
        self._deployment.thaw(pids)
        return "" if pids else "it wasn't there"

    def _process(self, fault: Fault) -> str:
        deployment = self._deployment
        if fault.kind.startswith(("kill", "freeze")):
            return self._strike(fault)
        if fault.kind.startswith("step"):
            return self._step("beat1" if fault.kind.endswith("beat") else "workers", fault)
        stopped = [name for name in WORKERS if deployment.restart_in_order(name, timeout_s=10)]
        return f"{len(stopped)} of {len(WORKERS)} ended in order"

    def _step(self, name: str, fault: Fault) -> str:
        clock = self._deployment.clocks[name]
        if not clock.steppable:
            return "not staged: no C compiler here"
        clock.step(float(fault.whom))
        self._abort.wait(fault.lasts)
        clock.step(0.0)
        return ""

    def _store(self, fault: Fault) -> str:
        server = self._deployment.server
        if fault.kind == "freeze store":
            self._deployment.freeze_server()
            self._abort.wait(fault.lasts)
            self._deployment.thaw_server()
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
        return connect(self._deployment.server.url, timeout_s=10)


def shown(log: list[Struck]) -> str:
    """The fault log, to be read."""
    lines = []
    for one in sorted(log, key=lambda one: one.at):
        whom = f" {one.fault.whom}" if one.fault.whom else ""
        lasted = f" for {one.ended - one.at:.1f} s" if one.ended - one.at > 0.2 else ""
        note = f" ({one.note})" if one.note else ""
        lines.append(f"{one.at:8.2f} s  {one.fault.track:<9} {one.fault.kind}{whom}{lasted}{note}")
    return "\n".join(lines)
