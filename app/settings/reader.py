"""Reads the settings' values: environs, with all mistakes reported together."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Final, cast
from urllib.parse import quote

from environs import EnvValidationError, FileAwareEnv

from app.settings.checks import (
    Check,
    account_keys,
    api_token,
    at_least,
    between,
    cidrs,
    encryption_keys,
    header_name,
    http_url,
    matches,
    no_blanks,
    path_prefixes,
    printable,
    readable,
    redis_url,
)
from app.settings.locations import embedded_socket, proxy_for

PREFIX: Final = "MEDIAOPS_"
_ALIKE: Final = 0.8
_SERVICE_LINK: Final = re.compile(
    r"_SERVICE_(HOST|PORT(_\w+)?)\Z|_PORT_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?\Z"
)


class InvalidSettings(Exception):
    """`problems`: variable → what is wrong with it. The text names all of them, one a line, no values of secrets."""

    def __init__(self, problems: Mapping[str, list[str]]) -> None:
        self.problems = dict(problems)
        lines = [f"  {name}: {' '.join(texts)}" for name, texts in sorted(problems.items())]
        super().__init__("These settings are wrong:\n" + "\n".join(lines))


class SettingsReader(FileAwareEnv):
    """environs, reading a given mapping, with a file's trailing newline cut off and unreadable files reported with
    all other mistakes (its own raises at once)."""

    def __init__(self, source: Mapping[str, str], named: Iterable[str] = ()) -> None:
        """`named`: those of the names that somebody here has written; no other than settings may be among them."""
        super().__init__(eager=False, prefix=PREFIX)
        self._source = source
        self._named = named
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

    def values(self) -> dict[str, Any]:
        """Every setting by the name of its member. Raises InvalidSettings, naming every mistake."""
        values = (
            self._general()
            | self._store()
            | self._doors()
            | self._avos()
            | self._live_api()
            | self._buffers()
            | self._planning()
            | self._events()
            | self._workers()
        )
        if self._well("AVOS_TIMEOUT_S", "LEASE_S") and values["avos_timeout_s"] >= values["lease_s"]:
            self._errors[f"{PREFIX}AVOS_TIMEOUT_S"].append(
                f"One whole attempt must end before its lease does (MEDIAOPS_LEASE_S, {values['lease_s']:g} s)."
            )
        self._refuse_unknown()
        try:
            self.seal()
        except EnvValidationError as error:
            raise InvalidSettings(cast("dict[str, list[str]]", error.error_messages)) from None
        return values

    def _well(self, *names: str) -> bool:
        """Whether a rule across these settings can be looked at, whatever is wrong with others."""
        return not any(f"{PREFIX}{name}" in self._errors for name in names)

    def _links_a_service(self, name: str) -> bool:
        """Kubernetes puts the addresses of a namespace's services into every container: MEDIAOPS_API_PORT_8080_TCP, …"""
        return bool(_SERVICE_LINK.search(name)) or (name.endswith("_PORT") and "://" in self._source[name])

    def _refuse_unknown(self) -> None:
        """A misspelt setting would silently leave its default."""
        known = self._read | {f"{name}_FILE" for name in self._read}
        for name in self._named:
            if name.startswith(PREFIX) and name not in known and not self._links_a_service(name):
                close = get_close_matches(name, known, 1, _ALIKE)
                self._errors[name].append(
                    "There is no such setting." + "".join(f" Is {c} meant?" for c in close)
                )

    def _general(self) -> dict[str, Any]:
        tenant = matches(r"[a-z0-9][a-z0-9-]{0,62}", "lower-case letters, digits and '-', 1 to 63")
        return {
            "tenant": self.str("TENANT", "default", validate=tenant),
            "log_level": self.str(
                "LOG_LEVEL",
                "INFO",
                validate=matches("(?i)DEBUG|INFO|WARNING|ERROR", "DEBUG, INFO, WARNING or ERROR"),
            ),
            "data_dir": self.path("DATA_DIR", Path(".data")),
        }

    def _store(self) -> dict[str, Any]:
        data_dir = Path(self._source.get("MEDIAOPS_DATA_DIR") or ".data")
        url = self.str("REDIS_URL", None, validate=redis_url)
        return {
            "redis_url": url or f"unix://{quote(str(embedded_socket(data_dir)))}",
            "redis_embedded": url is None,
            "redis_max_memory": self.str(
                "REDIS_MAX_MEMORY",
                "1gb",
                validate=matches(r"(?i)[1-9]\d*(k|m|g)?b?", "a size such as 512mb or 2gb"),
            ),
        }

    def _doors(self) -> dict[str, Any]:
        return {
            "http_host": self.str("HTTP_HOST", "127.0.0.1"),
            "http_port": self.int("HTTP_PORT", 8080, validate=between(1, 65535)),
            "api_token": self.str("API_TOKEN", None, validate=api_token),
            "max_body_bytes": self.int("MAX_BODY_BYTES", 8 * 1024 * 1024, validate=between(1024, 1 << 30)),
            "rate_limit": self._rate_limit(),
            # The rest of what a process serves at once (gunicorn's worker_connections) is for calls.
            "max_streams": self.int("MAX_STREAMS", 100, validate=between(1, 400)),
            "trusted_proxies": self._words("TRUSTED_PROXIES", cidrs),
            "secrets_key": tuple((self.str("SECRETS_KEY", None, validate=encryption_keys) or "").split()),
            "request_prefixes": self._prefixes(),
            "flower_host": self.str("FLOWER_HOST", "127.0.0.1"),
            "flower_port": self.int("FLOWER_PORT", 5555, validate=between(1, 65535)),
            "flower_user": self.str(
                "FLOWER_USER", "operator", validate=matches("[^:\\s]+", "no ':' and no blanks")
            ),
            "flower_password": self.str("FLOWER_PASSWORD", None, validate=at_least(8)),
        }

    def _avos(self) -> dict[str, Any]:
        url = self.str("AVOS_URL", None, validate=http_url)
        bypass = self.bool("AVOS_BYPASS_PROXY", False)
        return {
            "avos_url": url.rstrip("/") if url else None,
            "avos_token": self.str("AVOS_TOKEN", None, validate=printable),
            "avos_auth_header": self.str("AVOS_AUTH_HEADER", "Authorization", validate=header_name),
            "avos_auth_scheme": self.str("AVOS_AUTH_SCHEME", "Bearer", validate=printable),
            "avos_bypass_proxy": bypass,
            "avos_proxy": None if bypass or not url else proxy_for(url, self._source),
            "avos_ca_file": self.path("AVOS_CA_FILE", None, validate=readable),
            "avos_timeout_s": self.float("AVOS_TIMEOUT_S", 10.0, validate=between(0.1, 600)),
            "avos_max_in_flight": self.int("AVOS_MAX_IN_FLIGHT", 200, validate=between(1, 10_000)),
        }

    def _live_api(self) -> dict[str, Any]:
        url = self.str("LIVE_API_URL", None, validate=http_url)
        bypass = self.bool("LIVE_API_BYPASS_PROXY", False)
        return {
            "live_api_url": url.rstrip("/") if url else None,
            "live_api_keys": self._keys_of_accounts("LIVE_API_KEYS", shortest=1),
            "live_api_bypass_proxy": bypass,
            "live_api_proxy": None if bypass or not url else proxy_for(url, self._source),
            "live_dialect": self.str("LIVE_DIALECT", "v1", validate=matches("v1|v2", "v1 or v2")),
            "scheduler_keys": self._keys_of_accounts("SCHEDULER_KEYS", shortest=32),
            "schedule_allow_overlap": self.bool("SCHEDULE_ALLOW_OVERLAP", False),
            "schedule_max_pending": self.int("SCHEDULE_MAX_PENDING", 6, validate=between(1, 1000)),
        }

    def _buffers(self) -> dict[str, Any]:
        return {
            "retry_interval_s": self.float("RETRY_INTERVAL_S", 10.0, validate=between(0.1, 3600)),
            "max_age_s": self.float("MAX_AGE_S", 86400.0, validate=between(1, 366 * 86400)),
            "lease_s": self.float("LEASE_S", 15.0, validate=between(0.2, 3600)),
            "deadline_grace_s": self.float("DEADLINE_GRACE_S", 86400.0, validate=between(0, 31 * 86400)),
            "breaker_threshold": self.int("BREAKER_THRESHOLD", 3, validate=between(1, 1000)),
            "release_rate": self.int("RELEASE_RATE", 200, validate=between(1, 100_000)),
            "foreign_edits": self.str(
                "FOREIGN_EDITS", "overwrite", validate=matches("overwrite|park", "overwrite or park")
            ),
            "drift_interval_s": self.float("DRIFT_INTERVAL_S", 300.0, validate=between(1, 86400)),
            "drift_window_h": self.float("DRIFT_WINDOW_H", 24.0, validate=between(0, 8784)),
            "drift_heal": self.bool("DRIFT_HEAL", False),
            "history_days": self.int("HISTORY_DAYS", 14, validate=between(1, 3660)),
            "events_keep_days": self.int("EVENTS_KEEP_DAYS", 7, validate=between(1, 3660)),
            "events_keep_length": self.int(
                "EVENTS_KEEP_LENGTH", 1_000_000, validate=between(1000, 1_000_000_000)
            ),
        }

    def _planning(self) -> dict[str, Any]:
        return {
            "sync_on_register": self.bool("SYNC_ON_REGISTER", True),
            "dmhe_property": self.str("DMHE_PROPERTY", "DMHE"),
            "destination_property": self.str("DESTINATION_PROPERTY", "Destination"),
            "source_uri_property": self.str("SOURCE_URI_PROPERTY", "SourceUri"),
            "source_channel_property": self.str("SOURCE_CHANNEL_PROPERTY", "SourceChannelId"),
        }

    def _events(self) -> dict[str, Any]:
        return {
            "allowed_cidrs": self._words("ALLOWED_CIDRS", cidrs),
            "webhook_disable_after_h": self.float(
                "WEBHOOK_DISABLE_AFTER_H", 72.0, validate=between(0.001, 8784)
            ),
            "events_first_try_s": self.float("EVENTS_FIRST_TRY_S", 1.0, validate=between(0.1, 15)),
            "sns_topics": self._words("SNS_TOPICS", no_blanks, "*"),
            "kinesis_streams": self._words("KINESIS_STREAMS", no_blanks, "*"),
        }

    def _workers(self) -> dict[str, Any]:
        return {
            "node_name": self.str(
                "NODE_NAME",
                None,
                validate=matches(
                    r"[\w.-]+(@[\w.%-]+)?", "a name, or name@host, of letters, digits, '.', '_' and '-'"
                ),
            ),
            "inline_chain": self.bool("INLINE_CHAIN", True),
            "slots": self.int("SLOTS", 4, validate=between(1, 1000)),
            "live_workers": self.int("LIVE_WORKERS", 2, validate=between(1, 32)),
            "live_slots": self.int("LIVE_SLOTS", 100, validate=between(1, 1000)),
            "events_workers": self.int("EVENTS_WORKERS", 2, validate=between(1, 32)),
            "events_slots": self.int("EVENTS_SLOTS", 50, validate=between(1, 1000)),
            "events_slow_slots": self.int("EVENTS_SLOW_SLOTS", 500, validate=between(1, 2000)),
        }

    def _keys_of_accounts(self, name: str, *, shortest: int) -> tuple[tuple[str, str], ...]:
        """`account=key,…`"""
        return tuple(
            (account, key)
            for account, _, key in (word.partition("=") for word in self._words(name, account_keys(shortest)))
        )

    def _words(self, name: str, check: Check, *default: str) -> tuple[str, ...]:
        """A list separated by commas; blanks around its members don't count."""
        given = self.list(name, list(default), validate=check)
        words = cast("list[str] | None", given) or ()  # None: wrong, and noted as such
        return tuple(word.strip() for word in words)

    def _rate_limit(self) -> str | None:
        text = self.str(
            "RATE_LIMIT",
            None,
            validate=matches(
                r"(?i)off|[1-9]\d*\s*(per|/)\s*(second|minute|hour)", "off, or such as '100/second'"
            ),
        )
        return None if text is None or text.lower() == "off" else text

    def _prefixes(self) -> tuple[str, ...]:
        given = self.list("REQUEST_PREFIXES", ["/external/"], validate=path_prefixes)
        return tuple(cast("list[str] | None", given) or ())  # None: wrong, and noted as such
