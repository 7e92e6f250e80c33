"""Whatever a caller may send many of is counted before it is looked at."""

from __future__ import annotations

import time
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import marshmallow as ma
import pytest
from flask import Flask

from app.events.families import SCHEMAS
from app.events.subscriptions.schemas import SINKS
from app.planning.schemas import EventSchema, JobSchema
from app.platform.inputs import List, Members
from app.platform.turns import PAUSE_S
from tests.unit.http.conftest import Caller

FAR_TOO_MANY = 100_000
BULK = ("/api/custom/messages", "/api/events/asset-operations")


def read_by(app: Flask) -> Iterator[ma.Schema]:
    """Every schema that a view reads its input with, and those that are chosen by what the input says."""
    for view in app.view_functions.values():
        for parameter in getattr(view, "_apidoc", {}).get("arguments", {}).get("parameters", []):
            schema = parameter["schema"]
            yield schema() if isinstance(schema, type) else schema
    yield from (EventSchema(), JobSchema(), *SCHEMAS.values(), *SINKS.values())


def fields_in(field: Any, path: str) -> Iterator[tuple[str, ma.fields.Field[Any]]]:
    yield path, field
    if isinstance(field, ma.fields.Nested):
        yield from fields_of(field.schema, path)
    elif isinstance(field, ma.fields.List):
        yield from fields_in(field.inner, f"{path}[]")
    elif isinstance(field, ma.fields.Dict) and field.value_field is not None:
        yield from fields_in(field.value_field, f"{path}.*")


def fields_of(schema: ma.Schema, path: str) -> Iterator[tuple[str, ma.fields.Field[Any]]]:
    for name, field in schema.fields.items():
        yield from fields_in(field, f"{path}.{name}")


def lists_of(app: Flask) -> dict[str, ma.fields.Field[Any]]:
    found = {}
    for schema in read_by(app):
        for path, field in fields_of(schema, type(schema).__name__):
            checked = isinstance(field, ma.fields.List) or (
                isinstance(field, ma.fields.Dict) and (field.value_field or field.key_field)
            )
            if checked:
                found[path] = field
    return found


class Counted:
    """Stands for a field and counts how often it is asked."""

    def __init__(self) -> None:
        self.asked = 0

    def deserialize(self, *_: Any, **__: Any) -> Any:
        self.asked += 1


def test_every_list_that_is_read_is_measured_before_its_items(
    app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    lists = lists_of(app)
    assert {"EventSchema.livestreams", "JobSchema.nodes[].resource.properties", "ConfigSchema.topics[].eventNames"} <= set(lists)  # fmt: skip
    assert len(lists) > 20
    for path, field in lists.items():
        counted = Counted()
        if isinstance(field, List):
            monkeypatch.setattr(field, "inner", counted)
            given: Any = [0] * FAR_TOO_MANY
        else:
            assert isinstance(field, Members), f"{path} has no bound"
            monkeypatch.setattr(field, "value_field", counted)
            monkeypatch.setattr(field, "key_field", counted)
            given = dict.fromkeys(map(str, range(FAR_TOO_MANY)), 0)
        with pytest.raises(ma.ValidationError, match=r"maximum|between"):
            field.deserialize(given)
        assert counted.asked == 0, path


@pytest.mark.parametrize("path", BULK)
def test_a_body_of_millions_of_values_is_refused_unread(caller: Caller, path: str) -> None:
    for one in (b"0", b"[]", b"{}", b'""'):
        began = time.process_time()
        body = b"[" + b",".join([one] * (4_000_000 // len(one))) + b"]"
        answer = caller.post(path, data=body, content_type="application/json")
        assert (answer.status_code, answer.json["code"]) == (413, "too_many_values")
        assert time.process_time() - began < 2


def test_bodies_of_one_thing_hold_fewer_values_than_those_of_many(caller: Caller) -> None:
    many = [{"name": "x", "value": "y"}] * 20_000
    body = {"method": "POST", "path": "/external/x", "body": many}
    assert caller.post("/api/custom/requests", json=body).json["code"] == "too_many_values"
    messages = [
        {"type": "event", "id": str(n), "body": {"name": "x", "nothing": many[:20]}} for n in range(1000)
    ]
    answer = caller.post("/api/custom/messages", json={"messages": messages})
    assert (answer.status_code, answer.json["results"][0]["status"]) == (200, 400)


def test_a_bulk_call_gives_others_their_turn(caller: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    turns: list[float] = []
    clock = iter(n * 0.01 for n in range(1_000_000))
    own_time = SimpleNamespace(monotonic=lambda: next(clock), sleep=turns.append)
    monkeypatch.setattr("app.platform.turns.time", own_time)
    messages = [{"type": "event", "id": str(n), "body": {"name": "x"}} for n in range(40)]
    assert caller.post("/api/custom/messages", json={"messages": messages}).status_code == 200
    assert len(turns) >= 20
    turns.clear()
    events = [{"eventName": "asset-created", "assetId": n, "properties": {}} for n in range(40)]
    assert caller.post("/api/events/asset-operations", json=events).status_code == 202
    assert len(turns) >= 10
    assert set(turns) == {PAUSE_S}
