"""The far side of a measurement: the AVOS stand-in as a process of its own, and what its journal says."""

from __future__ import annotations

import http.client
import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from benchmarks.processes import Program, wait_until

_CALL_TIMEOUT_S: Final = 30


@dataclass(frozen=True)
class Update:
    """When (seconds since 1970) a PATCH was applied, and of which content media."""

    media: str
    applied_at: float


class FarSide:
    """`with FarSide(folder, environ) as far:` serves at `far.url` on a free port of the loopback."""

    def __init__(self, folder: Path, environ: Mapping[str, str]) -> None:
        port_file = folder / "avos-port"
        port_file.unlink(missing_ok=True)
        command = [sys.executable, "-m", "deploy.simulators.avos", "--port-file", str(port_file)]
        self.program = Program("avos", command, environ, folder)
        wait_until(port_file.exists, "the stand-in of AVOS starts", timeout_s=20)
        self.port = int(port_file.read_text())
        self.url = f"http://127.0.0.1:{self.port}"
        self._before = 0  # the number of the last call that is forgotten

    def behave(self, latency_ms: int) -> None:
        """Forget all that was, and answer every call after `latency_ms`."""
        entries = self._journal()
        self._before = int(entries[-1]["seq"]) if entries else self._before
        self._call("POST", "/_reset")
        self._call("PUT", "/_control", {"global": {"latencyMs": latency_ms}})

    def wait_for(self, calls: int, timeout_s: float) -> None:
        """Until so many calls have come since `behave`. Raises Broken."""
        what = f"{calls} calls reach the far side"
        wait_until(lambda: bool(self._journal(calls - 1)), what, timeout_s=timeout_s, every_s=0.05)

    def updates(self) -> list[Update]:
        """The PATCHes that were applied since `behave`, in the order in which that happened."""
        applied = [entry for entry in self._journal() if entry["applied"] and entry["method"] == "PATCH"]
        found = [Update(entry["contentMediaId"], float(entry["answeredWall"])) for entry in applied]
        return sorted(found, key=lambda update: update.applied_at)

    def stop(self) -> None:
        self.program.stop()

    def _journal(self, skip: int = 0) -> list[dict[str, Any]]:
        text = self._call("GET", f"/_journal?after={self._before + skip}")
        return [json.loads(line) for line in text.splitlines()]

    def _call(self, method: str, path: str, body: Any = None) -> bytes:
        self.program.check()
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=_CALL_TIMEOUT_S)
        try:
            connection.request(method, path, None if body is None else json.dumps(body))
            answer = connection.getresponse()
            content = answer.read()
        finally:
            connection.close()
        if answer.status != 200:
            raise ValueError(f"{method} {path}: {answer.status} {content[:200]!r}")
        return content
