"""Numbers, times and counts that callers write: none is so large that something breaks on it."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from typing import Any

import pytest
from flask import Flask

from app.avos.generic import MAX_MEMBERS
from app.platform.inputs import LAST_YEAR
from tests.unit.http.conftest import Caller
from tests.unit.http.test_middleware import check_problem

DIGITS = ("9" * 15, "9" * 16, "9" * 27, "9" * 150, "-1", "1.5", "1e400", "1_0", "\u0663", "0x10")
TIMES = ("9999-12-31T23:59:59Z", "9999-12-31T23:59:59-23:59", "1970-01-01T00:00:00Z", "0001-01-01T00:00:00Z")


def encoded(text: str) -> str:
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def read_addresses(app: Flask, ids: dict[str, str]) -> Iterator[tuple[str, set[str]]]:
    """Every address that is read, with its query parameters."""
    for rule in app.url_map.iter_rules():
        view = app.view_functions[rule.endpoint]
        if "GET" not in (rule.methods or ()) or not hasattr(view, "required_scope"):
            continue
        names = {
            field.data_key or name
            for one in getattr(view, "_apidoc", {}).get("arguments", {}).get("parameters", [])
            for name, field in (
                one["schema"]() if isinstance(one["schema"], type) else one["schema"]
            ).fields.items()
        }
        with app.test_request_context():
            path = app.url_map.bind("x").build(
                rule.endpoint, {name: ids.get(name, "x") for name in rule.arguments}
            )
        yield path, names


def numbers() -> list[str]:
    cursors = [encoded(one) for one in DIGITS]
    pairs = [f"{one}.{one}" for one in cursors] + [encoded(f"{one}.{'a' * 32}") for one in DIGITS]
    return [*DIGITS, *cursors, *pairs, *(encoded(f"{one}-{one}") for one in DIGITS), *TIMES]


def test_no_number_in_a_query_breaks_anything(app: Flask, caller: Caller) -> None:
    sink = {"type": "webhook", "url": "https://93.184.216.34/"}
    body = {"topics": [{"topic": "asset-operations"}], "sink": sink}
    made = caller.post("/api/subscriptions", json=body).json
    asked, refused = 0, 0
    for path, names in read_addresses(app, {"subscription_id": made["id"], "topic": "asset-operations"}):
        for name in names - {"wait"}:
            for number in numbers():
                if path.endswith("/stream") and name == "since":
                    continue  # an answer without an end
                answer = caller.get(path, query_string={name: number})
                assert answer.status_code in (200, 400, 404), (path, name, number, answer.text)
                asked, refused = asked + 1, refused + (answer.status_code == 400)
    assert asked > 500
    assert refused > 200
    parked = f"/api/subscriptions/{made['id']}/parked"
    for number in ("9" * 27, "x", ""):
        check_problem(
            caller.get(parked, query_string={"cursor": encoded(number) or "!"}), 400, field="cursor"
        )
    assert caller.post(f"{parked}/asset-operations:{'9' * 27}/retry").status_code in (200, 404)


@pytest.mark.parametrize(
    "last_event_id", ["0" * 33 + ":", "a:asset-operations=" + "9" * 27, "a:" + "x=1," * 500]
)
def test_no_id_of_a_stream_breaks_it(caller: Caller, last_event_id: str) -> None:
    answer = caller.get("/api/events/stream", headers={"Last-Event-ID": last_event_id})
    check_problem(answer, 400, field="Last-Event-ID")


@pytest.mark.parametrize("time", ["9999-12-31T23:59:59Z", f"{LAST_YEAR + 1}-01-01T00:00:00Z"])
def test_times_that_no_deadline_can_be_computed_from(caller: Caller, time: str) -> None:
    stored = caller.put("/api/custom/events/e", json={"name": "x", "eventEnd": time})
    check_problem(stored, 400, field="eventEnd")
    asked = {"method": "POST", "path": "/external/x", "deadline": time}
    check_problem(caller.post("/api/custom/requests", json=asked), 400, field="deadline")
    last = f"{LAST_YEAR}-12-31T23:59:59Z"
    assert caller.put("/api/custom/events/e", json={"name": "x", "eventEnd": last}).status_code == 201


def test_a_patch_of_more_members_than_the_store_keeps_apart(caller: Caller) -> None:
    def patch(count: int) -> Any:
        body = {f"m{n}": n for n in range(count)}
        return caller.post(
            "/api/custom/requests", json={"method": "PATCH", "path": "/external/x", "body": body}
        )

    assert patch(MAX_MEMBERS).status_code == 202
    check_problem(patch(MAX_MEMBERS + 1), 400, field="body")
    assert patch(9_000).status_code == 400
