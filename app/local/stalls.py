"""Finds processes of this machine that run and do nothing. (Supervisor sees only those that end.)"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from typing import Final

from app.local.layout import Layout
from app.local.programs import BEAT, Stage
from app.local.supervisor import Process
from app.packages import QUEUES
from app.platform.errors import Unavailable
from app.platform.redis import connect
from app.watch.canaries import Canaries, watch
from app.watch.evaluation import Report

# A process counts as silent after so long at every look, while the store answered and took writes. After an outage of
# the store each process needs a moment to reconnect.
PATIENCE_S: Final = 10.0
# A process that isn't known yet may still be starting, or waiting for its connection.
UNKNOWN_PATIENCE_S: Final = 90.0


class Stalls:
    """Looked at every second or so; remembers how long each process has been silent."""

    def __init__(
        self,
        layout: Layout,
        stages: Sequence[Stage],
        *,
        canaries: Canaries | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._canaries = canaries or watch(layout.settings, connect(layout.settings.redis_url), QUEUES)
        self._clock = clock
        self._watched = {
            program.name for stage in stages for program in stage.programs if stage.name in ("workers", BEAT)
        }
        self._since: dict[tuple[str, int, bool], float] = {}

    def look(self, processes: Iterable[Process]) -> list[Process]:
        """Those that have to be started again, now."""
        try:
            self._canaries.check_writes()
            report = self._canaries.report()
        except Unavailable:
            self._since.clear()
            return []
        now, since, found = self._clock(), {}, []
        for process in processes:
            if process.name not in self._watched or process.state != "RUNNING":
                continue
            silent = _silent(report, process.pid)
            if silent is False:
                continue
            key = (process.name, process.pid, silent is None)
            since[key] = began = self._since.get(key, now)
            if now - began >= (UNKNOWN_PATIENCE_S if silent is None else PATIENCE_S):
                found.append(process)
        self._since = since
        return found


def _silent(report: Report, pid: int) -> bool | None:
    """None: the watch doesn't know this process."""
    known = [one.silent for one in report.workers.values() if one.worker.pid == pid]
    known += [one.silent for one in report.beats.values() if one.pid == pid]
    return any(known) if known else None
