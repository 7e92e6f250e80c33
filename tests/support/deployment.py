"""A running deployment for tests: server, stand-in, API, workers and beat, each a real process on free ports.

    with Deployment(directory, MEDIAOPS_RETRY_INTERVAL_S="2") as deployment:
        deployment.api.put("/api/custom/events/ev-1", …)
        deployment.parts["live1"].kill()          # started again at once, and counted
        deployment.server.freeze()

The processes run the commands of `mediaops-sync up`, on an append-only server with `appendfsync always`.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import redis
import requests

from app.local.layout import free_port
from app.local.programs import api_command, beat_command, worker_command
from app.platform.dispatch import EVENTS
from app.platform.redis import connect
from tests.support.callers import Api, FarSide, eventually
from tests.support.processes import Part, Watch
from tests.support.server import RealServer

TOKEN: Final = "deployment-token-" + "0" * 32
FAR_TOKEN: Final = "far-side-token"
TENANT: Final = "deployment"
LIVE: Final = ("live1", "live2")
# Shorter than in real life, so that a day takes minutes. The attempt's time-out must lie below the lease.
QUICK: Final = {
    "MEDIAOPS_RETRY_INTERVAL_S": "2",
    "MEDIAOPS_AVOS_TIMEOUT_S": "3",
    "MEDIAOPS_LEASE_S": "4.5",
}
LEASE_S: Final = float(QUICK["MEDIAOPS_LEASE_S"])


class Deployment:
    """`settings` are environment variables beside those that say where everything is."""

    def __init__(self, directory: Path, **settings: str) -> None:
        self._dir = directory
        self._settings = settings
        self._stack = ExitStack()
        self.server = RealServer(directory, fsync="always")
        self.parts: dict[str, Part] = {}
        self._port_files = {name: directory / f"{name}.port" for name in ("avos", "avos-control")}
        self._watch: Watch | None = None
        self._forgiven: dict[str, int] = {}
        self._frozen = False
        self._api: Api | None = None

    # Starting and stopping --------------------------------------------------------------------------------------------

    def __enter__(self) -> Self:
        self._dir.mkdir(parents=True, exist_ok=True)
        try:
            self._start()
        except BaseException:
            print(self.report())  # noqa: T201 - pytest shows it with the failure
            self._stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop()

    def _start(self) -> None:
        self._stack.callback(self.server.stop)
        self.server.start()
        self._start_far_side()
        environ = self._environment()
        self._api = Api(f"http://127.0.0.1:{environ['MEDIAOPS_HTTP_PORT']}", TOKEN)
        self._part("api", api_command(), environ, lambda _: self._api_is_ready())
        for name in (*LIVE, "pending", "deliveries", "ticks"):
            queue = name.rstrip("12")
            if queue == "deliveries":
                queue = ",".join(EVENTS)  # one process for both: most tests have no subscriptions
            command = worker_command(name, queue, 50 if queue == "live" else 4)
            self._part(name, command, environ, lambda part: " ready." in part.written)
        self._part("beat", beat_command(), environ, lambda _: self._ticks())
        started = [part for part in self.parts.values() if part.name != "avos"]
        for part in started:
            part.start()
        for part in started:
            part.wait_ready()
        self._watch = Watch(list(self.parts.values()))
        self._watch.start()

    def _start_far_side(self) -> None:
        command = [sys.executable, "-m", "deploy.simulators.avos", "--token", FAR_TOKEN]
        command += ["--port-file", str(self._port_files["avos"])]
        command += ["--control-port-file", str(self._port_files["avos-control"])]
        ready = self._port_files["avos-control"]
        part = self._part("avos", command, self._bare_environment(), lambda _: ready.exists())
        part.start()
        part.wait_ready()
        self.avos = FarSide(f"http://127.0.0.1:{ready.read_text()}")
        self._stack.callback(self.avos.close)

    def _part(self, name: str, command: list[str], environ: dict[str, str], ready: Any) -> Part:
        part = self.parts[name] = Part(name, command, environ, self._dir / f"{name}.log", ready)
        return part

    def _bare_environment(self) -> dict[str, str]:
        """Nothing of the machine's own settings."""
        return {name: value for name, value in os.environ.items() if not name.startswith("MEDIAOPS_")}

    def _environment(self) -> dict[str, str]:
        return {
            **self._bare_environment(),
            "MEDIAOPS_REDIS_URL": self.server.url,
            "MEDIAOPS_TENANT": TENANT,
            "MEDIAOPS_DATA_DIR": str(self._dir / "data"),
            "MEDIAOPS_API_TOKEN": TOKEN,
            "MEDIAOPS_HTTP_PORT": str(free_port()),
            "MEDIAOPS_AVOS_URL": f"http://127.0.0.1:{self._port_files['avos'].read_text()}",
            "MEDIAOPS_AVOS_TOKEN": FAR_TOKEN,
            "MEDIAOPS_AVOS_BYPASS_PROXY": "true",
            # The drift audit reads content media near their event; tests here count what is read.
            "MEDIAOPS_DRIFT_WINDOW_H": "0",
            **self._settings,
        }

    def _stop(self) -> None:
        """Who asks stops first; all at once where the order doesn't matter."""
        if self._watch is not None:
            self._watch.stop()
        if self._frozen:
            self.thaw_server()
        if self._api is not None:
            self._api.close()
        first = [part for name, part in self.parts.items() if name != "avos"]
        for part in first:
            # gunicorn would wait for connections that are kept alive
            part.ask_to_stop(signal.SIGQUIT if part.name == "api" else signal.SIGTERM)
        for part in first:
            part.wait_stopped()
        if "avos" in self.parts:
            self.parts["avos"].stop()
        self._stack.close()

    # The server -------------------------------------------------------------------------------------------------------

    def freeze_server(self) -> None:
        self.server.freeze()
        self._frozen = True

    def thaw_server(self) -> None:
        self._frozen = False
        self.server.thaw()

    def power_cut(self) -> None:
        """The server dies and comes back on its files."""
        self.server.kill()
        self.server.start()

    def _client(self) -> redis.Redis:
        return connect(self.server.url, timeout_s=10)

    # Looking ----------------------------------------------------------------------------------------------------------

    @property
    def api(self) -> Api:
        assert self._api is not None, "the deployment isn't open"
        return self._api

    def _api_is_ready(self) -> bool:
        try:
            return self.api.call("GET", "/readyz", timeout_s=3).status == 200
        except requests.RequestException:
            return False

    def wait_ready(self, *names: str) -> None:
        """Until these parts (all, if none is named) do their work."""
        for name in names or self.parts:
            self.parts[name].wait_ready()

    def _ticks(self) -> bool:
        client = self._client()
        try:
            return bool(client.exists(f"{TENANT}:tick:promote"))
        finally:
            client.close()

    def happenings(self, topic: str = "sync-operations") -> list[dict[str, Any]]:
        """The event log of a topic: it has no address of its own yet, so it is read where it stands."""
        client = self._client()
        try:
            rows: Any = client.xrange(f"{TENANT}:log:{topic}")
        finally:
            client.close()
        return [json.loads(fields[b"event"]) for _, fields in rows]

    def settled(self) -> bool:
        """Nothing waits, is under way or has failed."""
        return not any(self.api.requests(state=state) for state in ("pending", "live", "failed"))

    def settle(self, timeout_s: float = 60) -> None:
        eventually(self.settled, timeout_s=timeout_s, what="everything to be sent")

    def restarts(self) -> dict[str, int]:
        """Which parts had to be started again since the last call, and how often."""
        counted = {name: part.restarts for name, part in self.parts.items()}
        found = {name: count - self._forgiven.get(name, 0) for name, count in counted.items()}
        self._forgiven = counted
        return {name: count for name, count in found.items() if count}

    def report(self) -> str:
        """The end of every log, for whoever has to find out what went wrong."""
        log = self._dir / "valkey.log"
        server = log.read_text(errors="replace")[-1500:] if log.exists() else ""
        return "\n".join([*(part.tail() for part in self.parts.values()), f"----- valkey\n{server}"])
