"""The whole API on a Redis in the process, and a receiver of webhooks on this machine."""

from __future__ import annotations

from typing import Any

import fakeredis
import pytest
from flask import Flask
from pytest_httpserver import HTTPServer

from app.http.factory import create_app
from app.platform.container import Container
from tests.unit.http.conftest import BOOTSTRAP, Caller, build_system

API = "/api/subscriptions"


@pytest.fixture
def system() -> Container:
    return build_system(fakeredis.FakeRedis(), "subs", allowed_cidrs=("127.0.0.0/8",))


@pytest.fixture
def app(system: Container) -> Flask:
    return create_app(system)


@pytest.fixture
def caller(app: Flask) -> Caller:
    """With all scopes."""
    return Caller(app, BOOTSTRAP)


class Desk:
    """A caller who has a receiver: `desk.create(topics=…)`."""

    def __init__(self, caller: Caller, url: str) -> None:
        self.caller = caller
        self.url = url

    def body(self, **changes: Any) -> dict[str, Any]:
        return {
            "topics": [{"topic": "asset-operations"}],
            "sink": {"type": "webhook", "url": self.url},
        } | changes

    def create(self, **changes: Any) -> dict[str, Any]:
        answer = self.caller.post(API, json=self.body(**changes))
        assert answer.status_code == 201, answer.text
        made: dict[str, Any] = answer.json
        return made

    def get(self, subscription_id: str, *more: str) -> dict[str, Any]:
        answer = self.caller.get("/".join((API, subscription_id, *more)))
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json
        return found

    def post(self, subscription_id: str, *more: str, status: int = 200, **options: Any) -> dict[str, Any]:
        answer = self.caller.post("/".join((API, subscription_id, *more)), **options)
        assert answer.status_code == status, answer.text
        found: dict[str, Any] = answer.json
        return found


@pytest.fixture
def desk(caller: Caller, httpserver: HTTPServer) -> Desk:
    return Desk(caller, httpserver.url_for("/hook"))
