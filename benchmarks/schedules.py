"""Schedules: how late live jobs are activated, many in the same second and many over a minute, with many more timers to come."""

from __future__ import annotations

import http.client
import json
import os
import secrets
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

from app.local.programs import worker_command
from app.schedules.records import Task, Workflow, new_id
from app.schedules.service import ScheduleService
from app.schedules.store import ScheduleStore
from benchmarks.ours import Ours
from benchmarks.plan import SchedulePlan
from benchmarks.processes import Program, wait_until
from benchmarks.report import Report, percentile

SECTION: Final = "Schedules: from a task's time to the call at the Live API"
ACCOUNT: Final = "bench"
_LATER: Final = 4_000_000_000  # seconds since 1970
_CHUNK: Final = 10_000
_MAKING_S: Final = 0.008  # for one workflow, at most
_KEY: Final = "key-of-the-live-api"


class LiveApi:
    """The stand-in of the Live API as a process."""

    def __init__(self, folder: Path, environ: dict[str, str]) -> None:
        port_file = folder / "live-port"
        command = [
            sys.executable,
            "-m",
            "deploy.simulators.live",
            "--port-file",
            str(port_file),
            "--token",
            _KEY,
        ]
        self.program = Program("live-api", command, environ, folder)
        wait_until(port_file.exists, "the stand-in of the Live API starts", timeout_s=20)
        self.port = int(port_file.read_text())

    def arrivals(self) -> list[tuple[str, float]]:
        """The job of each activation that was carried out, and when (seconds since 1970) it was asked for."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            connection.request("GET", "/_journal")
            lines = connection.getresponse().read().splitlines()
        finally:
            connection.close()
        entries: list[dict[str, Any]] = [json.loads(line) for line in lines]
        return [
            (one["job"], one["arrivedWall"])
            for one in entries
            if one["action"] == "activate" and one["applied"]
        ]


class SchedulesSection:
    """Section 7."""

    def __init__(self, plan: SchedulePlan, report: Report, tell: Callable[[str], None]) -> None:
        self._plan = plan
        self._report = report
        self._tell = tell

    def run(self, folder: Path) -> None:
        live = LiveApi(folder, dict(_plain_environ()))
        try:
            ours = Ours(
                folder,
                "http://127.0.0.1:1",
                only=("workers", "beat"),
                MEDIAOPS_LIVE_API_URL=f"http://127.0.0.1:{live.port}",
                MEDIAOPS_LIVE_API_BYPASS_PROXY="true",
                MEDIAOPS_LIVE_API_KEYS=f"{ACCOUNT}={_KEY}",
            )
            second = Program("ticks2", worker_command("ticks2", "ticks", 4), ours.environ, folder)
            try:
                self._measure(ours, live)
            finally:
                second.stop()
                ours.stop()
        finally:
            live.program.stop()
        self._report.note(
            f"Schedules: two tickers, two live workers of 100 slots, {self._plan.later:,} later timers in the set; the Live API "
            "answers at once. EventBridge Scheduler invokes its targets with a precision of 60 s."
        )

    def _measure(self, ours: Ours, live: LiveApi) -> None:
        self._tell(f"schedules: {self._plan.later:,} later timers")
        timers = ours.system[ScheduleStore].keys.timers
        for first in range(0, self._plan.later, _CHUNK):
            some = {
                f"activation:1:{secrets.token_hex(16)}": _LATER * 1000 + n
                for n in range(first, first + _CHUNK)
            }
            ours.system.redis.zadd(timers, some)
        for name, count, seconds in (
            (f"{self._plan.burst:,} in one second", self._plan.burst, 1),
            (f"{self._plan.spread:,} over {self._plan.spread_s} s", self._plan.spread, self._plan.spread_s),
        ):
            self._tell(f"schedules: {name}")
            self._one(ours, live, name, count, seconds)

    def _one(self, ours: Ours, live: LiveApi, name: str, count: int, seconds: int) -> None:
        service = ours.system[ScheduleService]
        begins = int(time.time() + 5 + count * _MAKING_S)
        due: dict[str, int] = {}
        for number in range(count):
            at = begins + number * seconds // count
            job = f"{name}-{number}"
            task, last = Task(at, timer=1), Task(at + 3600, timer=1)
            service.create(Workflow(new_id(), ACCOUNT, job, activation=task, deactivation=last))
            due[job] = at
        made_in = time.time()
        if made_in > begins:
            raise ValueError(
                f"making {count} workflows took until {made_in - begins:.1f} s after they were due"
            )
        wait_until(
            lambda: time.time() > begins + seconds and len(self._own(live, due)) >= count,
            f"{count} activations",
            timeout_s=begins + seconds - time.time() + 60,
            every_s=0.5,
        )
        arrived = self._own(live, due)
        late = [at - due[job] for job, at in arrived]
        twice = sum(times > 1 for times in Counter(job for job, _ in arrived).values())
        for share in (50, 99):
            self._report.add(SECTION, f"{name}: p{share}", percentile(late, share / 100) * 1000, "ms")
        self._report.add(SECTION, f"{name}: longest", max(late) * 1000, "ms")
        self._report.add(SECTION, f"{name}: early", sum(one < 0 for one in late), "")
        self._report.add(SECTION, f"{name}: fired twice", twice, "")

    def _own(self, live: LiveApi, due: dict[str, int]) -> Sequence[tuple[str, float]]:
        return [(job, at) for job, at in live.arrivals() if job in due]


def _plain_environ() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith("MEDIAOPS_")}


def comparisons(plan: SchedulePlan, report: Report) -> list[tuple[str, str, str]]:
    """What the goals are about."""
    goals = {
        f"{plan.burst:,} in one second": "< 2,000 ms",
        f"{plan.spread:,} over {plan.spread_s} s": "< 100 ms",
    }
    rows = []
    for name, goal in goals.items():
        figure = report.figure(SECTION, f"{name}: p99")
        if figure is not None:
            rows.append((f"lateness, {name}, p99", f"{figure.median:.0f} ms", goal))
    return rows
