"""Which scope each address needs (contract, "Scopes")."""

from __future__ import annotations

from typing import Any

from flask.testing import FlaskClient

OPERATING = (
    "/retry",
    "/discard",
    "/hold",
    "/release",
    "/pause",
    "/resume",
    "/requests/{verb}",
    "/drift/check",
)


SUBSCRIBING = ("/pause", "/resume", "/test", "/replay", "/replay/{replay_id}", "/{verb}")


def of_subscriptions(method: str, path: str) -> str:
    if method == "get":
        return "read"
    return "operate" if path.endswith(SUBSCRIBING) else "admin"


def expected(method: str, path: str) -> str:
    if (
        path.startswith("/api/tokens")
        or path == "/api/events/epoch"
        or path.endswith("{account}/secret/rotate")
    ):
        return "admin"
    if path.startswith("/v1/scheduler"):
        return "schedule"
    if path.startswith("/api/subscriptions"):
        return of_subscriptions(method, path)
    if path.endswith(OPERATING):
        return "operate"
    if (method, path) == ("post", "/api/custom/requests"):
        return "requests"
    if method == "get" and path != "/api/custom/livestreams/update":  # that one queues work
        return "read"
    return "write"


def test_every_address_needs_the_scope_of_the_contract(anonymous: FlaskClient) -> None:
    spec: Any = anonymous.get("/openapi.json").json
    needed = {
        (method, path): operation["x-required-scope"]
        for path, operations in spec["paths"].items()
        for method, operation in operations.items()
        if method != "parameters"
    }
    assert len(needed) > 30
    assert needed == {key: expected(*key) for key in needed}
