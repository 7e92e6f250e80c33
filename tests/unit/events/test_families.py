"""Each family takes what the requirement gives it and refuses, by name of the field, what it doesn't."""

from __future__ import annotations

import json
from typing import Any

import pytest

from app.events.catalogue import TOPICS
from app.events.envelope import Filling, complete
from app.events.families import SCHEMAS
from app.platform.errors import InvalidInput
from app.platform.inputs import load
from tests.support.published import SAMPLES, changed, with_type

FILLING = Filling("ours", "somebody", "made-guid")


def check(topic: str, raw: bytes) -> bytes:
    return complete(TOPICS[topic], raw, FILLING).event


def fields_refused(topic: str, name: str, **members: Any) -> set[str | None]:
    with pytest.raises(InvalidInput) as refused:
        check(topic, changed(SAMPLES[topic, name], **members))
    return {field for field, _ in refused.value.problems}


@pytest.mark.parametrize(("topic", "name"), SAMPLES)
def test_a_whole_event_is_taken_byte_for_byte(topic: str, name: str) -> None:
    assert check(topic, SAMPLES[topic, name]) == SAMPLES[topic, name]


@pytest.mark.parametrize("name", ["user-domain-event", "order-domain-event"])
def test_every_event_type_is_taken(name: str) -> None:
    for raw in with_type(name):
        assert check("user-service-domain-events", raw) == raw


BAD: list[tuple[str, str, dict[str, Any], str]] = [
    ("asset-operations", "asset-created", {"assetId": "1"}, "assetId"),
    ("asset-operations", "asset-created", {"assetId": 1.0}, "assetId"),
    ("asset-operations", "asset-created", {"assetId": True}, "assetId"),
    ("asset-operations", "asset-updated", {"assetId": ...}, "assetId"),
    ("asset-operations", "asset-updated", {"assetId": None}, "assetId"),
    ("asset-operations", "asset-created", {"properties": []}, "properties"),
    ("asset-operations", "asset-created", {"properties": "x"}, "properties"),
    ("asset-operations", "asset-created", {"metadata": {"title": "T"}}, "metadata.title"),
    ("asset-operations", "asset-created", {"metadata": []}, "metadata"),
    ("asset-operations", "asset-created", {"platforms": {}}, "platforms"),
    ("asset-operations", "asset-created", {"assetCreationDate": "yesterday"}, "assetCreationDate"),
    ("asset-operations", "asset-created", {"assetCreationDate": 1454284800}, "assetCreationDate"),
    ("category-operations", "category-created", {"categoryId": "c"}, "categoryId"),
    ("content-panel-operations", "content-panel-created", {"action": "moved"}, "action"),
    ("content-panel-operations", "content-panel-created", {"action_on_type": "asset"}, "action_on_type"),
    ("content-panel-operations", "content-panel-created", {"contentPanelKey": ...}, "contentPanelKey"),
    ("content-panel-operations", "content-panel-created", {"parentKey": ...}, "parentKey"),
    ("user-service-domain-events", "user-domain-event", {"eventType": "FREEZE"}, "eventType"),
    ("user-service-domain-events", "order-domain-event", {"eventType": "CHANGE_PASSWORD"}, "eventType"),
    ("user-service-domain-events", "order-domain-event", {"eventType": "freeze"}, "eventType"),
    ("user-service-domain-events", "order-domain-event", {"payload": []}, "payload"),
    ("user-service-domain-events", "order-domain-event", {"_links": {}}, "_links.self"),
    ("user-service-domain-events", "order-domain-event", {"_links": {"self": {"href": 1}}}, "_links.self.href"),
    ("api-internal-order-capture", "capture-order", {"userId": 1.5}, "userId"),
    ("api-internal-order-capture", "capture-order", {"orderId": ""}, "orderId"),
    ("api-internal-order-capture", "capture-order", {"parameters": {"k": 1}}, "parameters.k"),
    ("media-content-events", "mce-ingest-started", {"assetId": 5}, "assetId"),
    ("media-content-events", "mce-ingest-started", {"profileName": 5}, "profileName"),
    ("media-content-events", "mce-ingest-failed", {"mediaType": ["audio"]}, "mediaType"),
    ("media-content-events", "mce-ingest-failed", {"mediaType": [["video"]]}, "mediaType"),
    ("media-content-events", "mce-ingest-failed", {"ingestId": ...}, "ingestId"),
    ("asset-operations", "asset-created", {"timestamp": "2026-13-01T00:00:00Z"}, "timestamp"),
    ("asset-operations", "asset-created", {"timestamp": None}, "timestamp"),
    ("asset-operations", "asset-created", {"guid": ""}, "guid"),
    ("asset-operations", "asset-created", {"guid": "two words"}, "guid"),
    ("asset-operations", "asset-created", {"guid": "g\r\nX: y"}, "guid"),
    ("asset-operations", "asset-created", {"guid": "g" * 257}, "guid"),
    ("asset-operations", "asset-created", {"guid": 5}, "guid"),
    ("asset-operations", "asset-created", {"versions": "1.0"}, "versions"),
    ("asset-operations", "asset-created", {"versions": [1]}, "versions[0]"),
    ("asset-operations", "asset-created", {"tenant": 1}, "tenant"),
    ("asset-operations", "asset-created", {"originator": None}, "originator"),
    ("asset-operations", "asset-created", {"eventName": ...}, "eventName"),
    ("asset-operations", "asset-created", {"eventName": 3}, "eventName"),
    ("asset-operations", "asset-created", {"eventName": "category-created"}, "eventName"),
]  # fmt: skip


@pytest.mark.parametrize(("topic", "name", "members", "field"), BAD)
def test_a_wrong_field_is_named(topic: str, name: str, members: dict[str, Any], field: str) -> None:
    assert fields_refused(topic, name, **members) == {field}


def test_all_wrong_fields_are_named_at_once() -> None:
    refused = fields_refused("asset-operations", "asset-created", assetId="x", properties=[], guid=1)
    assert refused == {"assetId", "properties", "guid"}


@pytest.mark.parametrize(
    ("topic", "name", "members"),
    [
        ("asset-operations", "asset-created", {"properties": ..., "metadata": ..., "platforms": ..., "assetCreationDate": ...}),
        ("asset-operations", "asset-created", {"properties": None, "metadata": None, "platforms": None}),
        ("asset-operations", "asset-created", {"metadata": {}, "assetCreationDate": "0001-01-01T00:00:00+01:00"}),
        ("asset-operations", "asset-created", {"timestamp": "2026-11-21T19:30:00.123456+0000"}),
        ("content-panel-operations", "content-panel-created", {"level": ..., "contentPanelId": "p-1", "user": {"id": 1}}),
        ("user-service-domain-events", "user-domain-event", {"id": None}),
        ("media-content-events", "mce-ingest-started", {"profileName": ..., "mediaType": "video"}),
        ("media-content-events", "mce-ingest-completed", {"profileName": 5}),  # another name's member is none of its own
        ("media-content-events", "mce-ingest-completed", {"mediaType": ..., "ingestId": 8, "companyId": "c"}),
        ("api-internal-order-capture", "capture-order", {"parameters": {}}),
    ],
)  # fmt: skip
def test_what_is_optional_may_be_left_out_or_null(topic: str, name: str, members: dict[str, Any]) -> None:
    raw = changed(SAMPLES[topic, name], **members)
    assert check(topic, raw) == raw


def test_the_upload_model_has_no_topic_but_a_schema() -> None:
    envelope = {"eventName": "VUMCompletedEvent"}
    load(
        SCHEMAS["upload"],
        {**envelope, "uploadId": "u", "jobId": 1, "storageType": "S3DIRECT", "errorMessage": "no"},
    )
    with pytest.raises(InvalidInput, match="storageType"):
        load(SCHEMAS["upload"], {**envelope, "uploadId": "u", "jobId": 1, "storageType": "TAPE"})


def test_what_the_envelope_lacks_is_appended_to_the_text() -> None:
    raw = b' {"eventName": "asset-created",\n\t"assetId": 1, "x": 0.0 }\r\n'
    made = check("asset-operations", raw)
    assert made.startswith(b'{"eventName": "asset-created",\n\t"assetId": 1, "x": 0.0,')
    event = json.loads(made)
    assert event["originator"] == "somebody"
    assert event["tenant"] == "ours"
    assert event["versions"] == ["1.0"]
    assert event["guid"] == "made-guid"
    stamp = event["timestamp"]
    assert (stamp[-5], stamp[-1], len(stamp)) == (".", "Z", len("2026-11-21T19:30:00.000Z"))
    again = check("asset-operations", made)
    assert again == made


@pytest.mark.parametrize("member", ["originator", "tenant", "versions", "timestamp", "guid"])
def test_only_what_is_missing_is_filled_in(member: str) -> None:
    raw = changed(SAMPLES["asset-operations", "asset-created"], **{member: ...})
    made = check("asset-operations", raw)
    assert made.startswith(raw[:-1] + b',"' + member.encode())
    assert set(json.loads(made)) == set(json.loads(raw)) | {member}
