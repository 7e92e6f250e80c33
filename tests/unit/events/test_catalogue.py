"""Topics, event names and families are those of the requirement; what is gone says so."""

from __future__ import annotations

import json
from typing import Any

import pytest

from app.events.catalogue import (
    GONE,
    TOPICS,
    check_names,
    entity_of,
    name_fault,
    publishable,
    topic_of,
)
from app.events.families import SCHEMAS
from app.platform.errors import BadRequest, Forbidden, InvalidInput
from tests.support.published import SAMPLES

# Word for word from the requirement.
REQUIRED = {
    "user-service-domain-events": "user-domain-event, order-domain-event",
    "asset-operations": "asset-created, asset-updated, asset-deleted, asset-published, asset-unpublished",
    "category-operations": "category-created, category-updated, category-deleted, category-published, category-unpublished",
    "api-internal-order-capture": "capture-order",
    "content-panel-operations": "content-panel-created, content-panel-updated, content-panel-deleted",
    "media-content-events": "mce-ingest-started, mce-ingest-failed, mce-ingest-cancelled, mce-ingest-completed",
}
OURS = {
    "livestream-operations": "livestream-registered, livestream-unregistered",
    "sync-operations": "sync-delivered, sync-failed, sync-recovered, sync-expired, sync-rejected, sync-drifted, "
    "destination-opened, destination-closed",
    "schedule-operations": "schedule-created, schedule-updated, schedule-cancelled, schedule-activated, "
    "schedule-deactivated, schedule-failed",
    "delivery-operations": "subscription-failing, subscription-recovered, subscription-disabled, subscription-gap",
}
GONE_COUNTS = {
    "asset-playback": 1,
    "player-events": 3,
    "playlist-operations": 14,
    "vimond_media_file_management": 15,
}


@pytest.mark.parametrize(("topic", "names"), [*REQUIRED.items(), *OURS.items()])
def test_every_topic_has_the_required_event_names(topic: str, names: str) -> None:
    assert list(TOPICS[topic].events) == names.split(", ")
    assert TOPICS[topic].own == (topic in OURS)


def test_there_is_nothing_else_and_every_family_has_a_schema() -> None:
    assert set(TOPICS) == {*REQUIRED, *OURS}
    used = {family for topic in TOPICS.values() for family in topic.events.values()}
    assert used | {"upload"} == set(SCHEMAS)


def test_there_is_an_example_of_every_event_that_publishers_send() -> None:
    assert set(SAMPLES) == {(topic, name) for topic in REQUIRED for name in TOPICS[topic].events}


@pytest.mark.parametrize(("topic", "count"), GONE_COUNTS.items())
def test_what_is_gone_says_so(topic: str, count: int) -> None:
    assert len(GONE[topic]) == count
    with pytest.raises(BadRequest, match=r"gone.*2\.x") as refused:
        topic_of(topic)
    assert refused.value.code == "gone"
    for name in GONE[topic]:
        fault = name_fault(TOPICS["asset-operations"], name)
        assert fault is not None
        assert "gone" in fault


def test_an_unknown_topic_or_name_lists_those_there_are() -> None:
    with pytest.raises(BadRequest, match="asset-operations") as refused:
        topic_of("asset")
    assert refused.value.code == "unknown_topic"
    with pytest.raises(InvalidInput, match="asset-created") as invalid:
        check_names(TOPICS["asset-operations"], ["asset-created", "asset-made"])
    assert invalid.value.field == "eventNames[1]"


def test_our_own_topics_take_nothing_from_outside() -> None:
    assert publishable("asset-operations").name == "asset-operations"
    with pytest.raises(Forbidden) as refused:
        publishable("sync-operations")
    assert refused.value.code == "own_topic"


@pytest.mark.parametrize(
    ("topic", "name", "members", "entity"),
    [
        ("asset-operations", "asset-created", {"assetId": 12345678901234567890}, "12345678901234567890"),
        ("category-operations", "category-deleted", {"categoryId": 0}, "0"),
        ("content-panel-operations", "content-panel-created", {"contentPanelId": "p"}, "p"),
        ("user-service-domain-events", "user-domain-event", {"payload": {"userId": 7, "id": 8}}, "7"),
        ("user-service-domain-events", "user-domain-event", {"payload": [], "_links": {"self": {"href": "/u/1"}}}, "/u/1"),
        ("user-service-domain-events", "order-domain-event", {"payload": {"id": "o"}, "id": 3}, "o"),
        ("user-service-domain-events", "order-domain-event", {"payload": {"id": True}, "id": 3}, "3"),
        ("api-internal-order-capture", "capture-order", {"orderId": 1, "userId": 2}, "1"),
        ("media-content-events", "mce-ingest-started", {"assetId": "a", "ingestId": "i"}, "a"),
        ("media-content-events", "mce-ingest-failed", {"assetId": "", "ingestId": "i"}, "i"),
        ("livestream-operations", "livestream-registered", {"contentMediaId": "C", "livestreamId": "L"}, "C"),
        ("sync-operations", "sync-failed", {"requestId": "r", "contentMediaId": None}, "r"),
        ("sync-operations", "sync-drifted", {"contentMediaId": "C"}, "C"),
        ("sync-operations", "destination-opened", {"destination": "avos"}, "avos"),
        ("delivery-operations", "subscription-gap", {"subscriptionId": "s"}, "s"),
        ("schedule-operations", "schedule-failed", {"workflow_id": "w", "job_id": "j"}, "w"),
        ("asset-operations", "asset-created", {"guid": "g"}, "g"),
        ("elsewhere", "subscription-test", {"guid": "g"}, "g"),
    ],
)  # fmt: skip
def test_what_an_event_is_about(topic: str, name: str, members: dict[str, Any], entity: str) -> None:
    assert entity_of(topic, name, json.dumps(members).encode()) == entity


@pytest.mark.parametrize(("topic", "name"), SAMPLES)
def test_every_example_is_about_something_of_its_own(topic: str, name: str) -> None:
    assert entity_of(topic, name, SAMPLES[topic, name]) not in ("", f"guid-{name}")
