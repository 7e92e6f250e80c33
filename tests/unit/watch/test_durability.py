"""What makes a store unsafe, as a table."""

from __future__ import annotations

import threading
from typing import Any

import pytest
import structlog
from redis import Redis
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import NoPermissionError

from app.watch import durability as durability_module
from app.watch.durability import StartWarning, durability, server_facts, warn
from tests.support.server import RealServer
from tests.support.wait import until

SAFE: dict[str, Any] = {
    "valkey_version": "9.1.2", "redis_version": "7.2.4", "role": "master", "connected_slaves": 0,
    "cluster_enabled": 0, "aof_enabled": 1, "aof_last_write_status": "ok", "aof_last_bgrewrite_status": "ok",
    "appendfsync": "always", "maxmemory-policy": "noeviction", "used_memory": 2**20, "maxmemory": 2**30,
    "min-replicas-to-write": "0",
}  # fmt: skip
OLDER = SAFE | {"valkey_version": None}
RULES = {"flags": ["off"], "categories": ["+@all"], "commands": [], "keys": ["~*"], "channels": ["&*"]}
UNASKED = {name: value for name, value in SAFE.items() if "-" not in name and name != "appendfsync"}


@pytest.mark.parametrize(
    ("facts", "unsafe"),
    [
        (SAFE, {}),
        # CONFIG is forbidden: INFO says as much as it can
        (UNASKED | {"maxmemory_policy": "noeviction"}, {}),
        (UNASKED | {"maxmemory_policy": "volatile-lru"}, {"redis memory": "bad"}),
        (SAFE | {"valkey_version": None}, {}),
        (SAFE | {"valkey_version": None, "redis_version": "7.0.0"}, {}),
        (SAFE | {"valkey_version": None, "redis_version": "6.2.14"}, {"redis version": "bad"}),
        (SAFE | {"valkey_version": None, "redis_version": None}, {"redis version": "bad"}),
        (SAFE | {"aof_enabled": 0}, {"redis persistence": "bad"}),
        (SAFE | {"aof_last_write_status": "err"}, {"redis persistence": "bad"}),
        (SAFE | {"aof_last_bgrewrite_status": "err"}, {"redis persistence": "warning"}),
        (SAFE | {"appendfsync": "everysec"}, {"redis persistence": "warning"}),
        (SAFE | {"appendfsync": "no"}, {"redis persistence": "bad"}),
        (SAFE | {"maxmemory-policy": "allkeys-lru"}, {"redis memory": "bad"}),
        (SAFE | {"maxmemory": 0}, {"redis memory": "warning"}),
        (SAFE | {"used_memory": 2**30 - 1}, {"redis memory": "bad"}),
        (SAFE | {"role": "slave"}, {"redis replication": "bad"}),
        (SAFE | {"cluster_enabled": 1}, {"redis replication": "bad"}),
        (SAFE | {"connected_slaves": 1}, {"redis replication": "warning"}),
        (SAFE | {"connected_slaves": 1, "min-replicas-to-write": "1"}, {}),
        (OLDER | {"user": "default", "default_rules": None}, {}),
        (OLDER | {"user": "app"}, {"redis users": "warning"}),
        (OLDER | {"user": "app", "default_rules": RULES}, {}),
        (OLDER | {"user": "app", "default_rules": RULES | {"categories": ["-@all"]}}, {"redis users": "bad"}),
        (OLDER | {"user": "app", "default_rules": RULES | {"commands": ["-set"]}}, {"redis users": "bad"}),
        (OLDER | {"user": "app", "default_rules": RULES | {"keys": []}}, {"redis users": "bad"}),
        (OLDER | {"valkey_version": "9.1.1", "user": "app"}, {"redis users": "warning"}),
        (SAFE | {"user": "app", "default_rules": RULES | {"categories": ["-@all"]}}, {}),
    ],
)
def test_what_is_unsafe_is_named_with_the_way_out(facts: dict[str, Any], unsafe: dict[str, str]) -> None:
    found = durability(facts)
    assert {one.what: one.state for one in found if one.state != "ok"} == unsafe
    assert all(one.way_out for one in found if one.state != "ok")


def test_a_real_server_says_it_of_itself(own_server: RealServer) -> None:
    client: Redis = Redis.from_url(own_server.url)
    try:
        assert {one.state for one in durability(server_facts(client))} == {"ok"}
        client.config_set("appendonly", "no")
        client.config_set("maxmemory-policy", "allkeys-lru")
        client.config_set("maxmemory", "0")
        facts = server_facts(client)
    finally:
        client.close()
    with structlog.testing.capture_logs() as lines:
        warn(facts)
    assert {line["what"]: line["state"] for line in lines} == {
        "redis persistence": "bad",
        "redis memory": "bad",
    }
    assert {line["log_level"] for line in lines} == {"warning"}
    assert all(line["way_out"] for line in lines)


def test_a_real_server_says_who_is_logged_in_and_what_default_may_do(own_server: RealServer) -> None:
    client: Any = Redis.from_url(own_server.url)
    client.execute_command(
        *[
            "ACL",
            "SETUSER",
            "app",
            "on",
            ">word",
            "~*",
            "&*",
            "+@all",
            "-@admin",
            "-@dangerous",
            "+info",
            "+config|get",
        ]
    )
    restricted: Redis = Redis.from_url(own_server.url, username="app", password="word")
    try:
        facts, few = server_facts(client), server_facts(restricted)
        client.execute_command(*["ACL", "SETUSER", "default", "-@write"])
        changed = server_facts(client)
    finally:
        client.close()
        restricted.close()
    older = {"valkey_version": None, "redis_version": "7.0.15"}
    assert (facts["user"], few["user"], "default_rules" in few) == ("default", "app", False)
    assert [one.state for one in durability(few | older) if one.what == "redis users"] == ["warning"]
    for rules, state in ((facts, "ok"), (changed, "bad")):
        seen = few | older | {"default_rules": rules["default_rules"]}
        assert [one.state for one in durability(seen) if one.what == "redis users"] == [state]


class LateServer:
    """Away at first."""

    def __init__(self) -> None:
        self.asked = 0

    def info(self) -> dict[str, Any]:
        self.asked += 1
        if self.asked < 3:
            raise RedisConnectionError("away")
        return SAFE | {"aof_enabled": 0}

    def config_get(self, name: str) -> dict[str, Any]:
        return {name: SAFE[name]}

    def acl_whoami(self) -> str:
        return "default"

    def acl_getuser(self, name: str) -> dict[str, Any]:
        raise NoPermissionError(name)


def test_a_start_warns_once_as_soon_as_the_store_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    warned: list[Any] = []
    monkeypatch.setattr(durability_module, "warn", warned.append)
    monkeypatch.setattr(durability_module, "_AGAIN_S", 0.01)
    server: Any = LateServer()
    look = StartWarning()
    threads = [threading.Thread(target=look, args=(server,)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    until(lambda: warned, what="the warning")
    assert (server.asked, len(warned)) == (3, 1)
