"""The whole API on an in-process Redis, through Flask's test client."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import fakeredis
import pytest
from flask import Flask
from flask.testing import FlaskClient

from app.http.factory import create_app
from app.packages import build
from app.platform.container import Container
from app.settings import Settings

BOOTSTRAP = "bootstrap-token-" + "0" * 32


def build_system(client: Any, tenant: str, *, flags: bool = False, **settings: Any) -> Container:
    """The process's own Container, on `client`."""
    given = Settings(redis_url="redis://unused", tenant=tenant, api_token=BOOTSTRAP, **settings)
    return build(given, redis=client, script_flags=flags)


@pytest.fixture
def system() -> Container:
    return build_system(fakeredis.FakeRedis(), "web")


@pytest.fixture
def app(system: Container) -> Flask:
    app = create_app(system)
    app.testing = True
    return app


@pytest.fixture
def anonymous(app: Flask) -> Iterator[FlaskClient]:
    with app.test_client() as client:
        yield client


class Caller:
    """The test client with a token: `caller.get("/api/…")`."""

    def __init__(self, app: Flask, token: str) -> None:
        self._client = app.test_client()
        self._token = token

    def __call__(self, method: str, path: str, **options: Any) -> Any:
        headers = {"Authorization": f"Bearer {self._token}", **options.pop("headers", {})}
        return self._client.open(path, method=method, headers=headers, **options)

    def get(self, path: str, **options: Any) -> Any:
        return self("GET", path, **options)

    def post(self, path: str, **options: Any) -> Any:
        return self("POST", path, **options)

    def put(self, path: str, **options: Any) -> Any:
        return self("PUT", path, **options)

    def delete(self, path: str, **options: Any) -> Any:
        return self("DELETE", path, **options)


@pytest.fixture
def caller(app: Flask) -> Caller:
    """With all scopes."""
    return Caller(app, BOOTSTRAP)
