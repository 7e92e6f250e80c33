"""What `doctor` finds, and the way out that it names."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from pytest_httpserver import HTTPServer

from app.avos.checks import look_at
from app.cli import checks
from app.cli.checks import check_api, check_redis, check_settings
from app.cli.root import main
from app.platform.clock import utcnow
from app.settings import Settings

GOOD: dict[str, Any] = {
    "valkey_version": "9.1.2", "redis_version": "7.2.4", "aof_enabled": 1, "aof_last_write_status": "ok",
    "used_memory": 2**20, "maxmemory": 2**30, "maxmemory_policy": "noeviction",
}  # fmt: skip


class FakeServer:
    """Answers what `doctor` asks; redis-py's replies in their shapes."""

    def __init__(self, info: dict[str, Any], ahead_s: float = 0, fsync: bytes = b"always") -> None:
        self._info, self._ahead, self._fsync = info, ahead_s, fsync

    def ping(self) -> bool:
        return True

    def time(self) -> tuple[int, int]:
        return int(utcnow().timestamp() + self._ahead), 0

    def info(self) -> dict[str, Any]:
        return self._info

    def config_get(self, name: str) -> dict[bytes, bytes]:
        known = {"appendfsync": self._fsync, "maxmemory-policy": str(self._info["maxmemory_policy"]).encode()}
        return {name.encode(): known.get(name, b"0")}

    def acl_whoami(self) -> str:
        return "default"

    def acl_getuser(self, name: str) -> dict[str, Any]:
        return {"categories": ["+@all"], "commands": [], "keys": ["~*"]}

    def close(self) -> None:
        pass


def settings(tmp_path: Path, **environ: str) -> Settings:
    return Settings.load({"MEDIAOPS_DATA_DIR": str(tmp_path), **environ})


@pytest.mark.parametrize(
    ("server", "wrong"),
    [
        (FakeServer(GOOD), {}),
        (FakeServer(GOOD | {"valkey_version": None, "redis_version": "6.2.1"}), {"redis version": "bad"}),
        (FakeServer(GOOD | {"aof_enabled": 0}), {"redis persistence": "bad"}),
        (FakeServer(GOOD | {"aof_last_write_status": "err"}), {"redis persistence": "bad"}),
        (FakeServer(GOOD, fsync=b"everysec"), {"redis persistence": "warning"}),
        (FakeServer(GOOD | {"maxmemory_policy": "allkeys-lru"}), {"redis memory": "bad"}),
        (FakeServer(GOOD | {"used_memory": 2**30 - 1}), {"redis memory": "bad"}),
        (FakeServer(GOOD, ahead_s=60), {"clocks": "warning"}),
        (FakeServer(GOOD, ahead_s=-60), {"clocks": "warning"}),
    ],
)
def test_redis_is_as_it_must_be(
    server: FakeServer, wrong: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checks, "connect", lambda _url: server)
    found = list(check_redis(settings(tmp_path)))
    assert {one.what: one.state for one in found if one.state != "ok"} == wrong
    assert all(one.way_out for one in found if one.state != "ok")
    assert len(found) == 5


def test_no_redis_is_found_at_once(tmp_path: Path) -> None:
    found = list(check_redis(settings(tmp_path, MEDIAOPS_REDIS_URL="redis://user:secret@127.0.0.1:1/0")))
    assert [one.state for one in found] == ["bad"]
    assert "secret" not in found[0].detail


def test_misspelt_and_missing_settings(tmp_path: Path) -> None:
    given = settings(tmp_path, MEDIAOPS_AVOS_URL="http://127.0.0.1:1")
    found = {one.detail: one.state for one in check_settings(given)}
    assert found["MEDIAOPS_AVOS_TOKEN isn't set"] == "warning"
    assert look_at(given).state == "bad"
    assert look_at(settings(tmp_path)).detail == "MEDIAOPS_AVOS_URL isn't set"


def test_the_far_side_and_our_api(httpserver: HTTPServer, tmp_path: Path) -> None:
    url = httpserver.url_for("").rstrip("/")
    httpserver.expect_oneshot_request("/").respond_with_data("", status=401)
    given = settings(tmp_path, MEDIAOPS_AVOS_URL=url, MEDIAOPS_AVOS_TOKEN="far-side-secret")
    assert look_at(given).state == "ok"
    assert "Authorization" not in httpserver.log[0][0].headers
    httpserver.expect_oneshot_request("/").respond_with_data("", status=503)
    assert look_at(given).state == "warning"
    httpserver.expect_oneshot_request("/readyz").respond_with_json({"status": "ready"})
    assert check_api(url).state == "ok"
    httpserver.expect_oneshot_request("/readyz").respond_with_json({"detail": "The store is away."}, 503)
    assert check_api(url).state == "bad"
    assert check_api("http://127.0.0.1:1").way_out


def test_the_command_exits_1_and_names_every_wrong_setting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MEDIAOPS_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("MEDIAOPS_REDIS_URL", "redis://127.0.0.1:1/0")
    result = CliRunner().invoke(main, ["--url", "http://127.0.0.1:1", "doctor", "--json"])
    assert result.exit_code == 1
    found = {one["what"]: one["state"] for one in json.loads(result.stdout)}
    assert found == {"settings": "ok", "redis": "bad", "api": "bad", "avos": "bad"}
    monkeypatch.setenv("MEDIAOPS_LEASE_S", "long")
    result = CliRunner().invoke(main, ["doctor"])
    assert (result.exit_code, "MEDIAOPS_LEASE_S" in result.stdout) == (1, True)
