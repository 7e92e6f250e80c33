"""`create_app` puts the packages' routes, the middleware and the pages together."""

from __future__ import annotations

from pkgutil import resolve_name
from typing import Final

from flask import Flask

from app.http import middleware, problems
from app.http.authentication import provide
from app.http.docs import docs_blueprint
from app.http.health import health_blueprint
from app.http.metrics import metrics_blueprint
from app.http.openapi import describe
from app.platform.container import Container

VERSION: Final = "0.1.0"


def create_app(container: Container) -> Flask:
    """The WSGI application of one process. It opens no connection by itself."""
    app = Flask("app.http", static_folder=None)
    app.url_map.merge_slashes = False  # an id may hold "//"; nobody is redirected
    app.json.sort_keys = False  # type: ignore[attr-defined]  # Flask's own provider has it
    middleware.register(app, container.settings)
    problems.register(app)
    provide(container, to=app)
    api = describe(app, VERSION)
    # The highest package first, which is what a reader of the description looks for.
    for package in reversed(container.packages):
        for name in package.descriptions:
            resolve_name(name)(api)
        for name in package.blueprints:
            api.register_blueprint(resolve_name(name))
    app.register_blueprint(health_blueprint)
    app.register_blueprint(metrics_blueprint(container))
    app.register_blueprint(docs_blueprint)
    return app
