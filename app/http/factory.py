"""The HTTP door: `create_app` puts the packages' routes, the middleware and the pages together."""

from __future__ import annotations

from flask import Flask

from app.avos.routes import generic_blueprint
from app.drift.routes import drift_blueprint
from app.events.followers import Following
from app.events.memory import EventMemory
from app.events.metrics import EventMemoryCollector
from app.events.routes import events_blueprint
from app.events.subscriptions.metrics import SubscriptionCollector
from app.events.subscriptions.routes import subscriptions_blueprint
from app.events.tail import Tail
from app.fleet.facts import Facts
from app.fleet.routes import fleet_blueprint
from app.fleet.service import FleetService
from app.fleet.why import Why
from app.http import middleware, problems
from app.http.authentication import provide
from app.http.docs import docs_blueprint
from app.http.health import health_blueprint
from app.http.metrics import metrics_blueprint
from app.http.openapi import describe
from app.http.tokens import tokens_blueprint
from app.outgoing.routes import requests_blueprint
from app.planning.routes import planning_blueprint
from app.platform.audit import AuditTrail
from app.platform.rate import RateLimit
from app.platform.redis import typed
from app.registrations.routes import registrations_blueprint
from app.system import System

VERSION = "0.1.0"
ROOMS = (
    planning_blueprint,
    registrations_blueprint,
    generic_blueprint,
    requests_blueprint,
    fleet_blueprint,
    drift_blueprint,
    events_blueprint,
    subscriptions_blueprint,
    tokens_blueprint,
)


def create_app(system: System) -> Flask:
    """The WSGI application of one process's System. It opens no connection by itself."""
    app = Flask("app.http", static_folder=None)
    app.url_map.merge_slashes = False  # an id may hold "//"; nobody is redirected
    app.json.sort_keys = False  # type: ignore[attr-defined]  # Flask's own provider has it
    middleware.register(app, system.settings)
    problems.register(app)
    fleet = FleetService(system.outgoing, system.planning.store)
    why = Why(
        fleet,
        system.requests,
        system.operations,
        system.planning.store,
        system.registrations.store,
        system.subscriptions,
        system.drift.results,
        lambda: Facts(system.outgoing, system.requests, system.canaries, system.settings.retry_interval_s),
    )
    rate = RateLimit(system.outgoing.client, system.keys, system.settings.rate_limit)
    following = Following(system.events, tail=Tail(system.events, places=system.settings.max_streams))
    app.extensions["ends_when"] = following.end_when
    provide(
        system.settings,
        system.outgoing,
        system.requests,
        system.operations,
        system.planning,
        system.registrations,
        system.tokens,
        system.drift,
        fleet,
        why,
        rate,
        system.events,
        system.subscriptions,
        following,
        AuditTrail(system.outgoing.client, system.keys),
        to=app,
    )
    api = describe(app, VERSION)
    for blueprint in ROOMS:
        api.register_blueprint(blueprint)
    app.register_blueprint(health_blueprint(system.canaries))
    memory = EventMemoryCollector(EventMemory(typed(system.redis), system.keys))
    subscriptions = SubscriptionCollector(system.consumer_figures.read)
    app.register_blueprint(
        metrics_blueprint(system.outgoing, system.drift.results, system.canaries, (subscriptions, memory))
    )
    app.register_blueprint(docs_blueprint)
    return app
