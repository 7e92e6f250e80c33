"""Secrets of subscriptions in the store: encrypted, under keys that change, and what is said where the key is missing."""

from __future__ import annotations

from typing import Any

import fakeredis
import pytest
from pytest_httpserver import HTTPServer
from standardwebhooks import Webhook

from app.events.consumers.runner import Runner
from app.events.subscriptions.checks import check_secrets
from app.http.factory import create_app
from app.local.layout import new_key
from app.outgoing.service import RequestService
from app.platform.container import Container
from tests.support.keys import AllKeys
from tests.unit.events.subscriptions.conftest import API, Desk
from tests.unit.http.conftest import BOOTSTRAP, Caller, build_system

VALUE = "value-of-the-header"
OLD, NEW, OTHER = new_key(), new_key(), new_key()


class Deployment:
    """Processes that come and go on one store, each with its keys."""

    def __init__(self, url: str) -> None:
        self.redis = fakeredis.FakeRedis()
        self._url = url
        self.start()

    def start(self, *keys: str) -> Container:
        self.system = build_system(self.redis, "subs", allowed_cidrs=("127.0.0.0/8",), secrets_key=keys)
        self.caller = Caller(create_app(self.system), BOOTSTRAP)
        self.desk = Desk(self.caller, self._url)
        return self.system

    def make(self) -> dict[str, Any]:
        return self.desk.create(sink={"type": "webhook", "url": self._url, "headers": {"X-Key": VALUE}})

    def stored(self, subscription_id: str) -> str:
        stored: bytes = self.redis.hget(AllKeys.of(self.system.keys).consumer(subscription_id), "secrets")
        return stored.decode()

    def everything(self) -> str:
        """All that the store holds."""
        read = {b"string": "get", b"hash": "hgetall", b"stream": "xrange"}
        kinds = ((key, self.redis.type(key)) for key in self.redis.keys("*"))
        return str([getattr(self.redis, read[kind])(key) for key, kind in kinds if kind in read])

    def deliver(self, subscription_id: str) -> None:
        event = {"eventName": "asset-created", "assetId": 1}
        assert self.caller.post("/api/events/asset-operations", json=event).status_code == 202
        self.system[Runner].run(subscription_id)

    def states(self) -> list[tuple[str, str]]:
        return [(one.state, one.detail) for one in check_secrets(self.system)]


@pytest.fixture
def deployment(httpserver: HTTPServer) -> Deployment:
    httpserver.expect_request("/hook").respond_with_data("taken")
    return Deployment(httpserver.url_for("/hook"))


def verify(made: dict[str, Any], httpserver: HTTPServer) -> None:
    request, _ = httpserver.log[-1]
    Webhook(made["secret"]).verify(request.data, dict(request.headers))
    assert request.headers["X-Key"] == VALUE


def test_with_a_key_the_store_holds_no_secret_and_deliveries_have_them(
    deployment: Deployment, httpserver: HTTPServer
) -> None:
    deployment.start(NEW)
    made = deployment.make()
    deployment.deliver(made["id"])
    verify(made, httpserver)
    rotated = deployment.desk.post(made["id"], "secret", "rotate")
    deployment.caller.put(
        f"{API}/{made['id']}", json=deployment.desk.body(sink=deployment.desk.get(made["id"])["sink"])
    )
    deployment.deliver(made["id"])
    verify(rotated, httpserver)
    held = deployment.everything()
    assert made["id"] in held
    for secret in (VALUE, made["secret"], rotated["secret"], NEW):
        assert secret not in held


def test_what_was_stored_in_plain_text_is_read_and_then_encrypted(
    deployment: Deployment, httpserver: HTTPServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = deployment.make()
    assert VALUE in deployment.stored(made["id"])
    assert deployment.states() == [("warning", "those of 1 subscription(s) are stored in plain text")]
    refused = deployment.caller.post(f"{API}/reencrypt")
    assert (refused.status_code, refused.json["code"]) == (409, "no_secrets_key")
    deployment.start(OLD)
    deployment.deliver(made["id"])
    verify(made, httpserver)
    assert VALUE in deployment.stored(made["id"])
    assert deployment.desk.post("reencrypt") == {"changed": 1, "unchanged": 0, "unreadable": []}
    assert VALUE not in deployment.everything()
    assert deployment.desk.post("reencrypt") == {"changed": 0, "unchanged": 1, "unreadable": []}
    newest = deployment.system[RequestService].audit_trail(1)[0]
    assert (newest["verb"], newest["actor"]) == ("reencrypt secrets", "bootstrap")
    deployment.deliver(made["id"])
    verify(made, httpserver)


def test_a_key_is_changed_without_losing_anything(
    deployment: Deployment, httpserver: HTTPServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    deployment.start(OLD)
    made = deployment.make()
    deployment.start(NEW, OLD)
    assert deployment.states() == [("warning", "those of 1 subscription(s) are encrypted under an older key")]
    assert deployment.desk.post("reencrypt")["changed"] == 1
    deployment.start(NEW)
    assert [state for state, _ in deployment.states()] == ["ok"]
    deployment.deliver(made["id"])
    verify(made, httpserver)


@pytest.mark.parametrize("keys", [(), (OTHER,)])
def test_a_missing_key_is_said_wherever_it_matters_and_breaks_nothing_else(
    deployment: Deployment, httpserver: HTTPServer, monkeypatch: pytest.MonkeyPatch, keys: tuple[str, ...]
) -> None:
    deployment.start(NEW)
    made = deployment.make()
    deployment.start(*keys)
    deployment.deliver(made["id"])
    shown = deployment.desk.get(made["id"])
    assert shown["lastError"]["code"] == "misconfigured"
    assert "MEDIAOPS_SECRETS_KEY_FILE" in shown["lastError"]["detail"]
    assert shown["lag"]["events"] == 1
    assert deployment.caller.get(API).status_code == 200
    path = f"{API}/{made['id']}"
    for answer in (
        deployment.caller.post(f"{path}/test"),
        deployment.caller.post(f"{path}/secret/rotate"),
        deployment.caller.put(path, json=deployment.desk.body(sink=shown["sink"])),
    ):
        assert (answer.status_code, answer.json["code"]) == (409, "secrets_unreadable")
    assert deployment.states() == [("bad", "those of 1 subscription(s) can't be decrypted")]
    if keys:
        assert deployment.desk.post("reencrypt") == {"changed": 0, "unchanged": 0, "unreadable": [made["id"]]}
    assert len(httpserver.log) == 0
    deployment.start(NEW)
    deployment.redis.hset(AllKeys.of(deployment.system.keys).consumer(made["id"]), "notBefore", "0")
    assert deployment.caller.post(f"{path}/pause").status_code == 200
    assert deployment.caller.post(f"{path}/resume").status_code == 200
    deployment.system[Runner].run(made["id"])
    verify(made, httpserver)
    assert deployment.caller.delete(path).status_code == 200
