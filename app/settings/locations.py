"""Where things are on this machine: the environment of processes, the embedded server's socket, a running `up`."""

from __future__ import annotations

import hashlib
import json
import os
import shlex
import shutil
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit, urlunsplit
from urllib.request import proxy_bypass_environment  # type: ignore[attr-defined]  # typeshed leaves it out

RUNNING_FILE: Final = "running.json"
COMMAND: Final = "mediaops-sync"
_LONGEST_SOCKET_PATH = 100  # the kernel allows 107 bytes (103 on macOS)


def environment(chosen: Mapping[str, str] | None = None) -> dict[str, str]:
    """This process's environment with `chosen` in it, for processes that it starts."""
    return dict(os.environ) | dict(chosen or {})


def own_command(words: str = "") -> str:
    """A command line that a reader can type on this machine: with the bare name where the PATH has it, else with the path
    of the environment that runs now."""
    return f"{_command()} {words}".rstrip()


def _command() -> str:
    if shutil.which(COMMAND):
        return COMMAND
    beside = Path(sys.executable).with_name(COMMAND)
    if not beside.is_file():
        return f"{_from_here(Path(sys.executable))} -m app"
    return _from_here(beside)


def _from_here(path: Path) -> str:
    here = Path.cwd()
    return shlex.quote(str(path.relative_to(here) if path.is_relative_to(here) else path))


def without_password(url: str) -> str:
    """A URL without its user and password."""
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2], query=""))


def embedded_socket(data_dir: Path) -> Path:
    """Where the embedded server listens: in the data directory, or, where that path is too long for a UNIX
    socket, in a directory of this user's under the temporary one, named after it."""
    socket = data_dir.absolute() / "valkey" / "valkey.sock"
    if len(os.fsencode(socket)) <= _LONGEST_SOCKET_PATH:
        return socket
    name = hashlib.sha256(os.fsencode(data_dir.absolute())).hexdigest()[:16]
    return Path(tempfile.gettempdir()) / f"mediaops-{os.getuid()}-{name}" / "valkey.sock"


def running_settings(environ: Mapping[str, str]) -> dict[str, str]:
    """What a running `up` of this data directory has chosen, as variables."""
    path = Path(environ.get("MEDIAOPS_DATA_DIR") or ".data") / RUNNING_FILE
    try:
        read = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}  # nothing runs here
    return {str(name): str(value) for name, value in read.items()} if isinstance(read, dict) else {}


def proxy_for(url: str, environ: Mapping[str, str]) -> str | None:
    """The proxy that `HTTP_PROXY`, `HTTPS_PROXY`, `ALL_PROXY` and `NO_PROXY` (either case) name for this URL."""
    named = {
        name.lower().removesuffix("_proxy"): value
        for name, value in environ.items()
        if name.lower().endswith("_proxy") and value
    }
    parts = urlsplit(url)
    # HTTP_PROXY can be set by a caller's `Proxy:` header where a process serves CGI; ours doesn't.
    if proxy_bypass_environment(parts.netloc.rpartition("@")[2], {"no": named.get("no", "")}):
        return None
    return named.get(parts.scheme) or named.get("all")
