"""What the deployment itself does stands in the log, in the form of the families that the catalogue serves.

(What becomes of outgoing requests is checked wherever the outgoing tests look at `Bench.happenings`.)
"""

from __future__ import annotations

from app.events.log import EventLog
from app.platform.container import Container
from tests.support.published import fitting
from tests.unit.http.conftest import Caller
from tests.unit.http.plan import deliver_all, plan_and_register


def told(system: Container, topic: str) -> list[str]:
    return [fitting(topic, entry.event) for entry in system[EventLog].read(topic).entries]


def test_registering_and_delivering_are_told(caller: Caller, system: Container) -> None:
    plan_and_register(caller, 1)
    deliver_all(system)
    caller.delete("/api/custom/livestreams/registrations?livestreamId=L1&contentMediaId=CM1")
    assert told(system, "livestream-operations") == ["livestream-registered", "livestream-unregistered"]
    assert told(system, "sync-operations") == ["sync-delivered", "sync-delivered"]


def test_drift_is_told_with_a_request_and_without() -> None:
    envelope = (
        '"eventName": "sync-drifted", "originator": "mediaops-sync", "tenant": "t", "versions": ["1.0"], "guid": "g", '
        '"timestamp": "2026-11-21T12:00:00.000Z", "contentMediaId": "C", "members": [{"name": "a", "shown": 1}]'
    )
    for more in ('"cause": "audit", "livestreamId": "L", "healed": false', '"requestId": "r", "path": "/p"'):
        assert fitting("sync-operations", f"{{{envelope}, {more}}}".encode()) == "sync-drifted"
