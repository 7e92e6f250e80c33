"""What one run on this machine consists of: its directory, ports, secrets, and the settings its processes get."""

from __future__ import annotations

import base64
import json
import secrets
import socket
import tempfile
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from app.platform.embedded import EmbeddedServer
from app.settings import RUNNING_FILE, InvalidSettings, Settings, embedded_socket

ROOT: Final = Path(__file__).resolve().parents[2]
ACCOUNT: Final = "demo"
LIVE_KEYS: Final = "live-api-keys"
TOKEN_FILE: Final = "api-token"  # noqa: S105 - a file's name; the command line looks for it in the data directory


@dataclass(frozen=True)
class Layout:
    """`settings` are those of all processes; `chosen` is what this run adds to the environment, as variables."""

    settings: Settings
    chosen: dict[str, str]
    server: EmbeddedServer | None
    stand_in_port: int | None
    live_stand_in_port: int | None
    notes: tuple[str, ...] = field(default=())

    @property
    def data_dir(self) -> Path:
        return self.settings.data_dir

    @property
    def logs(self) -> Path:
        return self.data_dir / "logs"

    @property
    def run_dir(self) -> Path:
        """A directory for sockets, whose path is short enough."""
        return embedded_socket(self.data_dir).parent

    def publish(self) -> None:
        """Let other commands on this machine find this run."""
        write_private(self.data_dir / RUNNING_FILE, json.dumps(self.chosen, indent=1))

    def withdraw(self) -> None:
        (self.data_dir / RUNNING_FILE).unlink(missing_ok=True)


def lay_out(environ: dict[str, str], *, stand_ins: bool = True) -> Layout:
    """Choose ports and secrets where the settings leave them open. Raises InvalidSettings.

    Secrets stay in files of the data directory, so that a second run has the same ones.
    """
    given = Settings.load(environ, running=False)
    data_dir = given.data_dir.absolute()
    chosen = {"MEDIAOPS_DATA_DIR": str(data_dir)}
    notes: list[str] = []
    problems = {
        f"MEDIAOPS_{name}": [problem]
        for name, problem in (
            ("DATA_DIR", _make(data_dir)),
            ("HTTP_PORT", _port(given.http_host, given.http_port, "HTTP_PORT", environ, chosen, notes)),
            (
                "FLOWER_PORT",
                _port(given.flower_host, given.flower_port, "FLOWER_PORT", environ, chosen, notes),
            ),
            ("AVOS_URL", None if given.avos_url or stand_ins else "Without stand-ins, name AVOS."),
        )
        if problem
    }
    if problems:
        raise InvalidSettings(problems)
    _secret(data_dir / TOKEN_FILE, "API_TOKEN", given.api_token, chosen)
    _secret(data_dir / "flower-password", "FLOWER_PASSWORD", given.flower_password, chosen)
    _secret(data_dir / "secrets-key", "SECRETS_KEY", given.secrets_key or None, chosen, new_key)
    server = None
    if given.redis_embedded:
        server = EmbeddedServer(
            directory=data_dir / "valkey", socket=embedded_socket(data_dir), max_memory=given.redis_max_memory
        )
        chosen["MEDIAOPS_REDIS_URL"] = server.url
    stand_in_port = None
    if given.avos_url is None:
        stand_in_port = free_port()
        chosen["MEDIAOPS_AVOS_URL"] = f"http://127.0.0.1:{stand_in_port}"
        chosen["MEDIAOPS_AVOS_BYPASS_PROXY"] = "true"  # it is on this machine
        _secret(data_dir / "avos-token", "AVOS_TOKEN", given.avos_token, chosen)
    live_port = None
    if given.live_api_url is None and stand_ins:
        live_port = free_port()
        chosen["MEDIAOPS_LIVE_API_URL"] = f"http://127.0.0.1:{live_port}"
        chosen["MEDIAOPS_LIVE_API_BYPASS_PROXY"] = "true"
        _secret(data_dir / LIVE_KEYS, "LIVE_API_KEYS", given.live_api_keys or None, chosen, new_account_key)
        _secret(
            data_dir / "scheduler-keys",
            "SCHEDULER_KEYS",
            given.scheduler_keys or None,
            chosen,
            new_account_key,
        )
    settings = Settings.load(environ | chosen, running=False)
    return Layout(settings, chosen, server, stand_in_port, live_port, tuple(notes))


def free_port(host: str = "127.0.0.1") -> int:
    """A TCP port that nobody listens on just now."""
    with closing(_socket(host)) as probe:
        probe.bind((host, 0))
        return int(probe.getsockname()[1])


def is_free(host: str, port: int) -> bool:
    """Whether this process could listen there now."""
    with closing(_socket(host)) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


def write_private(path: Path, text: str) -> None:
    """Write a file that only its owner may read, whole or not at all."""
    draft = path.with_name(f".{path.name}.part")
    draft.unlink(missing_ok=True)
    draft.touch(mode=0o600)
    draft.write_text(text)
    draft.replace(path)


def _socket(host: str) -> socket.socket:
    return socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)


def _port(
    host: str, port: int, name: str, environ: dict[str, str], chosen: dict[str, str], notes: list[str]
) -> str | None:
    """What is wrong, if anything: a port that was asked for must be free; the default one gives way."""
    variable = f"MEDIAOPS_{name}"
    if not is_free(host, port):
        if environ.get(variable) or environ.get(f"{variable}_FILE"):
            return f"Port {port} of {host} is in use, or may not be used. Choose another."
        taken, port = port, free_port(host)
        notes.append(f"Port {taken} is in use, so {port} is taken instead; {variable} chooses one.")
    chosen[variable] = str(port)
    return None


def _make(data_dir: Path) -> str | None:
    """Make the data directory; what is wrong, if anything: a checkout may be read-only, or somebody else's."""
    try:
        data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        (data_dir / "logs").mkdir(exist_ok=True)
        with tempfile.TemporaryFile(dir=data_dir):
            return None
    except OSError as error:
        return f"Nothing can be written to {data_dir} ({error.strerror}). Name a directory of yours."


def new_token() -> str:
    return secrets.token_urlsafe(32)


def new_account_key() -> str:
    """Of the account whose workflow `up` shows."""
    return f"{ACCOUNT}={new_token()}"


def new_key() -> str:
    """As `platform.encryption` takes it."""
    return base64.urlsafe_b64encode(secrets.token_bytes(32)).decode()


def _secret(
    path: Path, name: str, given: object, chosen: dict[str, str], make: Callable[[], str] = new_token
) -> None:
    if given is not None:
        return
    if not path.is_file() or not path.read_text().strip():
        write_private(path, make() + "\n")
    chosen[f"MEDIAOPS_{name}_FILE"] = str(path)
