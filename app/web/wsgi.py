"""What the WSGI server starts: `gunicorn -c app/web/gunicorn_conf.py 'app.web.wsgi:application()'`."""

from __future__ import annotations

from flask import Flask

from app.platform import log
from app.settings import Settings
from app.system import build
from app.watch.durability import warn_at_start
from app.web import create_app


def application() -> Flask:
    """The application of this process, from its environment. Raises InvalidSettings."""
    settings = Settings.load()
    log.configure(settings.log_level, settings.hidden)
    system = build(settings)
    app = create_app(system)
    app.extensions["at_start"] = lambda: warn_at_start(system.redis)
    return app
