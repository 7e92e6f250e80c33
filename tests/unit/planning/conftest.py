"""Planning on the real store and the real accept script, each test with a tenant of its own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from redis import Redis

from app.avos.bodies import PropertyNames
from app.http import middleware, problems
from app.http.authentication import provide
from app.http.openapi import describe
from app.outgoing.destinations import Destination, Destinations
from app.outgoing.model import AVOS, Acceptance, Accepted
from app.outgoing.scripts import OutgoingScripts
from app.outgoing.store import OutgoingStore
from app.packages import PACKAGES
from app.planning.routes import planning_blueprint
from app.planning.service import PlanningService
from app.planning.store import PlanningStore
from app.platform.container import Container
from app.platform.redis import typed
from app.platform.tokens import TokenStore
from app.registrations.records import Pair
from app.registrations.routes import registrations_blueprint
from app.registrations.service import RegistrationService
from app.registrations.store import RegistrationStore
from app.settings import Settings
from tests.support.keys import AllKeys


@dataclass
class Watched:
    """The outgoing store, counting accepts; `before` runs ahead of each and may change things or raise."""

    store: OutgoingStore
    accepts: int = 0
    before: list[Any] = field(default_factory=list)

    def accept(self, acceptance: Acceptance) -> Accepted:
        self.accepts += 1
        if self.before:
            self.before.pop(0)()
        return self.store.accept(acceptance)


@dataclass
class Services:
    keys: AllKeys
    client: Redis
    outgoing: Watched
    planning: PlanningService
    registrations: RegistrationService

    def requests(self, ids: Sequence[str]) -> list[dict[str, str]]:
        """The records of outgoing requests, as stored."""
        found = [typed(self.client).hgetall(self.keys.request(each)) for each in ids]
        return [{name.decode(): value.decode() for name, value in fields.items()} for fields in found]

    def put_event(self, event_id: str = "ev-1", **members: Any) -> Any:
        return self.planning.put("event", event_id, event_body(**members))

    def put_job(self, job_id: str = "j-1", **members: Any) -> Any:
        return self.planning.put("job", job_id, job_body(**members))

    def register(self, livestream_id: str = "L1", content_media_id: str = "C1") -> Any:
        return self.registrations.register(Pair(livestream_id, content_media_id))

    def planned_and_registered(self) -> None:
        self.put_event()
        self.put_job()
        self.register()

    def timeline(self, content_media_id: str) -> list[str]:
        entries = typed(self.client).xrevrange(self.keys.timeline(content_media_id))
        return [fields[b"what"].decode() for _, fields in reversed(entries)]


def event_body(
    livestreams: Sequence[str] = ("L1",), pre_ko: str = "2026-11-21T19:30:00Z", **members: Any
) -> dict[str, Any]:
    named = [{"livestreamId": one, "preKoUtc": pre_ko, "txEventType": "Update"} for one in livestreams]
    return {"name": "Home - Away", "eventEnd": "2026-11-21T21:45:00Z", "livestreams": named, **members}


def job_body(
    event_id: str = "ev-1", start: str = "2026-11-21T18:00:00Z", *, dmhe: Any = "true", **members: Any
) -> dict[str, Any]:
    properties = [
        {"name": "DMHE", "value": dmhe},
        {"name": "Destination", "value": "http://example.com/destination1"},
        {"name": "SourceUri", "value": "http://example.com/resourceA"},
        {"name": "SourceChannelId", "value": "channel123"},
    ]
    resource = {"resourceId": "r-1", "name": "ResourceA", "properties": properties}
    return {
        "eventId": event_id,
        "status": "confirmed",
        "jobInfo": {"jobName": "Home - Away", "jobStart": start, "jobEnd": "2026-11-21T22:30:00Z"},
        "nodes": [{"nodeId": "1", "alias": "main", "nodeType": "Resource", "order": 1, "resource": resource}],
        **members,
    }


def services_on(client: Redis, tenant: str, *, sync_on_register: bool = True) -> Services:
    keys = AllKeys(tenant)
    outgoing = Watched(OutgoingStore(client, keys, OutgoingScripts(Destinations(Destination(AVOS)))))
    planning_store = PlanningStore(typed(client), keys)
    names = PropertyNames()
    registrations = RegistrationService(
        RegistrationStore(typed(client), keys),
        planning_store,
        outgoing,
        names,
        sync_on_register=sync_on_register,
    )
    return Services(keys, client, outgoing, PlanningService(planning_store, outgoing, names), registrations)


@pytest.fixture
def services(redis_client: Redis, tenant: str) -> Services:
    return services_on(redis_client, tenant)


TOKEN = "bootstrap-token-" + "0" * 32


@dataclass
class Caller:
    """The two services' routes behind the API's middleware, called with a token of all scopes."""

    client: FlaskClient
    tokens: TokenStore

    def __call__(self, method: str, path: str, *, token: str = TOKEN, **options: Any) -> Any:
        headers = {"Authorization": f"Bearer {token}", **options.pop("headers", {})}
        return self.client.open(path, method=method, headers=headers, **options)


@pytest.fixture
def api(services: Services) -> Caller:
    settings = Settings(redis_url="redis://unused", api_token=TOKEN)
    app = Flask("services")
    app.url_map.merge_slashes = False
    middleware.register(app, settings)
    problems.register(app)
    tokens = TokenStore(typed(services.client), services.keys, TOKEN)
    given = {
        PlanningService: services.planning,
        RegistrationService: services.registrations,
        TokenStore: tokens,
    }
    provide(Container(settings, PACKAGES, redis=services.client, given=given), to=app)
    described = describe(app, "0")
    described.register_blueprint(planning_blueprint)
    described.register_blueprint(registrations_blueprint)
    return Caller(app.test_client(), tokens)
