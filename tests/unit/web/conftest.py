"""The whole API on an in-process Redis, through Flask's test client."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any, cast

import fakeredis
import pytest
from flask import Flask
from flask.testing import FlaskClient

from app.avos.bodies import PropertyNames
from app.outgoing.operations import Operations
from app.outgoing.service import RequestService
from app.outgoing.store import OutgoingStore, Policy
from app.planning.service import PlanningService
from app.planning.store import PlanningStore
from app.platform.keys import Keys
from app.platform.redis import Client
from app.platform.tokens import TokenStore
from app.registrations.service import RegistrationService
from app.registrations.store import RegistrationStore
from app.settings import Settings
from app.web import create_app

BOOTSTRAP = "bootstrap-token-" + "0" * 32


class Messages:
    """Stands in for the broker's envelope: what is pushed is looked at elsewhere."""

    def templates(self) -> dict[str, str]:
        return {"promote": '{"arg":"@@ARG@@"}', "patch": '{"id":"@@ARG@@"}', "send": '{"id":"@@ARG@@"}'}

    def queue_key(self, queue: str) -> str:
        return f"web:{queue}"


def build_system(client: Any, keys: Keys, *, flags: bool, max_body_bytes: int = 8 * 1024 * 1024) -> Any:
    """A System of real parts on `client`."""
    settings = Settings(redis_url="redis://unused", api_token=BOOTSTRAP, max_body_bytes=max_body_bytes)
    outgoing = OutgoingStore(client, keys, Policy(), Messages(), flags=flags)
    requests = RequestService(outgoing)
    names = PropertyNames()
    planning = PlanningStore(client, keys)
    return SimpleNamespace(
        settings=settings,
        redis=client,
        keys=keys,
        outgoing=outgoing,
        requests=requests,
        operations=Operations(outgoing, requests),
        planning=PlanningService(planning, outgoing, names),
        registrations=RegistrationService(RegistrationStore(client, keys), planning, outgoing, names),
        tokens=TokenStore(client, keys, BOOTSTRAP),
    )


@pytest.fixture
def system() -> Any:
    client = cast("Client", fakeredis.FakeRedis())
    return build_system(client, Keys("web"), flags=False)


@pytest.fixture
def app(system: Any) -> Flask:
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
