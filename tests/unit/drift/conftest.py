"""The whole API on an in-process Redis, with the stand-in of AVOS behind it and workers that are called by hand."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import fakeredis
import pytest

from app.drift.audit import DriftAudit, Schedule
from app.drift.service import DriftService
from app.http.factory import create_app
from app.outgoing.engine import Engine
from app.outgoing.model import AVOS
from app.outgoing.service import RequestService
from app.outgoing.store import OutgoingStore
from app.platform.container import Container
from app.registrations.service import RegistrationService
from deploy.simulators.avos import AvosStandIn
from tests.support.keys import AllKeys
from tests.unit.http.conftest import BOOTSTRAP, Caller, build_system
from tests.unit.http.plan import event, job


def text(instant: datetime) -> str:
    return instant.strftime("%Y-%m-%dT%H:%M:%SZ")


class Near:
    """Content media whose events are near, in step with the stand-in unless a test says otherwise."""

    def __init__(self, avos: AvosStandIn, tenant: str, **settings: Any) -> None:
        self.avos = avos
        self.system: Container = build_system(
            fakeredis.FakeRedis(), tenant, avos_url=avos.url, avos_timeout_s=2, **settings
        )
        app = create_app(self.system)
        app.testing = True
        self.caller = Caller(app, BOOTSTRAP)
        self.audit = self.audit_of(interval_s=0.001)  # every tick is a whole round
        self.kick_off = datetime.now(UTC).replace(microsecond=0) + timedelta(hours=2)

    def audit_of(self, *, tick_s: float = 10, interval_s: float) -> DriftAudit:
        schedule = Schedule(interval_s=interval_s, tick_s=tick_s, window=timedelta(hours=24))
        system = self.system
        return DriftAudit(system[DriftService], system[RegistrationService], system[RequestService], schedule)

    def event(self, number: int, kick_off: datetime | None = None) -> dict[str, Any]:
        begins = kick_off or self.kick_off
        live = {"livestreamId": f"L{number}", "preKoUtc": text(begins), "txEventType": "Live"}
        return {**event(), "eventEnd": text(begins + timedelta(hours=2)), "livestreams": [live]}

    def plan(self, number: int = 1, kick_off: datetime | None = None, *, nodes: bool = True) -> str:
        """Plan, register and deliver; the content media's id."""
        body = job(f"ev-{number}") if nodes else {**job(f"ev-{number}"), "nodes": []}
        self.caller.put(f"/api/custom/events/ev-{number}", json=self.event(number, kick_off))
        self.caller.put(f"/api/custom/jobs/j-{number}", json=body)
        media = f"Cm{number}"
        path = f"/api/custom/livestreams/registrations?livestreamId=L{number}"
        assert self.caller.post(path, json={"contentMediaId": media}).status_code == 201
        self.deliver()
        return media

    def deliver(self) -> list[Any]:
        """What the workers do until nothing waits."""
        outcomes: list[Any] = []
        system = self.system
        while system[OutgoingStore].promote(AVOS):
            for live in system[OutgoingStore].client.zrange(AllKeys.of(system.keys).live(AVOS), 0, -1):
                ticket = system[Engine].get_last_modified(live.decode())
                outcomes.append(ticket and system[Engine].send_patch(ticket))
        return outcomes

    def check(self, media: str) -> Any:
        return self.caller.post(f"/api/custom/drift/check?contentMediaId={media}")

    def drift(self, query: str = "") -> dict[str, str]:
        found = self.caller.get(f"/api/custom/drift{query}").json["drift"]
        return {one["contentMediaId"]: one["state"] for one in found}

    def field(self, media: str, name: str = "eventEndTime") -> Any:
        state = self.avos.state(media)
        assert state is not None
        return (state["fields"] | state["source"]).get(name)

    def happened(self, media: str) -> list[str]:
        path = f"/api/custom/contentmedia/{media}/timeline"
        return [entry["what"] for entry in reversed(self.caller.get(path).json["timeline"])]

    def told(self) -> int:
        rows: Any = self.system.redis.xrange(AllKeys.of(self.system.keys).log("sync-operations"))
        return sum(fields[b"name"] == b"sync-drifted" for _, fields in rows)

    def gets(self) -> int:
        return sum(entry["method"] == "GET" for entry in self.avos.journal())

    def metrics(self) -> str:
        return str(self.caller.get("/metrics").text)


@pytest.fixture
def avos() -> Iterator[AvosStandIn]:
    with AvosStandIn() as running:
        yield running


@pytest.fixture
def near(avos: AvosStandIn, tenant: str) -> Near:
    return Near(avos, tenant)


@pytest.fixture
def healing(avos: AvosStandIn, tenant: str) -> Near:
    return Near(avos, tenant, drift_heal=True)
