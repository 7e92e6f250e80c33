"""Is the store one that keeps what was accepted? A pure function of what the server says about itself."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from typing import Any, Final

from redis import Redis

from app.platform import log
from app.platform.errors import Unavailable
from app.platform.redis import RedisError, store_errors
from app.watch.evaluation import WatchFinding

OLDEST: Final = (7, 0)
READS_BACK: Final = (9, 1, 2)  # Valkey that reads back what the user `default` may not write
FULL: Final = 0.85  # of maxmemory; above it accept answers 503
_ASKED: Final = ("appendfsync", "maxmemory-policy", "min-replicas-to-write")
_AGAIN_S: Final = 5.0
_log = log.get_logger()


def server_facts(client: Redis) -> dict[str, Any]:
    """INFO, and those settings that it doesn't show, under their names in CONFIG; `user`, who is logged in, and `default_rules`,
    what the user `default` may do. Without what the user may not ask (managed servers forbid CONFIG)."""
    info: Any = client.info()
    facts: dict[str, Any] = dict(info)
    for name in _ASKED:
        try:
            answer: Any = client.config_get(name)
        except RedisError:
            continue
        facts |= {_text(key): _text(value) for key, value in answer.items()}
    for name, ask in (("user", client.acl_whoami), ("default_rules", lambda: client.acl_getuser("default"))):
        try:
            facts[name] = ask()
        except RedisError:
            continue
    return facts


def durability(facts: Mapping[str, Any]) -> list[WatchFinding]:
    """One finding each for version, persistence, memory and, where there are any, replicas and users."""
    return [_version(facts), _persistence(facts), _memory(facts), *_replication(facts), *_users(facts)]


def _version(facts: Mapping[str, Any]) -> WatchFinding:
    valkey = facts.get("valkey_version")
    text = str(valkey or facts.get("redis_version") or "unknown")
    shown = f"{'Valkey' if valkey else 'Redis'} {text}"
    if _numbers(text)[:2] < OLDEST:
        way_out = "Use Valkey, or Redis 7.0 or newer: the scripts need it."
        return WatchFinding("redis version", "bad", shown, way_out)
    return WatchFinding("redis version", "ok", shown)


def _persistence(facts: Mapping[str, Any]) -> WatchFinding:
    what = "redis persistence"
    if not facts.get("aof_enabled"):
        way_out = "Set `appendonly yes`: else a restart loses accepted work."
        return WatchFinding(what, "bad", "no append-only file", way_out)
    if facts.get("aof_last_write_status", "ok") != "ok":
        return WatchFinding(what, "bad", "the append-only file can't be written", "Is its disk full?")
    fsync = facts.get("appendfsync")
    detail = f"append-only file, appendfsync {fsync or 'unknown'}"
    if fsync == "no":
        way_out = "A crash of the machine loses what the system hasn't written yet, half a minute's work: set `appendfsync always`."
        return WatchFinding(what, "bad", detail, way_out)
    if fsync not in (None, "always"):
        way_out = "A crash of the machine loses up to a second (nobody waits by WAITAOF); `appendfsync always` loses nothing."
        return WatchFinding(what, "warning", detail, way_out)
    if facts.get("aof_last_bgrewrite_status", "ok") != "ok":
        way_out = "The append-only file grows for ever: is its disk nearly full, or memory too short to fork?"
        return WatchFinding(what, "warning", "the append-only file can't be rewritten", way_out)
    return WatchFinding(what, "ok", detail)


def _memory(facts: Mapping[str, Any]) -> WatchFinding:
    what = "redis memory"
    policy = str(facts.get("maxmemory-policy") or _text(facts.get("maxmemory_policy", "unknown")))
    used, most = int(facts.get("used_memory", 0)), int(facts.get("maxmemory") or 0)
    limit = f" of {most / 2**20:.0f}" if most else ", without a limit"
    detail = f"{policy}, {used / 2**20:.0f} MiB used{limit}"
    if policy != "noeviction":
        way_out = "Set `maxmemory-policy noeviction`: else records are thrown out."
        return WatchFinding(what, "bad", detail, way_out)
    if not most:
        way_out = "Set `maxmemory` below what the machine has: else a backlog ends in its memory running out, not in a 503."
        return WatchFinding(what, "warning", detail, way_out)
    if used > most * FULL:
        return WatchFinding(what, "bad", detail, "Nearly full, so new work is refused: raise maxmemory.")
    return WatchFinding(what, "ok", detail)


def _replication(facts: Mapping[str, Any]) -> Iterator[WatchFinding]:
    what = "redis replication"
    role, replicas = str(facts.get("role", "master")), int(facts.get("connected_slaves") or 0)
    if facts.get("cluster_enabled"):
        way_out = (
            "Use a single server (with replicas): one planning write spans lanes, so the tenant is the shard."
        )
        yield WatchFinding(what, "bad", "cluster mode", way_out)
    if role != "master":
        yield WatchFinding(what, "bad", f"this is a {role}", "Name the primary in MEDIAOPS_REDIS_URL.")
    elif replicas and facts.get("min-replicas-to-write") == "0":
        way_out = (
            "A fail-over loses what the replica hasn't received, and a primary that is cut off goes on accepting: "
            "set `min-replicas-to-write 1`."
        )
        yield WatchFinding(what, "warning", f"{replicas} replica(s), asynchronous", way_out)
    elif replicas:
        yield WatchFinding(what, "ok", f"{replicas} replica(s)")


def _users(facts: Mapping[str, Any]) -> Iterator[WatchFinding]:
    """Redis reads the append-only file back as the user `default`, and refuses whatever of a script's writes that one may not do
    (redis/redis#14541, valkey-io/valkey#3983; seen with Redis 7.0.15, and not with Valkey 9.1.2)."""
    user, rules = _text(facts.get("user") or "default"), facts.get("default_rules")
    if user == "default" or _numbers(str(facts.get("valkey_version") or "")) >= READS_BACK:
        return
    what, seen = "redis users", f"logged in as {user}"
    way_out = (
        "where it may not do everything, a restart loses what scripts have written: `ACL SETUSER default off ~* &* +@all`, in the ACL "
        "file too. It still can't log in."
    )
    if rules is None:
        asked = f"Look whether the user `default` may do everything (`+acl|getuser` lets {user} see it): "
        yield WatchFinding(what, "warning", seen, asked + way_out)
    elif rules.get("categories") != ["+@all"] or rules.get("commands") or "~*" not in rules.get("keys", ()):
        yield WatchFinding(
            what, "bad", f"{seen}; default is restricted", f"Give `default` all rights: {way_out}"
        )
    else:
        yield WatchFinding(what, "ok", seen)


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".") if part.isdecimal())


def _text(value: object) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


class StartWarning:
    """Looks at the store once in the life of a process, and names in the log what is unsafe and the way out.

    In a thread of its own, as often as it takes: a start neither waits for the store nor fails by it.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._begun = False

    def __call__(self, client: Redis) -> None:
        with self._lock:
            if self._begun:
                return
            self._begun = True
        threading.Thread(target=self._look, args=(client,), name="durability", daemon=True).start()

    def _look(self, client: Redis) -> None:
        again = threading.Event()
        while True:
            try:
                with store_errors():
                    facts = server_facts(client)
            except Unavailable:
                again.wait(_AGAIN_S)
                continue
            except RedisError as error:
                _log.warning("the store's settings can't be read", error=str(error))
                return
            break
        warn(facts)


def warn(facts: Mapping[str, Any]) -> None:
    """One line for each thing that is unsafe."""
    for one in durability(facts):
        if one.state != "ok":
            _log.warning(
                "the store is not safe", what=one.what, seen=one.detail, way_out=one.way_out, state=one.state
            )


warn_at_start: Final = StartWarning()
