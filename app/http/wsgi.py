"""What the WSGI server starts: `gunicorn -c app/http/gunicorn_conf.py 'app.http.wsgi:application()'`."""

from __future__ import annotations

from flask import Flask

from app.http.factory import create_app
from app.packages import build
from app.platform import log
from app.settings import Settings
from app.watch.durability import warn_at_start


def application() -> Flask:
    """The application of this process, from its environment. Raises InvalidSettings."""
    settings = Settings.load()
    log.configure(settings.log_level, settings.hidden)
    container = build(settings)
    container.make_all()
    app = create_app(container)
    app.extensions["at_start"] = lambda: warn_at_start(container.redis)
    return app
