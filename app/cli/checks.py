"""What `doctor` checks: each check looks at one part and says what it saw, and the way out where it is wrong."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from celery import Celery

from app.client import Client, Refused, Unreachable, reach
from app.platform.clock import utcnow
from app.platform.dispatch import QUEUES, Envelope
from app.platform.errors import Unavailable
from app.platform.keys import Keys
from app.platform.redis import RedisError, connect, store_errors
from app.settings import Settings

_OLDEST: Final = (7, 0)
_CLOCKS_S: Final = 2.0  # further apart, and times that people compare mislead them
_FULL: Final = 0.85  # above it accept answers 503
_ANSWER_S: Final = 1.5  # for workers to answer
_TICK_S: Final = 3.0  # a promote tick comes every second


@dataclass(frozen=True, slots=True)
class Finding:
    """`state` is ok, warning or bad."""

    what: str
    state: str
    detail: str
    way_out: str | None = None


def check_settings(settings: Settings) -> Iterator[Finding]:
    """They could be read; is anything missing or misspelt?"""
    for name in settings.unknown:
        yield Finding("settings", "warning", f"{name} is no setting", "Is it misspelt? It has no effect.")
    if settings.avos_url and not settings.avos_token:
        yield Finding(
            "settings", "warning", "MEDIAOPS_AVOS_TOKEN isn't set", "AVOS is called without authorization."
        )
    yield Finding("settings", "ok", f"read; data directory {settings.data_dir}, tenant {settings.tenant}")


def check_redis(settings: Settings) -> Iterator[Finding]:
    """The first finding says whether it answers at all."""
    client = connect(settings.redis_url)
    try:
        with store_errors():
            client.ping()
            before = utcnow().timestamp()
            seconds, micros = client.time()
            after = utcnow().timestamp()
            info: dict[str, Any] = client.info()
            yield Finding("redis", "ok", f"answers at {settings.redis_shown}")
            yield _version(info)
            yield _persistence(info, _config(client, "appendfsync"))
            yield _eviction(info, _config(client, "maxmemory-policy"))
            apart = (seconds + micros / 1e6) - (before + after) / 2
            yield _clocks(apart)
    except (Unavailable, RedisError) as error:
        way_out = (
            "Start it: `mediaops-sync up` runs an embedded one."
            if settings.redis_embedded
            else "Check MEDIAOPS_REDIS_URL."
        )
        detail = f"no answer at {settings.redis_shown} ({error})"
        yield Finding("redis", "bad", detail, way_out)
    finally:
        client.close()


def _config(client: Any, name: str) -> str | None:
    """A server's setting; None where the user may not ask (managed servers forbid CONFIG)."""
    try:
        answer = client.config_get(name)
    except RedisError:
        return None
    value = {_text(key): _text(given) for key, given in answer.items()}.get(name)
    return value or None


def _text(value: object) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


def _version(info: dict[str, Any]) -> Finding:
    valkey = info.get("valkey_version")
    text = str(valkey or info.get("redis_version") or "unknown")
    name = "Valkey" if valkey else "Redis"
    parts = tuple(int(part) for part in text.split(".")[:2] if part.isdecimal())
    if parts < _OLDEST:
        return Finding(
            "redis version",
            "bad",
            f"{name} {text}",
            "Use Valkey, or Redis 7.0 or newer: the scripts need it.",
        )
    return Finding("redis version", "ok", f"{name} {text}")


def _persistence(info: dict[str, Any], fsync: str | None) -> Finding:
    if not info.get("aof_enabled"):
        return Finding(
            "redis persistence",
            "bad",
            "no append-only file",
            "Set `appendonly yes`: else a restart loses accepted work.",
        )
    if info.get("aof_last_write_status", "ok") != "ok":
        return Finding(
            "redis persistence", "bad", "the append-only file can't be written", "Is its disk full?"
        )
    if fsync not in (None, "always"):
        return Finding(
            "redis persistence",
            "warning",
            f"append-only file, appendfsync {fsync}",
            "A crash of the machine loses up to a second; `appendfsync always` loses nothing.",
        )
    return Finding("redis persistence", "ok", f"append-only file, appendfsync {fsync or 'unknown'}")


def _eviction(info: dict[str, Any], policy: str | None) -> Finding:
    policy = policy or _text(info.get("maxmemory_policy", "unknown"))
    used, most = int(info["used_memory"]), int(info.get("maxmemory") or 0)
    detail = f"{policy}, {used / 2**20:.0f} MiB used" + (
        f" of {most / 2**20:.0f}" if most else ", without a limit"
    )
    if policy != "noeviction":
        return Finding(
            "redis memory", "bad", detail, "Set `maxmemory-policy noeviction`: else records are thrown out."
        )
    if most and used > most * _FULL:
        return Finding("redis memory", "bad", detail, "Nearly full, so new work is refused: raise maxmemory.")
    return Finding("redis memory", "ok", detail)


def _clocks(apart: float) -> Finding:
    detail = f"Redis' clock is {abs(apart):.2f} s {'ahead' if apart > 0 else 'behind'}"
    if abs(apart) > _CLOCKS_S:
        return Finding(
            "clocks",
            "warning",
            detail,
            "Let both machines keep time by NTP; Redis' clock is the one that counts.",
        )
    return Finding("clocks", "ok", detail)


def check_queues(settings: Settings) -> Iterator[Finding]:
    """Does a worker consume each queue, and does beat tick?"""
    celery = Celery("mediaops-doctor", broker=settings.broker_url, set_as_current=False)
    celery.conf.broker_transport_options = {
        "global_keyprefix": Envelope(settings.tenant).prefix,
        "socket_timeout": _ANSWER_S * 2,
        "max_retries": 0,
    }
    try:
        answers = celery.control.inspect(timeout=_ANSWER_S).active_queues() or {}
    except OSError as error:
        yield Finding("queues", "bad", f"workers can't be asked ({error})", "Check the broker's settings.")
        return
    finally:
        celery.close()
    consumed = Counter(str(queue["name"]) for queues in answers.values() for queue in queues)
    for queue in QUEUES:
        workers = consumed[queue]
        if workers:
            yield Finding(f"queue {queue}", "ok", f"consumed by {workers} worker process(es)")
        else:
            way_out = (
                f"Start one: `celery -A workers.app worker -Q {queue} …` (`mediaops-sync up` starts all)."
            )
            yield Finding(f"queue {queue}", "bad", "no worker answered", way_out)
    yield _ticks(settings)


def _ticks(settings: Settings) -> Finding:
    client, key = connect(settings.redis_url), Keys(settings.tenant).tick("promote")
    try:
        until = time.monotonic() + _TICK_S
        while time.monotonic() < until:
            with store_errors():
                if client.exists(key):
                    return Finding("ticks", "ok", "beat ticks and the ticks are worked on")
            time.sleep(0.05)
    except Unavailable as error:
        return Finding("ticks", "bad", str(error), "Is Redis overloaded?")
    finally:
        client.close()
    way_out = "Is beat running (`celery -A workers.app beat`), and a worker for the queue ticks?"
    return Finding("ticks", "bad", f"no tick within {_TICK_S:g} s", way_out)


def check_api(url: str) -> Finding:
    """Is our own API there and ready?"""
    client = Client(url, None, answer_s=3)
    try:
        client.get("/readyz")
    except Refused as error:
        return Finding("api", "bad", f"{url}: {error}", "Its store is away: see redis above.")
    except Unreachable as error:
        return Finding("api", "bad", str(error), "Start it (`mediaops-sync up`), or name it with --url.")
    finally:
        client.close()
    return Finding("api", "ok", f"ready at {url}")


def check_avos(settings: Settings) -> Finding:
    """Does anything answer at AVOS' address? Nothing is read or written there, and no token is sent."""
    if not settings.avos_url:
        return Finding(
            "avos",
            "bad",
            "MEDIAOPS_AVOS_URL isn't set",
            "Set it: nothing can be delivered without it. (`mediaops-sync up` runs a stand-in where it isn't set.)",
        )
    ca_file = None if settings.avos_ca_file is None else str(settings.avos_ca_file)
    through = " through a proxy" if settings.avos_proxy else ""
    try:
        status = reach(settings.avos_url, proxy=settings.avos_proxy, ca_file=ca_file)
    except Unreachable as error:
        way_out = "Check MEDIAOPS_AVOS_URL, the network and (MEDIAOPS_AVOS_BYPASS_PROXY) the proxy; requests wait meanwhile."
        return Finding("avos", "bad", f"{error}{through}", way_out)
    if status >= 500:
        return Finding(
            "avos", "warning", f"answers HTTP {status} at {settings.avos_url}{through}", "Is it well?"
        )
    return Finding("avos", "ok", f"answers at {settings.avos_url}{through}")
