"""Fixtures for all tests: one real server per test process, and a tenant of its own for every test."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from redis import Redis

from app.platform.redis import connect
from app.settings import Settings
from tests.support.server import RealServer

# Python's readline, where something loads it, gives every process that is started from then on a width of 80 columns.
# Tests of the command line say themselves how wide a terminal is.
os.environ.pop("COLUMNS", None)


@pytest.fixture(scope="session")
def real_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealServer]:
    """A Valkey shared by the tests of this process. Don't stop or flush it: use `own_server` for that."""
    server = RealServer(tmp_path_factory.mktemp("server")).start()
    yield server
    server.stop()


@pytest.fixture
def own_server(tmp_path: Path) -> Iterator[RealServer]:
    """A Valkey of this test's own, to be stopped, killed or frozen."""
    server = RealServer(tmp_path, fsync="always").start()
    yield server
    server.stop()


@pytest.fixture
def tenant() -> str:
    """A fresh prefix: tests that share a server don't see one another's keys."""
    return f"t{uuid.uuid4().hex[:12]}"


@pytest.fixture
def redis_client(real_server: RealServer) -> Iterator[Redis]:
    client = connect(real_server.url, timeout_s=10)
    yield client
    client.close()


@pytest.fixture
def settings(real_server: RealServer, tenant: str, tmp_path: Path) -> Settings:
    """Settings of a test: the real server, a fresh tenant, a data directory of its own."""
    return Settings.load(
        {
            "MEDIAOPS_REDIS_URL": real_server.url,
            "MEDIAOPS_TENANT": tenant,
            "MEDIAOPS_DATA_DIR": str(tmp_path / "data"),
            "MEDIAOPS_API_TOKEN": "test-token-" + "0" * 32,
        }
    )
