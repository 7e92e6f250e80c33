"""The settings of one process, as values."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from app.settings.locations import running_settings, without_password
from app.settings.reader import SettingsReader


@dataclass(frozen=True, kw_only=True)
class Settings:
    """All settings of one process. Durations are seconds; secrets and URLs that may contain one aren't in the repr."""

    tenant: str = "default"
    log_level: str = "INFO"
    data_dir: Path = Path(".data")

    # the store
    redis_url: str = field(repr=False)
    redis_embedded: bool = True
    redis_max_memory: str = "1gb"  # of the embedded server

    # the API and Flower
    http_host: str = "127.0.0.1"
    http_port: int = 8080
    api_token: str | None = field(default=None, repr=False)
    max_body_bytes: int = 8 * 1024 * 1024
    rate_limit: str | None = None
    trusted_proxies: tuple[str, ...] = ()
    max_streams: int = 100
    secrets_key: tuple[str, ...] = field(default=(), repr=False)
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

    # the Live API and its scheduler
    live_api_url: str | None = None
    live_api_keys: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    live_api_bypass_proxy: bool = False
    live_api_proxy: str | None = field(default=None, repr=False)
    live_dialect: str = "v1"
    scheduler_keys: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    schedule_allow_overlap: bool = False
    schedule_max_pending: int = 6

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

    # events
    allowed_cidrs: tuple[str, ...] = ()
    webhook_disable_after_h: float = 72
    events_first_try_s: float = 1.0
    sns_topics: tuple[str, ...] = ("*",)
    kinesis_streams: tuple[str, ...] = ("*",)

    # workers
    node_name: str | None = None  # read by deploy/entrypoint too
    inline_chain: bool = True
    slots: int = 4
    live_workers: int = 2
    live_slots: int = 100
    events_workers: int = 2
    events_slots: int = 50
    events_slow_slots: int = 500

    @classmethod
    def load(cls, environ: Mapping[str, str] | None = None, *, running: bool = True) -> Settings:
        """Read them from `environ` (the process's own by default). Raises InvalidSettings, naming every mistake.

        `running` False leaves out what a running `up` has chosen.
        """
        given = {name: value for name, value in (os.environ if environ is None else environ).items() if value}
        chosen = running_settings(given) if running else {}
        return cls(**SettingsReader(chosen | given, named=sorted(given)).values())

    @property
    def drift_tick_s(self) -> float:
        """How often the drift audit goes on with its round, a part of it each time."""
        return min(5.0, self.drift_interval_s)

    @property
    def hidden(self) -> tuple[str | None, ...]:
        """What must never stand in a log."""
        password = urlsplit(self.redis_url).password
        keys = (key for _, key in (*self.live_api_keys, *self.scheduler_keys))
        return (self.api_token, self.avos_token, self.flower_password, password, *self.secrets_key, *keys)

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
