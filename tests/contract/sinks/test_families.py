"""An example of every event that publishers send goes through the log to each kind of sink, and arrives as it was written."""

from __future__ import annotations

import json
import time

import pytest
from redis import Redis
from standardwebhooks import Webhook

from app.events.catalogue import entity_of
from app.events.log import EventLog, Published
from app.events.sinks.base import Delivery
from tests.support.keys import AllKeys
from tests.support.published import SAMPLES, with_type
from tests.support.sinks import FarSide, KinesisSide, SnsSide, WebhookSide, published

EVENTS = [
    *((topic, raw) for (topic, _), raw in SAMPLES.items()),
    *(("user-service-domain-events", raw) for raw in with_type("user-domain-event")),
    *(("user-service-domain-events", raw) for raw in with_type("order-domain-event")),
]


@pytest.fixture
def logged(redis_client: Redis, tenant: str) -> list[Delivery]:
    """Every example, accepted by the log and read from it again."""
    log = EventLog(redis_client, AllKeys(tenant))
    for topic, raw in EVENTS:
        (answer,) = log.publish(topic, [raw], "a-publisher")
        assert isinstance(answer, Published), answer
        assert not answer.duplicate, answer
    return [
        Delivery(
            topic=entry.topic,
            sequence=entry.sequence,
            previous=entry.previous,
            event_name=entry.name,
            guid=entry.guid,
            entity=entity_of(entry.topic, entry.name, entry.event),
            tenant=tenant,
            event=entry.event,
            at_ms=entry.at_ms,
        )
        for topic in dict.fromkeys(topic for topic, _ in EVENTS)
        for entry in log.read(topic, 0, limit=1000).entries
    ]


def test_every_family_arrives_byte_for_byte(side: FarSide, logged: list[Delivery]) -> None:
    assert sorted(d.event for d in logged) == sorted(raw for _, raw in EVENTS)
    sink = side.sink(ordered=True)
    outcomes = sink.send(logged, time.monotonic() + 60)
    sink.close()
    assert [o.error for o in outcomes] == [None] * len(logged)
    assert sorted(side.received()) == sorted(raw for _, raw in EVENTS)
    by_guid = {d.guid: d for d in logged}
    if isinstance(side, WebhookSide):
        check_webhooks(side, by_guid)
    elif isinstance(side, SnsSide):
        check_messages(side, by_guid)
    elif isinstance(side, KinesisSide):
        check_records(side, by_guid)


def check_webhooks(side: WebhookSide, by_guid: dict[str, Delivery]) -> None:
    for got in side.receiver.got:
        Webhook(side.signing[0]["secret"]).verify(got.body, dict(got.headers))
        sent = by_guid[got.headers["webhook-id"]]
        assert got.headers["x-mediaops-topic"] == sent.topic
        assert got.headers["x-mediaops-sequence"] == str(sent.sequence)
        assert got.headers["x-mediaops-previous-sequence"] == str(sent.previous)


def check_messages(side: SnsSide, by_guid: dict[str, Delivery]) -> None:
    for message in side.messages:
        event = json.loads(message["Body"])
        sent = by_guid[event["guid"]]
        found = {name: a["StringValue"] for name, a in message["MessageAttributes"].items()}
        assert found == {
            "topic": sent.topic,
            "eventName": sent.event_name,
            "tenant": sent.tenant,
            "sequence": str(sent.sequence),
            "previousSequence": str(sent.previous),
            **({"eventType": event["eventType"]} if "eventType" in event else {}),
        }


def check_records(side: KinesisSide, by_guid: dict[str, Delivery]) -> None:
    for record in side.records():
        event = json.loads(record["Data"])
        sent = by_guid[event["guid"]]
        assert published(record["Data"]) == sent.event
        assert (event["sequence"], event["previousSequence"]) == (sent.sequence, sent.previous)
        assert record["PartitionKey"] == f"{sent.tenant}:{sent.entity}"
