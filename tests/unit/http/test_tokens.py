"""Bearer tokens: hashed, scoped, revocable, cached for two seconds."""

from __future__ import annotations

import json
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from app.outgoing.service import RequestService
from app.platform.errors import BadRequest, NotFound
from app.platform.keys import Keys
from app.platform.tokens import SCOPES, TokenStore, digest
from tests.unit.http.conftest import BOOTSTRAP, Caller


def test_a_token_is_shown_once_and_kept_as_a_hash(caller: Caller, system: Any) -> None:
    made = caller.post("/api/tokens", json={"name": "console", "scopes": ["read", "operate"]})
    assert made.status_code == 201
    token = made.json["token"]
    assert len(token) >= 32
    stored = b"".join(k + v for k, v in system.redis.hgetall(system.keys.tokens).items())
    assert token.encode() not in stored
    assert BOOTSTRAP.encode() not in stored
    listed = caller.get("/api/tokens").json["tokens"]
    assert [(t["name"], t["scopes"]) for t in listed] == [("console", ["operate", "read"])]
    assert "token" not in listed[0]


def test_a_scope_that_is_missing_is_named(app: Flask, caller: Caller) -> None:
    token = caller.post("/api/tokens", json={"name": "reader", "scopes": ["read"]}).json["token"]
    reader = Caller(app, token)
    assert reader.get("/api/custom/requests").status_code == 200
    refused = reader.post("/api/custom/requests", json={"method": "POST", "path": "/external/x"})
    assert refused.status_code == 403
    assert refused.json["code"] == "missing_scope"
    assert "requests" in refused.json["detail"]


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        "Bearer",
        "Bearer short",
        f"Basic {BOOTSTRAP}",
        f"Bearer {BOOTSTRAP}x",
        f"Bearer {'x' * 600}",
        "Bearer " + "ü" * 40,
        f"Bearer {BOOTSTRAP} {BOOTSTRAP}",
    ],
)
def test_without_a_valid_token_401(anonymous: FlaskClient, header: str | None) -> None:
    headers = {} if header is None else {"Authorization": header.encode("latin-1").decode("latin-1")}
    answer = anonymous.get("/api/custom/requests", headers=headers)
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"].startswith("Bearer")
    assert answer.json is not None
    assert BOOTSTRAP not in answer.text


@pytest.mark.parametrize("length", [1, 8, 31, 513])
def test_a_token_of_another_length_is_nobodys_even_where_the_store_knows_it(
    anonymous: FlaskClient, system: Any, length: int
) -> None:
    """What is shorter could be guessed; whatever wrote it into the store, it was none of ours."""
    token = "x" * length
    known = json.dumps({"id": "a" * 16, "name": "short", "scopes": list(SCOPES), "createdAt": None})
    system.redis.hset(system.keys.tokens, digest(token), known)
    answer = anonymous.get("/api/custom/requests", headers={"Authorization": f"Bearer {token}"})
    assert (answer.status_code, answer.get_json()["code"]) == (401, "token_invalid")
    allowed = "y" * 32
    system.redis.hset(system.keys.tokens, digest(allowed), known)
    good = anonymous.get("/api/custom/requests", headers={"Authorization": f"Bearer {allowed}"})
    assert good.status_code == 200


def test_a_token_that_is_made_cannot_be_guessed(system: Any) -> None:
    tokens = TokenStore(system.redis, Keys("web"), None)
    made = {tokens.create("x", ["read"]).secret for _ in range(3)}
    assert len(made) == 3
    assert all(len(secret) >= 43 for secret in made)  # 32 random bytes


def test_the_scheme_is_read_whatever_its_case(anonymous: FlaskClient) -> None:
    headers = {"Authorization": f"bearer {BOOTSTRAP}"}
    assert anonymous.get("/api/custom/requests", headers=headers).status_code == 200


def test_revoking_ends_a_token_at_once_here(app: Flask, caller: Caller) -> None:
    made = caller.post("/api/tokens", json={"name": "gone", "scopes": ["read"]}).json
    other = Caller(app, made["token"])
    assert other.get("/api/custom/requests").status_code == 200
    assert caller.delete(f"/api/tokens/{made['id']}").status_code == 200
    assert other.get("/api/custom/requests").status_code == 401
    assert caller.delete(f"/api/tokens/{made['id']}").status_code == 404


def test_making_and_revoking_leave_an_audit_record(caller: Caller, system: Any) -> None:
    made = caller.post("/api/tokens", json={"name": "console", "scopes": ["read"]}).json
    caller.delete(f"/api/tokens/{made['id']}")
    newest = system[RequestService].audit_trail(2)
    assert [entry["verb"] for entry in newest] == ["revoke token", "create token"]
    assert {entry["actor"] for entry in newest} == {"bootstrap"}
    assert made["token"] not in str(newest)


def test_another_process_forgets_a_revoked_token_after_two_seconds(system: Any) -> None:
    now = [100.0]
    here = TokenStore(system.redis, Keys("web"), None)
    there = TokenStore(system.redis, Keys("web"), None, monotonic=lambda: now[0])
    issued = here.create("x", ["read"])
    assert there.find(issued.secret) is not None
    here.revoke(issued.principal.id)
    now[0] += 1.9
    assert there.find(issued.secret) is not None
    now[0] += 0.2
    assert there.find(issued.secret) is None


def test_a_known_token_costs_no_round_trip(system: Any) -> None:
    class Counting:
        asked = 0

        def hget(self, name: str, key: str) -> Any:
            self.asked += 1
            return system.redis.hget(name, key)

    issued = TokenStore(system.redis, Keys("web"), None).create("x", ["read"])
    client: Any = Counting()
    tokens = TokenStore(client, Keys("web"), BOOTSTRAP)
    for _ in range(5):
        assert tokens.find(issued.secret) is not None
        assert tokens.find(BOOTSTRAP) is not None
    assert client.asked == 1


def test_the_bootstrap_token_has_every_scope_and_cannot_be_listed(system: Any) -> None:
    tokens = TokenStore(system.redis, Keys("web"), BOOTSTRAP)
    found = tokens.find(BOOTSTRAP)
    assert found is not None
    assert found.scopes == set(SCOPES)
    assert tokens.list() == []


def test_scopes_that_do_not_exist_are_refused(system: Any, caller: Caller) -> None:
    tokens = TokenStore(system.redis, Keys("web"), None)
    for scopes in (["root"], []):
        with pytest.raises(BadRequest):
            tokens.create("x", scopes)
    with pytest.raises(NotFound):
        tokens.revoke("nobody")
    answer = caller.post("/api/tokens", json={"name": "x", "scopes": ["root"]})
    assert (answer.status_code, answer.json["field"]) == (400, "scopes[0]")
