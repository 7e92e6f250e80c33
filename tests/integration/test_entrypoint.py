"""The image's entry point: every role as a plain process, and its health check."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import yaml
from redis import Redis
from redis.exceptions import AuthenticationError
from redis.exceptions import ConnectionError as RedisConnectionError

from app.cli.root import main
from app.local.layout import free_port
from app.packages import QUEUES
from app.platform.embedded import find_server
from app.platform.redis import connect
from app.settings import Settings
from app.watch.canaries import watch
from deploy.health import WORKERS, nodes
from tests.support.server import RealServer
from tests.support.wait import until
from tests.support.worker import ROOT

ENTRYPOINT = ROOT / "deploy" / "entrypoint"
ROLES = ("api", "pending", "live", "deliveries", "deliveries-slow", "ticks", "beat", "flower")
pytestmark = [pytest.mark.processes, pytest.mark.timeout(180)]


def run(*arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(ENTRYPOINT), *arguments],
        env=_environ(environ),
        cwd="/",
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def _environ(more: dict[str, str]) -> dict[str, str]:
    return {**os.environ, "PYTHON_BIN": str(Path(sys.executable).parent), **more}


@pytest.fixture
def environ(own_server: RealServer, tmp_path: Path) -> dict[str, str]:
    secret = tmp_path / "flower-password"
    secret.write_text("flower-secret\n")
    return {
        "MEDIAOPS_REDIS_URL": own_server.url,
        "MEDIAOPS_DATA_DIR": str(tmp_path / "data"),
        "MEDIAOPS_API_TOKEN": "t" * 40,
        "MEDIAOPS_AVOS_URL": "http://127.0.0.1:9",
        "MEDIAOPS_HTTP_PORT": str(free_port()),
        "MEDIAOPS_FLOWER_PORT": str(free_port()),
        "MEDIAOPS_FLOWER_PASSWORD_FILE": str(secret),
        "MEDIAOPS_LIVE_SLOTS": "4",
    }


@pytest.fixture
def processes(environ: dict[str, str], tmp_path: Path) -> Iterator[dict[str, subprocess.Popen[bytes]]]:
    started = {}
    for role in ROLES:
        with (tmp_path / f"{role}.log").open("wb") as log:
            started[role] = subprocess.Popen(
                [str(ENTRYPOINT), role], cwd="/", env=_environ(environ), stdout=log, stderr=subprocess.STDOUT
            )
    yield started
    for process in reversed(started.values()):
        process.terminate()
    for process in started.values():
        process.wait(30)


@pytest.mark.slow
def test_every_role_runs_from_any_directory_is_well_and_ends_on_sigterm(
    processes: dict[str, subprocess.Popen[bytes]], environ: dict[str, str], tmp_path: Path
) -> None:

    def well(role: str) -> bool:
        return run("health", role, **environ).returncode == 0

    for role in ROLES:
        until(partial(well, role), timeout_s=60, what=f"{role}, whose log is in {tmp_path}")
    url = f"http://127.0.0.1:{environ['MEDIAOPS_FLOWER_PORT']}/"
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(url, timeout=10)
    assert refused.value.code == 401
    refused.value.close()
    gives_way = {role: os.getpriority(os.PRIO_PROCESS, process.pid) for role, process in processes.items()}
    assert gives_way["deliveries-slow"] > gives_way["deliveries"]
    for process in reversed(processes.values()):
        process.terminate()
    for role, process in processes.items():
        assert process.wait(30) in (0, -15), role
    assert run("health", "beat", **environ).returncode == 1
    assert run("health", "api", **environ).returncode == 1


@pytest.mark.slow
def test_two_workers_of_a_role_have_names_of_their_own_and_one_check(
    environ: dict[str, str], tmp_path: Path
) -> None:
    host = socket.gethostname()
    environ |= {"XDG_RUNTIME_DIR": str(tmp_path)}
    canaries = watch(Settings.load(environ), connect(environ["MEDIAOPS_REDIS_URL"]), QUEUES)
    started = []

    def start(**more: str) -> None:
        with (tmp_path / "live.log").open("ab") as log:
            command = [str(ENTRYPOINT), "live"]
            started.append(subprocess.Popen(command, env=_environ(environ | more), stdout=log, stderr=log))

    def names() -> set[str]:
        return set(canaries.report().workers)

    try:
        start()
        until(lambda: names() == {f"live@{host}"}, timeout_s=60)
        start()
        until(lambda: names() == {f"live@{host}", f"live2@{host}"}, timeout_s=60)
        assert run("health", "live", **environ).returncode == 0
        # The number is free again as soon as its process is gone, however that went.
        started[0].kill()
        started[0].wait()
        assert f"live@{host} doesn't answer" in run("health", "live", **environ).stderr
        start()
        until(lambda: run("health", "live", **environ).returncode == 0, timeout_s=60)
        start(MEDIAOPS_NODE_NAME="extra")
        until(lambda: names() == {f"{name}@{host}" for name in ("live", "live2", "extra")}, timeout_s=60)
        assert run("health", "live", MEDIAOPS_NODE_NAME="extra", **environ).returncode == 0
    finally:
        for process in started:
            process.terminate()
        for process in started:
            process.wait(30)


@pytest.mark.parametrize(
    ("role", "given", "known", "looked_at"),
    [
        ("live", None, [], ["live@h"]),
        ("live", None, ["live@h", "live2@h", "live3@other", "deliveries@h"], ["live@h", "live2@h"]),
        ("live", None, ["live2@h"], ["live2@h"]),
        ("deliveries", None, ["deliveries@h", "deliveries-slow@h", "deliveries-slow2@h"], ["deliveries@h"]),
        ("live", "mine", ["live@h"], ["mine@h"]),
        ("live", "mine@%h.x", [], ["mine@h.x"]),
    ],
)
def test_the_check_looks_at_the_workers_of_its_role(
    role: str, given: str | None, known: list[str], looked_at: list[str]
) -> None:
    assert nodes(role, given, "h", known) == looked_at


@pytest.mark.slow
def test_a_frozen_flower_is_not_well_and_its_log_is_json(environ: dict[str, str], tmp_path: Path) -> None:
    log = tmp_path / "flower.log"
    with log.open("wb") as out:
        command = [str(ENTRYPOINT), "flower"]
        flower = subprocess.Popen(command, env=_environ(environ), stdout=out, stderr=subprocess.STDOUT)
    try:
        until(lambda: run("health", "flower", **environ).returncode == 0, timeout_s=60)
        flower.send_signal(signal.SIGSTOP)
        done = run("health", "flower", **environ)
        assert (done.returncode, "timed out" in done.stderr) == (1, True), done.stderr
        flower.send_signal(signal.SIGCONT)
        until(lambda: run("health", "flower", **environ).returncode == 0, timeout_s=60)
    finally:
        flower.send_signal(signal.SIGCONT)
        flower.terminate()
        flower.wait(30)
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    assert any(line["event"].startswith("Visit me at") for line in lines)
    assert environ["MEDIAOPS_API_TOKEN"] not in log.read_text()


def test_commands_of_the_command_line_are_roles_too() -> None:
    assert "FILE" in run("import", "--help").stdout
    listed = run("help").stdout
    assert all(name in listed for name in (*ROLES, *main.commands))
    for name in main.commands:
        assert name not in (*ROLES, "health", "help"), "a role hides this command"
        assert run(name, "--help").stdout.startswith(f"Usage: python -m app {name}"), name


def test_an_unknown_role_is_named() -> None:
    done = run("nonsense")
    assert done.returncode == 2
    assert "No such command 'nonsense'" in done.stderr
    assert run("health", "nonsense").returncode == 64


def test_flower_is_not_started_without_a_password(tmp_path: Path) -> None:
    done = run("flower", MEDIAOPS_DATA_DIR=str(tmp_path))
    assert done.returncode == 1
    assert "MEDIAOPS_FLOWER_PASSWORD" in done.stderr


def test_wrong_settings_are_all_named_at_the_start(tmp_path: Path) -> None:
    done = run("status", MEDIAOPS_DATA_DIR=str(tmp_path), MEDIAOPS_HTTP_PORT="x", MEDIAOPS_LEASE_S="y")
    assert done.returncode == 2
    assert "MEDIAOPS_HTTP_PORT" in done.stderr
    assert "MEDIAOPS_LEASE_S" in done.stderr


def test_the_composition_runs_these_roles_on_a_persistent_store() -> None:
    composition: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
    services = composition["services"]
    assert set(ROLES) <= set(services)
    for role in ROLES:
        assert services[role]["command"] == [role]
        check = services[role]["healthcheck"]["test"]
        assert (check[2], check[-1]) == ("health", role)
        # Compose restarts only what has ended.
        assert ("--end-silent" in check) == (role in (*WORKERS, "beat"))
    assert services["live"]["deploy"]["replicas"] == 2
    script = services["valkey"]["command"][-1]
    for wanted in ("--appendonly yes", "--appendfsync always", '--save ""', "--maxmemory-policy noeviction"):
        assert wanted in script


def test_each_service_has_the_secrets_that_it_needs_and_no_others() -> None:
    text = (ROOT / "docker-compose.yml").read_text()
    composition: dict[str, Any] = yaml.safe_load(text)
    sinks, avos = {"redis-url", "secrets-key"}, {"redis-url", "avos-token"}
    needed = {
        "api": {"api-token"} | avos | sinks,
        "pending": {"redis-url"},
        "live": avos,
        "deliveries": sinks,
        "deliveries-slow": sinks,
        "ticks": avos,
        "beat": {"redis-url"},
        "flower": {"redis-url", "flower-password"},
        "valkey": {"valkey-password"},
        "avos-stand-in": {"avos-token"},
        "import": {"api-token"},
    }
    services = composition["services"]
    assert {name: set(service.get("secrets", ())) for name, service in services.items()} == needed
    for name, service in services.items():
        environment = service.get("environment", {})
        files = {Path(value).name for key, value in environment.items() if key.endswith("_FILE")}
        if name not in ("valkey", "avos-stand-in"):  # these name theirs in their commands
            assert files == needed[name]
        assert ("AWS_SECRET_ACCESS_KEY" in environment) == (name in ("api", "deliveries", "deliveries-slow"))
        assert "MEDIAOPS_REDIS_URL" not in environment
    made = text[: text.index("name: mediaops-sync")]
    assert all(name in made for name in composition["secrets"])


def test_the_compositions_store_asks_for_a_password_that_no_command_line_shows(tmp_path: Path) -> None:
    """Its command as it stands there, without a container around it."""
    composition: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
    script = str(composition["services"]["valkey"]["command"][-1]).replace("$$", "$")
    (tmp_path / "valkey-password").write_text("the-password\n")
    here = {"/run/secrets": str(tmp_path), "docker-entrypoint.sh valkey-server": str(find_server())}
    for there, instead in here.items():
        assert there in script
        script = script.replace(there, instead)
    port = free_port()
    process = subprocess.Popen(
        ["sh", "-c", script.replace(" - ", f" - --port {port} --dir {tmp_path} ")], stdout=subprocess.DEVNULL
    )
    try:
        with (
            Redis(port=port) as nobody,
            Redis(port=port, password="the-password", decode_responses=True) as known,
        ):
            until(lambda: refused_for_its_password(nobody), what="the server")
            assert known.ping()
            wanted = {
                "appendonly": "yes",
                "appendfsync": "always",
                "save": "",
                "maxmemory-policy": "noeviction",
            }
            assert {name: known.config_get(name)[name] for name in wanted} == wanted
        assert b"the-password" not in Path(f"/proc/{process.pid}/cmdline").read_bytes()
    finally:
        process.terminate()
        assert process.wait(20) == 0


def refused_for_its_password(client: Redis) -> bool:
    try:
        client.ping()
    except AuthenticationError:
        return True
    except RedisConnectionError:
        return False
    raise AssertionError("whoever asks is answered")
