"""Every setting, once, and the only reader of the environment.

A setting is an environment variable `MEDIAOPS_…`; any of them may be given as `MEDIAOPS_…_FILE`, the path of
a file that holds the value. All mistakes are reported together, at start.

Where the environment is silent, what a running `mediaops-sync up` has chosen counts (the file `running.json` in the data
directory), so that `mediaops-sync status` in another terminal finds the embedded server and the free ports by itself.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, cast
from urllib.parse import quote, urlsplit, urlunsplit
from urllib.request import proxy_bypass_environment  # type: ignore[attr-defined]  # typeshed leaves it out

from environs import EnvValidationError, FileAwareEnv
from marshmallow import ValidationError

PREFIX: Final = "MEDIAOPS_"
RUNNING_FILE: Final = "running.json"
_TOKEN = re.compile(r"[A-Za-z0-9_\-.=+/]{32,}\Z", re.ASCII)
_HEADER = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+\Z", re.ASCII)
_LONGEST_SOCKET_PATH = 100  # the kernel allows 107 bytes (103 on macOS)


class InvalidSettings(Exception):
    """`problems`: variable → what is wrong with it. The text names all of them, one a line, no values of secrets."""

    def __init__(self, problems: Mapping[str, list[str]]) -> None:
        self.problems = dict(problems)
        lines = [f"  {name}: {' '.join(texts)}" for name, texts in sorted(problems.items())]
        super().__init__("These settings are wrong:\n" + "\n".join(lines))


@dataclass(frozen=True, kw_only=True)
class Settings:
    """All settings of one process. Durations are seconds; secrets and URLs that may hold one aren't in the repr."""

    tenant: str = "default"
    log_level: str = "INFO"
    data_dir: Path = Path(".data")

    # the store
    redis_url: str = field(repr=False)
    redis_embedded: bool = True
    redis_max_memory: str = "1gb"  # of the embedded server

    # our own doors
    http_host: str = "127.0.0.1"
    http_port: int = 8080
    api_token: str | None = field(default=None, repr=False)
    max_body_bytes: int = 8 * 1024 * 1024
    rate_limit: str | None = None
    request_prefixes: tuple[str, ...] = ("/external/",)
    flower_host: str = "127.0.0.1"
    flower_port: int = 5555
    flower_user: str = "operator"
    flower_password: str | None = field(default=None, repr=False)

    # AVOS
    avos_url: str | None = None
    avos_token: str | None = field(default=None, repr=False)
    avos_auth_header: str = "Authorization"
    avos_auth_scheme: str = "Bearer"
    avos_bypass_proxy: bool = False
    avos_proxy: str | None = field(default=None, repr=False)
    avos_ca_file: Path | None = None
    avos_timeout_s: float = 10
    avos_max_in_flight: int = 200

    # buffers, failures, retries
    retry_interval_s: float = 10
    max_age_s: float = 86400
    lease_s: float = 15
    deadline_grace_s: float = 86400
    breaker_threshold: int = 3
    release_rate: int = 200
    foreign_edits: str = "overwrite"
    drift_interval_s: float = 300
    drift_window_h: float = 24
    drift_heal: bool = False
    history_days: int = 14
    events_keep_days: int = 7
    events_keep_length: int = 1_000_000

    # planning
    sync_on_register: bool = True
    dmhe_property: str = "DMHE"
    destination_property: str = "Destination"
    source_uri_property: str = "SourceUri"
    source_channel_property: str = "SourceChannelId"

    # workers
    inline_chain: bool = True
    live_workers: int = 2
    live_slots: int = 100

    # names that look like settings of ours and aren't (a spelling mistake, most likely): shown by `doctor`
    unknown: tuple[str, ...] = ()

    @classmethod
    def load(cls, environ: Mapping[str, str] | None = None, *, running: bool = True) -> Settings:
        """Read them from `environ` (the process's own by default). Raises InvalidSettings, naming every mistake.

        `running` False leaves out what a running `up` has chosen.
        """
        given = dict(os.environ if environ is None else environ)
        chosen = _running(given) if running else {}
        return _Reader(chosen | {name: value for name, value in given.items() if value}).settings()

    @property
    def broker_url(self) -> str:
        """The store's URL as kombu spells it: its own scheme for a UNIX socket."""
        parts = urlsplit(self.redis_url)
        if parts.scheme != "unix":
            return self.redis_url
        user = parts.netloc  # "user:password@" or nothing
        return f"redis+socket://{user}{parts.path}"

    @property
    def redis_shown(self) -> str:
        """The store's URL without user and password, for people."""
        return without_password(self.redis_url)

    @property
    def api_url(self) -> str:
        """Where this machine reaches our own API."""
        host = "127.0.0.1" if self.http_host in {"0.0.0.0", "::", ""} else self.http_host  # noqa: S104 - compared, not bound
        return f"http://{f'[{host}]' if ':' in host else host}:{self.http_port}"


def environment(chosen: Mapping[str, str] | None = None) -> dict[str, str]:
    """This process's environment with `chosen` in it, for processes that it starts."""
    return dict(os.environ) | dict(chosen or {})


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


def _running(environ: Mapping[str, str]) -> dict[str, str]:
    path = Path(environ.get("MEDIAOPS_DATA_DIR") or ".data") / RUNNING_FILE
    try:
        read = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}  # nothing runs here
    return {str(name): str(value) for name, value in read.items()} if isinstance(read, dict) else {}


class _Reader(FileAwareEnv):
    """environs, reading a given mapping, with a file's trailing newline cut off and unreadable files reported with
    all other mistakes (its own raises at once)."""

    def __init__(self, source: Mapping[str, str]) -> None:
        super().__init__(eager=False, prefix=PREFIX)
        self._source = source
        self._read: set[str] = set()

    def _get_value(self, env_key: str, default: Any) -> Any:
        self._read.add(env_key)
        path = self._source.get(f"{env_key}_FILE")
        if path is None:
            return self._source.get(env_key, default)
        if self._source.get(env_key) is not None:
            self._errors[env_key].append(f"Given twice: as itself and as {env_key}_FILE.")
        try:
            return Path(path).read_text().rstrip("\r\n") or default
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or "not text"
            self._errors[env_key].append(f"{env_key}_FILE can't be read ({reason}).")
            return default

    def settings(self) -> Settings:
        values = (
            self._general()
            | self._store()
            | self._doors()
            | self._avos()
            | self._buffers()
            | self._planning()
        )
        if not self._errors and values["avos_timeout_s"] >= values["lease_s"]:
            self._errors[f"{PREFIX}AVOS_TIMEOUT_S"].append(
                f"One whole attempt must end before its lease does (MEDIAOPS_LEASE_S, {values['lease_s']:g} s)."
            )
        try:
            self.seal()
        except EnvValidationError as error:
            raise InvalidSettings(cast("dict[str, list[str]]", error.error_messages)) from None
        names = self._read | {f"{name}_FILE" for name in self._read}
        unknown = sorted(name for name in self._source if name.startswith(PREFIX) and name not in names)
        return Settings(**values, unknown=tuple(unknown))

    def _general(self) -> dict[str, Any]:
        tenant = _matches(r"[a-z0-9][a-z0-9-]{0,62}", "lower-case letters, digits and '-', 1 to 63")
        return {
            "tenant": self.str("TENANT", Settings.tenant, validate=tenant),
            "log_level": self.str(
                "LOG_LEVEL",
                "INFO",
                validate=_matches("(?i)DEBUG|INFO|WARNING|ERROR", "DEBUG, INFO, WARNING or ERROR"),
            ),
            "data_dir": self.path("DATA_DIR", Path(".data")),
        }

    def _store(self) -> dict[str, Any]:
        data_dir = Path(self._source.get("MEDIAOPS_DATA_DIR") or ".data")
        url = self.str("REDIS_URL", None, validate=_redis_url)
        return {
            "redis_url": url or f"unix://{quote(str(embedded_socket(data_dir)))}",
            "redis_embedded": url is None,
            "redis_max_memory": self.str(
                "REDIS_MAX_MEMORY",
                "1gb",
                validate=_matches(r"(?i)[1-9]\d*(k|m|g)?b?", "a size such as 512mb or 2gb"),
            ),
        }

    def _doors(self) -> dict[str, Any]:
        return {
            "http_host": self.str("HTTP_HOST", "127.0.0.1"),
            "http_port": self.int("HTTP_PORT", 8080, validate=_between(1, 65535)),
            "api_token": self.str("API_TOKEN", None, validate=_api_token),
            "max_body_bytes": self.int("MAX_BODY_BYTES", 8 * 1024 * 1024, validate=_between(1024, 1 << 30)),
            "rate_limit": self._rate_limit(),
            "request_prefixes": self._prefixes(),
            "flower_host": self.str("FLOWER_HOST", "127.0.0.1"),
            "flower_port": self.int("FLOWER_PORT", 5555, validate=_between(1, 65535)),
            "flower_user": self.str(
                "FLOWER_USER", "operator", validate=_matches("[^:\\s]+", "no ':' and no blanks")
            ),
            "flower_password": self.str("FLOWER_PASSWORD", None, validate=_at_least(8)),
        }

    def _avos(self) -> dict[str, Any]:
        url = self.str("AVOS_URL", None, validate=_http_url)
        bypass = self.bool("AVOS_BYPASS_PROXY", False)
        return {
            "avos_url": url.rstrip("/") if url else None,
            "avos_token": self.str("AVOS_TOKEN", None, validate=_printable),
            "avos_auth_header": self.str("AVOS_AUTH_HEADER", "Authorization", validate=_header_name),
            "avos_auth_scheme": self.str("AVOS_AUTH_SCHEME", "Bearer", validate=_printable),
            "avos_bypass_proxy": bypass,
            "avos_proxy": None if bypass or not url else proxy_for(url, self._source),
            "avos_ca_file": self.path("AVOS_CA_FILE", None, validate=_readable),
            "avos_timeout_s": self.float("AVOS_TIMEOUT_S", 10.0, validate=_between(0.1, 600)),
            "avos_max_in_flight": self.int("AVOS_MAX_IN_FLIGHT", 200, validate=_between(1, 10_000)),
        }

    def _buffers(self) -> dict[str, Any]:
        return {
            "retry_interval_s": self.float("RETRY_INTERVAL_S", 10.0, validate=_between(0.1, 3600)),
            "max_age_s": self.float("MAX_AGE_S", 86400.0, validate=_between(1, 366 * 86400)),
            "lease_s": self.float("LEASE_S", 15.0, validate=_between(0.2, 3600)),
            "deadline_grace_s": self.float("DEADLINE_GRACE_S", 86400.0, validate=_between(0, 31 * 86400)),
            "breaker_threshold": self.int("BREAKER_THRESHOLD", 3, validate=_between(1, 1000)),
            "release_rate": self.int("RELEASE_RATE", 200, validate=_between(1, 100_000)),
            "foreign_edits": self.str(
                "FOREIGN_EDITS", "overwrite", validate=_matches("overwrite|park", "overwrite or park")
            ),
            "drift_interval_s": self.float("DRIFT_INTERVAL_S", 300.0, validate=_between(1, 86400)),
            "drift_window_h": self.float("DRIFT_WINDOW_H", 24.0, validate=_between(0, 8784)),
            "drift_heal": self.bool("DRIFT_HEAL", False),
            "history_days": self.int("HISTORY_DAYS", 14, validate=_between(1, 3660)),
            "events_keep_days": self.int("EVENTS_KEEP_DAYS", 7, validate=_between(1, 3660)),
            "events_keep_length": self.int(
                "EVENTS_KEEP_LENGTH", 1_000_000, validate=_between(1000, 1_000_000_000)
            ),
            "inline_chain": self.bool("INLINE_CHAIN", True),
            "live_workers": self.int("LIVE_WORKERS", 2, validate=_between(1, 32)),
            "live_slots": self.int("LIVE_SLOTS", 100, validate=_between(1, 1000)),
        }

    def _planning(self) -> dict[str, Any]:
        return {
            "sync_on_register": self.bool("SYNC_ON_REGISTER", True),
            "dmhe_property": self.str("DMHE_PROPERTY", "DMHE"),
            "destination_property": self.str("DESTINATION_PROPERTY", "Destination"),
            "source_uri_property": self.str("SOURCE_URI_PROPERTY", "SourceUri"),
            "source_channel_property": self.str("SOURCE_CHANNEL_PROPERTY", "SourceChannelId"),
        }

    def _rate_limit(self) -> str | None:
        text = self.str(
            "RATE_LIMIT",
            None,
            validate=_matches(
                r"(?i)off|[1-9]\d*\s*(per|/)\s*(second|minute|hour)", "off, or such as '100/second'"
            ),
        )
        return None if text is None or text.lower() == "off" else text

    def _prefixes(self) -> tuple[str, ...]:
        given = self.list("REQUEST_PREFIXES", ["/external/"], validate=_path_prefixes)
        return tuple(cast("list[str] | None", given) or ())  # None: wrong, and noted as such


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


Check = Callable[[Any], None]


def _matches(pattern: str, wanted: str) -> Check:
    compiled = re.compile(
        rf"(?:{pattern.removeprefix('(?i)')})\Z", re.IGNORECASE if pattern.startswith("(?i)") else 0
    )

    def check(value: str) -> None:
        if not compiled.match(value):
            raise ValidationError(f"Must be {wanted}.")

    return check


def _between(low: float, high: float) -> Check:
    def check(value: float) -> None:
        if not low <= value <= high:
            raise ValidationError(f"Must lie between {low:g} and {high:g}.")

    return check


def _at_least(length: int) -> Check:
    def check(value: str) -> None:
        if len(value) < length:
            raise ValidationError(f"Must have at least {length} characters.")

    return check


def _api_token(value: str) -> None:
    if not _TOKEN.match(value):
        raise ValidationError("Must have at least 32 characters, all of A-Z a-z 0-9 _ - . = + /")


def _header_name(value: str) -> None:
    if not _HEADER.match(value):
        raise ValidationError("Must be the name of an HTTP header.")


def _printable(value: str) -> None:
    if not value.isascii() or not value.isprintable():
        raise ValidationError("Must be printable ASCII characters: it travels in an HTTP header.")


def _readable(value: Path) -> None:
    if not value.is_file():
        raise ValidationError("Must be a file that can be read.")


def _path_prefixes(value: list[str]) -> None:
    if not value or not all(re.match(r"/[\w./~-]*\Z", prefix) for prefix in value):
        raise ValidationError("Must be paths that start with '/', separated by commas.")


def _redis_url(value: str) -> None:
    parts = urlsplit(value)
    reachable = parts.path if parts.scheme == "unix" else parts.hostname
    if parts.scheme not in {"redis", "rediss", "unix"} or not reachable:
        raise ValidationError("Must be redis://host:port/db, rediss://… or unix:///path.")


def _http_url(value: str) -> None:
    wanted = ValidationError(
        "Must be http://host:port or https://host:port, without user, query or fragment."
    )
    try:
        parts = urlsplit(value)
        port_is_number = parts.port is None or parts.port > 0
    except ValueError:
        raise wanted from None
    if parts.scheme not in {"http", "https"} or not parts.hostname or not port_is_number:
        raise wanted
    if parts.username is not None or parts.query or parts.fragment:
        raise wanted
