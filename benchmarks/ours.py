"""Our side: the processes of `make run`, started with the commands of `app/local/programs.py`.

Without supervisor (whose only work here would be to carry logs), Flower, and the stand-in, which both sides share.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from app.local.layout import Layout, free_port, lay_out
from app.local.programs import SERVER, stages
from app.local.programs import Program as Planned
from app.local.readiness import wait_for
from app.outgoing.model import AVOS, Acceptance
from app.outgoing.store import OutgoingStore
from app.packages import build
from app.platform.container import Container
from benchmarks import load
from benchmarks.processes import Memory, Program, family, stop_all
from benchmarks.sides import BODY, MAX_MEMORY, of_all, patch
from tests.support.keys import AllKeys

_CHUNK: Final = 20  # requests that are filled in by one script
_LIVE: Final = "live"


def environment(folder: Path, avos_url: str, **settings: str) -> dict[str, str]:
    """This process's environment without settings of its own, and with those of a measurement."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("MEDIAOPS_")}
    return inherited | {
        "MEDIAOPS_DATA_DIR": str(folder / "data"),
        "MEDIAOPS_HTTP_PORT": str(free_port()),
        "MEDIAOPS_FLOWER_PORT": str(free_port()),
        "MEDIAOPS_API_TOKEN": secrets.token_urlsafe(32),
        "MEDIAOPS_AVOS_URL": avos_url,
        "MEDIAOPS_AVOS_BYPASS_PROXY": "true",
        "MEDIAOPS_REDIS_MAX_MEMORY": MAX_MEMORY,
        **settings,
    }


class Ours:
    """`only` leaves out stages that a measurement doesn't need (e.g. {"api"} when nothing is to be delivered)."""

    def __init__(
        self,
        folder: Path,
        avos_url: str,
        *,
        name: str = "ours",
        only: Sequence[str] = ("workers", "api", "beat"),
        **settings: str,
    ) -> None:
        self.name = name
        self._environ = environment(folder, avos_url, **settings)
        self._layout: Layout = lay_out(self._environ)
        self._environ |= self._layout.chosen
        self.token = self._layout.settings.api_token or ""
        self.port = self._layout.settings.http_port
        self.system: Container = build(self._layout.settings)
        self._programs: dict[str, Program] = {}
        try:
            self._start(only)
        except BaseException:
            self.stop()
            raise

    def _start(self, only: Sequence[str]) -> None:
        for stage in stages(self._layout):
            if stage.name != SERVER and stage.name not in only:
                continue
            for planned in stage.programs:
                self._programs[planned.name] = self._run(planned)
            wait_for(stage, self._layout, self._alive)

    def _alive(self) -> bool:
        self.check()
        return True

    def _run(self, planned: Planned) -> Program:
        return Program(planned.name, planned.command, self._environ, self._layout.logs)

    @property
    def environ(self) -> dict[str, str]:
        """That of its processes."""
        return dict(self._environ)

    def fill(self, media: Sequence[str]) -> None:
        self.system.redis.hset(AllKeys.of(self.system.keys).destination(AVOS), "paused", "measuring")
        for first in range(0, len(media), _CHUNK):
            requests = tuple(patch(name) for name in media[first : first + _CHUNK])
            self.system[OutgoingStore].accept(Acceptance(requests=requests))

    def release(self) -> None:
        self.system.redis.hdel(AllKeys.of(self.system.keys).destination(AVOS), "paused")
        self.system[OutgoingStore].promote(AVOS)

    def call(self, media: str) -> bytes:
        body = {"method": "PATCH", "path": f"/external/contentMedia/live/{media}", "body": BODY}
        return load.request("POST", "/api/custom/requests", body, self.token)

    def delivered(self) -> int:
        return self.system.redis.zcard(AllKeys.of(self.system.keys).requests_in("delivered"))

    def pids(self) -> Mapping[str, list[int]]:
        found: dict[str, list[int]] = {"redis": [], "api": [], "workers": []}
        for name, program in self._programs.items():
            found["redis" if name == SERVER else "api" if name == "api" else "workers"].append(program.pid)
        return found

    def worker_memory(self) -> Mapping[str, list[Memory]]:
        live = [program.pid for name, program in self._programs.items() if name.startswith(_LIVE)]
        others = [self._programs[name].pid for name in ("pending", "ticks", "beat")]
        return {"live worker": of_all(live), "pending, ticks, beat": of_all(others)}

    def api_memory(self) -> Sequence[Memory]:
        return of_all(family(self._programs["api"].pid))

    def check(self) -> None:
        for program in self._programs.values():
            program.check()

    def stop(self) -> None:
        """The server last, as everything else talks to it."""
        server = self._programs.pop(SERVER, None)
        stop_all(list(self._programs.values()))
        self.system.redis.close()
        if server is not None:
            server.stop()
