"""An unsafe store is named in the log of every process that starts on it, once, and nobody refuses to start."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from redis import Redis

from app.local.layout import free_port
from app.local.programs import api_command, worker_command
from tests.support.callers import Api, eventually
from tests.support.processes import Part
from tests.support.server import RealServer

pytestmark = [pytest.mark.processes, pytest.mark.timeout(180)]
TOKEN = "warning-token-" + "0" * 32


@pytest.fixture
def parts(own_server: RealServer, tmp_path: Path) -> Iterator[dict[str, Part]]:
    port = str(free_port())
    environ = {
        **{name: value for name, value in os.environ.items() if not name.startswith("MEDIAOPS_")},
        "MEDIAOPS_REDIS_URL": own_server.url,
        "MEDIAOPS_DATA_DIR": str(tmp_path / "data"),
        "MEDIAOPS_API_TOKEN": TOKEN,
        "MEDIAOPS_HTTP_PORT": port,
    }
    api = Api(f"http://127.0.0.1:{port}", TOKEN)
    commands = {"api": api_command(), "pending": worker_command("pending", "pending", 2)}
    made = {
        name: Part(name, command, environ, tmp_path / f"{name}.log", lambda _: True)
        for name, command in commands.items()
    }
    yield made
    api.close()
    for part in made.values():
        part.ask_to_stop()
    for part in made.values():
        part.wait_stopped()


def warnings(part: Part) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in part.written.splitlines() if line.startswith("{")]
    return [line for line in lines if line.get("event") == "the store is not safe"]


def warned(part: Part) -> bool:
    return len(warnings(part)) == 2


def test_an_unsafe_store_is_named_once_a_start(own_server: RealServer, parts: dict[str, Part]) -> None:
    client: Redis = Redis.from_url(own_server.url)
    client.config_set("appendfsync", "everysec")
    client.config_set("maxmemory-policy", "allkeys-lru")
    client.close()
    for part in parts.values():
        part.start()
    for part in parts.values():
        eventually(partial(warned, part), timeout_s=60, what=f"{part.name} to warn")
        found = {line["what"]: line for line in warnings(part)}
        assert found["redis memory"]["state"] == "bad"
        assert "noeviction" in found["redis memory"]["way_out"]
        assert found["redis persistence"]["state"] == "warning"
    # Two processes serve the API, and a worker connects anew: it is told once a start all the same. One that isn't
    # ready yet holds no connection that could break.
    eventually(lambda: "ready." in parts["pending"].written, timeout_s=60, what="the worker to be ready")
    own_server.kill()
    own_server.start()
    eventually(
        lambda: parts["pending"].written.count("Connected to") > 1 or not parts["pending"].alive,
        timeout_s=60,
        what="the worker to notice",
    )
    assert {name: len(warnings(part)) for name, part in parts.items()} == {"api": 2, "pending": 2}
