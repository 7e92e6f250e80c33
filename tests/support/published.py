"""An example of every event that publishers send, spelled as awkwardly as JSON allows: nothing of it may change.

`SAMPLES` is (topic, event name) → the event's text, with a whole envelope.
"""

from __future__ import annotations

import json
from typing import Final

from app.events.catalogue import TOPICS
from app.events.families import ORDER_TYPES, SCHEMAS, USER_TYPES
from app.platform.inputs import load

# Spellings that a careless reader and writer would change: another zone, a fraction with zeros, an integer beyond 2^53, an
# empty object beside an empty list, escapes, a letter outside the basic plane, blanks, and members nobody knows.
ODD: Final = (
    '"odd": {"zero": 0.0, "exponent": 1E+2, "large": 12345678901234567890, "object": {}, "list": [], '
    '"none": null, "escaped": "\\u00e6\\/\\n", "letter": "😀æ", "nested": [{"a": [[]]}, {}]},  "später" : true'
)


def _event(name: str, guid: str, members: str, timestamp: str = "2026-11-21T19:30:00.120+00:00") -> bytes:
    return (
        f'{{"eventName":"{name}", "originator":"a-service",\n "tenant" : "somebody", "versions":["1.0","2.3"], '
        f'"timestamp":"{timestamp}","guid":"{guid}", {members}, {ODD} }}'
    ).encode()


def _samples() -> dict[tuple[str, str], bytes]:
    made: dict[tuple[str, str], bytes] = {}

    def add(topic: str, name: str, members: str, **more: str) -> None:
        made[topic, name] = _event(name, f"guid-{name}", members, **more)

    asset = (
        '"assetId": 12345678901, "properties": {"a": {}, "b": []}, "metadata": {"title": {"*": "T", "en": 1.0}}, '
        '"platforms": [], "assetCreationDate": "1969-07-20T20:17:40Z"'
    )
    for what in ("created", "updated", "deleted", "published", "unpublished"):
        add("asset-operations", f"asset-{what}", asset)
        add("category-operations", f"category-{what}", '"categoryId": 0, "platforms": ["web", {"id": 1}]')
    links = '"_links": {"self": {"href": "/api/user/1", "templated": false}}'
    add(
        "user-service-domain-events",
        "user-domain-event",
        f'"eventType": "RESET_PINCODE", "payload": {{}}, {links}, "id": 7',
    )
    add(
        "user-service-domain-events",
        "order-domain-event",
        f'"eventType": "FREEZE", "payload": {{"x": []}}, {links}',
    )
    add(
        "api-internal-order-capture",
        "capture-order",
        '"userId": 1, "orderId": "o-1", "productGroupId": 3, "parameters": {"k": "v", "": ""}',
        timestamp="2026-11-21T19:30:00Z",
    )
    for what in ("created", "updated", "deleted"):
        add(
            "content-panel-operations",
            f"content-panel-{what}",
            f'"contentPanelId": 5, "contentPanelKey": "front", "contentPanelType": "list", "parentKey": null, '
            f'"action": "{what}", "action_on_type": "content_panel", "user": "jo", "system_name": "cms", "level": 2',
        )
    for what in ("started", "failed", "cancelled", "completed"):
        started = ', "profileName": "hd"' if what == "started" else ""
        add(
            "media-content-events",
            f"mce-ingest-{what}",
            f'"companyId": 9, "assetId": "a-1", "ingestId": "i-1", "mediaType": ["video", "subtitle"]{started}',
        )
    return made


SAMPLES: Final = _samples()


def fitting(topic: str, raw: bytes) -> str:
    """The name of an event that the deployment itself has logged, which fits the family that is served for it."""
    told = json.loads(raw)
    name: str = told["eventName"]
    assert set(told) >= {"eventName", "originator", "tenant", "versions", "timestamp", "guid"}
    load(SCHEMAS[TOPICS[topic].events[name]], told)
    return name


def with_type(name: str) -> list[bytes]:
    """The user or order event once with each of its types."""
    sample = SAMPLES["user-service-domain-events", name]
    was = json.loads(sample)["eventType"]
    types = USER_TYPES if name == "user-domain-event" else ORDER_TYPES
    return [
        sample.replace(f'"{was}"'.encode(), f'"{kind}"'.encode()).replace(b'"guid-', f'"{kind}-'.encode())
        for kind in types
    ]


def changed(sample: bytes, **members: object) -> bytes:
    """A sample with members replaced, or left out where the value is `...`."""
    body = {**json.loads(sample), **members}
    return json.dumps({name: value for name, value in body.items() if value is not ...}).encode()
