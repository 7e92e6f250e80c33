"""Publishing and reading over HTTP, and what is said of input that doesn't fit."""

from __future__ import annotations

import json
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from app.events.catalogue import GONE, TOPICS
from app.events.families import SCHEMAS
from app.events.log import EventLog
from app.outgoing.service import RequestService
from app.platform.container import Container
from tests.support.keys import AllKeys
from tests.support.published import SAMPLES
from tests.unit.http.conftest import Caller

ASSETS = "/api/events/asset-operations"
CREATED = {"eventName": "asset-created", "assetId": 1}
JSON = "application/json"


def post(caller: Caller, body: bytes | object, path: str = ASSETS, **headers: str) -> Any:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return caller.post(path, data=data, content_type=JSON, headers=headers)


def logged(system: Container, topic: str = "asset-operations") -> int:
    return system[EventLog].last((topic,))[topic]


def test_one_event_is_accepted_with_its_place(caller: Caller) -> None:
    answer = post(caller, CREATED | {"guid": "g-1"})
    assert answer.status_code == 202
    assert answer.json == {"results": [{"guid": "g-1", "sequence": 1}]}
    assert answer.headers["Location"] == f"{ASSETS}?after=0"
    [entry] = caller.get(answer.headers["Location"]).json["events"]
    assert entry["sequence"] == 1
    assert entry["event"]["originator"] == "bootstrap"
    assert post(caller, CREATED | {"guid": "g-1"}).json == answer.json


@pytest.mark.parametrize(("topic", "name"), SAMPLES)
def test_every_event_goes_out_as_it_came_in(caller: Caller, topic: str, name: str) -> None:
    raw = SAMPLES[topic, name]
    assert post(caller, b"\r\n " + raw + b"\n", f"/api/events/{topic}").status_code == 202
    answer = caller.get(f"/api/events/{topic}?eventName={name}")
    assert b'"event":' + raw + b"}]," in answer.data
    assert answer.json["events"][0]["event"] == json.loads(raw)


def test_the_items_of_an_array_go_out_as_they_came_in(caller: Caller) -> None:
    raws = [raw for (topic, _), raw in SAMPLES.items() if topic == "media-content-events"]
    assert (
        post(caller, b"[ " + b" ,\n".join(raws) + b"\t]", "/api/events/media-content-events").status_code
        == 202
    )
    found = caller.get("/api/events/media-content-events").data
    assert all(b'"event":' + raw + b"}" in found for raw in raws)


def test_each_item_of_an_array_is_answered_at_its_place(caller: Caller, system: Container) -> None:
    wrong = CREATED | {"assetId": "x", "properties": []}
    answer = post(caller, [CREATED, wrong, "text", CREATED])
    assert answer.status_code == 202
    first, second, third, fourth = answer.json["results"]
    assert (first["sequence"], fourth["sequence"]) == (1, 2)
    assert (second["index"], second["status"], second["code"]) == (1, 400, "invalid_input")
    assert [error["detail"] for error in second["errors"]] == [
        "assetId: Not a whole number.",
        "properties: Not a JSON object.",
    ]
    assert (third["index"], third["errors"][0]["detail"]) == (2, "An event is a JSON object.")
    assert logged(system) == 2


def test_an_idempotency_key_holds_for_events_too(caller: Caller, system: Container) -> None:
    first = post(caller, [CREATED, CREATED], **{"Idempotency-Key": "k"})
    assert post(caller, [CREATED, CREATED], **{"Idempotency-Key": "k"}).json == first.json
    other = post(caller, CREATED, **{"Idempotency-Key": "k"})
    assert (other.status_code, other.json["code"]) == (422, "idempotency_key_reused")
    assert logged(system) == 2


LARGE = json.dumps(CREATED | {"text": "x" * 2_000_000}).encode()
BAD_BODIES: list[tuple[str, bytes, int, str, str | None]] = [
    ("a wrong type", b'{"eventName":"asset-created","assetId":"1"}', 400, "invalid_input", "assetId"),
    ("a list for an object", b'{"eventName":"asset-created","assetId":1,"properties":[]}', 400, "invalid_input", "properties"),
    ("another topic's event", b'{"eventName":"capture-order"}', 400, "invalid_input", "eventName"),
    ("an event that is gone", b'{"eventName":"vmfm-archive-started"}', 400, "gone", "eventName"),
    ("no event name", b'{"assetId":1}', 400, "invalid_input", "eventName"),
    ("an empty object", b"{}", 400, "invalid_input", "eventName"),
    ("no object", b'"asset-created"', 400, "invalid_input", None),
    ("nothing", b"", 400, "invalid_json", None),
    ("an empty array", b"[ ]", 400, "invalid_input", None),
    ("a broken array", b'[{"eventName":"asset-created","assetId":1},', 400, "invalid_json", None),
    ("an array without a comma", b"[{} {}]", 400, "invalid_json", None),
    ("more than an array", b"[{}] {}", 400, "invalid_json", None),
    ("a member twice", b'{"eventName":"asset-created","assetId":1,"assetId":2}', 400, "duplicate_member", None),
    ("NaN", b'{"eventName":"asset-created","assetId":NaN}', 400, "invalid_json", None),
    ("deep nesting", b'{"x":' * 40 + b"1" + b"}" * 40, 400, "json_too_deep", None),
    ("an array nested without an end", b"[" * 100_000, 400, "json_too_deep", None),
    ("an endless number", b"[" + b"1" * 5_000 + b"]", 400, "invalid_json", None),
    ("no UTF-8", b'{"eventName":"\xff"}', 400, "invalid_json", None),
    ("half a surrogate", b'{"eventName":"asset-created","assetId":1,"x":"\\ud800"}', 400, "invalid_input", "x"),
    ("only bad items", b'[{"eventName":"asset-created"},{"eventName":"x"}]', 400, "invalid_input", "[0].assetId"),
    ("only items that are gone", b'[{"eventName":"vmfm-archive-started"}]', 400, "gone", "[0].eventName"),
    ("2 MB", LARGE, 413, "event_too_large", None),
    ("2 MB in an array", b"[" + LARGE + b"]", 413, "event_too_large", None),
    ("10,000 events", b"[" + b",".join([json.dumps(CREATED).encode()] * 10_000) + b"]", 413, "too_many_events", None),
    ("more than any body", b'{"x":"' + b"x" * 9_000_000 + b'"}', 413, "too_large", None),
]  # fmt: skip


@pytest.mark.parametrize(
    ("body", "status", "code", "field"), [row[1:] for row in BAD_BODIES], ids=[row[0] for row in BAD_BODIES]
)
def test_bad_input_is_refused_whole_with_its_reason(
    caller: Caller, system: Container, body: bytes, status: int, code: str, field: str | None
) -> None:
    answer = post(caller, body)
    assert answer.content_type == "application/problem+json"
    assert (answer.status_code, answer.json["code"], answer.json.get("field")) == (status, code, field)
    assert answer.json["errors"][0]["detail"] == answer.json["detail"]
    assert logged(system) == 0
    assert not system.redis.keys("web:log:*")


def test_a_large_event_among_others_is_answered_alone(caller: Caller) -> None:
    answer = post(caller, b"[" + LARGE + b"," + json.dumps(CREATED).encode() + b"]")
    assert answer.status_code == 202
    assert (answer.json["results"][0]["status"], answer.json["results"][1]["sequence"]) == (413, 1)


def test_an_event_of_just_a_mebibyte_is_taken(caller: Caller) -> None:
    room = 1024 * 1024 - len(json.dumps(CREATED | {"text": ""}))
    assert post(caller, CREATED | {"text": "x" * room}).status_code == 202
    assert post(caller, CREATED | {"text": "x" * (room + 1)}).status_code == 413


@pytest.mark.parametrize(
    ("topic", "status", "code"),
    [
        ("nope", 400, "unknown_topic"),
        ("sync-operations", 403, "own_topic"),
        *((name, 400, "gone") for name in GONE),
    ],
)
def test_where_nobody_can_publish(caller: Caller, topic: str, status: int, code: str) -> None:
    answer = post(caller, CREATED, f"/api/events/{topic}")
    assert (answer.status_code, answer.json["code"], answer.json["field"]) == (status, code, "topic")
    if status == 400:
        assert caller.get(f"/api/events/{topic}").json["code"] == code


def test_only_json_is_read(caller: Caller) -> None:
    assert caller.post(ASSETS, data=b"{}", content_type="text/plain").status_code == 415


def test_publishing_needs_write_and_reading_read(app: Flask, caller: Caller, anonymous: FlaskClient) -> None:
    assert anonymous.post(ASSETS, json=CREATED).status_code == 401
    secret = caller.post("/api/tokens", json={"name": "r", "scopes": ["read"]}).json["token"]
    reader = Caller(app, secret)
    assert post(reader, CREATED).status_code == 403
    assert reader.get(ASSETS).status_code == 200


def test_a_page_says_where_to_go_on_and_what_is_no_longer_kept(caller: Caller, system: Container) -> None:
    for number in range(6):
        post(caller, CREATED | {"eventName": "asset-updated" if number % 2 else "asset-created"})
    page = caller.get(f"{ASSETS}?limit=2").json
    assert ([one["sequence"] for one in page["events"]], page["next"], page["last"]) == ([1, 2], 2, 6)
    page = caller.get(f"{ASSETS}?after=2&eventName=asset-created&eventName=asset-deleted").json
    assert ([one["sequence"] for one in page["events"]], page["next"]) == ([3, 5], 6)
    assert caller.get(f"{ASSETS}?after=6").json["events"] == []
    system.redis.xtrim(AllKeys.of(system.keys).log("asset-operations"), minid="4-0", approximate=False)
    page = caller.get(f"{ASSETS}?after=1&limit=1").json
    assert (page["missed"], page["events"][0]["sequence"]) == ({"from": 2, "to": 3}, 4)
    assert page["epoch"] == system[EventLog].epoch()
    assert caller.get(f"{ASSETS}?since={page['events'][0]['publishedAt']}").json["events"]
    assert caller.get(f"{ASSETS}?since=2999-01-01T00:00:00Z").json["events"] == []


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("after=-1", "after"),
        ("after=x", "after"),
        ("limit=0", "limit"),
        ("limit=1001", "limit"),
        ("since=yesterday", "since"),
        ("eventName=asset-made", "eventName[0]"),
        ("eventName=asset-created,capture-order", "eventName[1]"),
        ("evntName=asset-created", "evntName"),
        ("after=1&after=2", "after"),
    ],
)
def test_a_query_that_does_not_fit_is_refused(caller: Caller, query: str, field: str) -> None:
    answer = caller.get(f"{ASSETS}?{query}")
    assert (answer.status_code, answer.json["field"]) == (400, field)


def test_the_catalogue_shows_topics_families_and_what_is_gone(caller: Caller) -> None:
    found = caller.get("/api/events/catalogue").json
    assert {topic["topic"]: [one["eventName"] for one in topic["events"]] for topic in found["topics"]} == {
        topic.name: list(topic.events) for topic in TOPICS.values()
    }
    assert set(found["families"]) == set(SCHEMAS)
    assert found["families"]["asset"]["required"] == ["assetId"]
    assert found["families"]["asset"]["properties"]["assetId"]["type"] == "integer"
    assert found["families"]["order"]["properties"]["eventType"]["enum"][0] == "INITIALIZE"
    assert "eventName" in found["envelope"]["properties"]
    assert {one["topic"]: tuple(one["eventNames"]) for one in found["gone"]} == dict(GONE)


def test_every_family_stands_in_the_description(caller: Caller) -> None:
    spec = caller.get("/openapi.json").json
    described = set(spec["components"]["schemas"])
    assert {type(schema).__name__ for schema in SCHEMAS.values()} <= described
    body = spec["paths"]["/api/events/{topic}"]["post"]["requestBody"]["content"][JSON]["schema"]
    assert {"$ref": "#/components/schemas/CaptureOrderEvent"} in body["oneOf"][0]["oneOf"]


def test_after_a_restore_the_log_has_another_name(caller: Caller, system: Container) -> None:
    before = caller.get(ASSETS).json["epoch"]
    begun = caller.post("/api/events/epoch")
    assert begun.status_code == 200
    assert begun.json == {"epoch": caller.get(ASSETS).json["epoch"]}
    assert begun.json["epoch"] != before
    assert system[RequestService].audit_trail(1)[0]["verb"] == "begin epoch"
