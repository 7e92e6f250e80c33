"""A small plan, sent through the API as planning would."""

from __future__ import annotations

from typing import Any

from app.outgoing.decision import AttemptResult
from app.outgoing.store import OutgoingStore
from tests.support.keys import AllKeys
from tests.unit.http.conftest import Caller


def event(livestream: str = "L1", **members: Any) -> dict[str, Any]:
    return {
        "name": "Home - Away",
        "eventEnd": "2036-11-21T21:45:00Z",
        "livestreams": [
            {"livestreamId": livestream, "preKoUtc": "2036-11-21T19:30:00Z", "txEventType": "Update"}
        ],
        **members,
    }


def job(event_id: str = "ev-1", **members: Any) -> dict[str, Any]:
    properties = [
        {"name": "DMHE", "value": "true"},
        {"name": "Destination", "value": "http://example.com/destination1"},
        {"name": "SourceUri", "value": "http://example.com/resourceA"},
        {"name": "SourceChannelId", "value": "channel123"},
    ]
    resource = {"resourceId": "r-1", "name": "ResourceA", "properties": properties}
    return {
        "eventId": event_id,
        "status": "confirmed",
        "jobInfo": {"jobName": "x", "jobStart": "2036-11-21T18:00:00Z", "jobEnd": "2036-11-21T22:30:00Z"},
        "nodes": [{"nodeId": "1", "alias": "main", "nodeType": "Resource", "order": 1, "resource": resource}],
        **members,
    }


def plan_and_register(caller: Caller, number: int = 1, media: str | None = None) -> list[str]:
    """Event, job and registration of one content media; the ids of the two PATCHes."""
    event_id, livestream = f"ev-{number}", f"L{number}"
    assert caller.put(f"/api/custom/events/{event_id}", json=event(livestream)).status_code == 201
    assert caller.put(f"/api/custom/jobs/j-{number}", json=job(event_id)).status_code == 201
    made = caller.post(
        f"/api/custom/livestreams/registrations?livestreamId={livestream}",
        json={"contentMediaId": media or f"CM{number}"},
    )
    assert made.status_code == 201, made.text
    ids: list[str] = made.json["requestIds"]
    assert len(ids) == 2
    return ids


def deliver_all(system: Any) -> None:
    """What the workers do when AVOS takes everything."""
    attempt = {"at": "2026-11-21T12:00:00Z", "send": {"status": 200}, "outcome": "delivered", "error": None}
    while system[OutgoingStore].promote("avos"):
        for request_id in [
            i.decode() for i in system.redis.zrange(AllKeys.of(system.keys).live("avos"), 0, -1)
        ]:
            claim = system[OutgoingStore].claim(request_id)
            assert system[OutgoingStore].begin(claim, "lm-1") is not None
            assert system[OutgoingStore].finish(claim, AttemptResult(attempt=attempt, error=None))
