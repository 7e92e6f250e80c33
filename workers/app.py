"""The Celery application: `celery -A workers.app worker|beat …`. Everything it does is data in celeryconfig.py."""

from __future__ import annotations

import gc
import logging
from typing import Any

from celery import Celery, signals

from app.platform import log
from app.settings import Settings
from workers import pool, transport
from workers.events import BatchedEvents
from workers.watch import Enrolment

transport.install()
pool.install()
app = Celery("mediaops-sync")
app.config_from_object("celeryconfig")
app.steps["consumer"].add(BatchedEvents)
app.steps["consumer"].add(Enrolment)

# One line per task received, done or sent by beat; our own line per attempt says more, and costs less.
CHATTY = ("celery.worker.strategy", "celery.app.trace", "celery.beat")


@signals.setup_logging.connect
def configure_logs(**_: Any) -> None:
    """Workers, beat and Flower log as the API does, instead of in Celery's way."""
    settings = Settings.load()
    log.configure(settings.log_level, settings.hidden)
    if settings.log_level.upper() != "DEBUG":
        for name in CHATTY:
            logging.getLogger(name).setLevel(logging.WARNING)


@signals.worker_ready.connect
def settle_memory(**_: Any) -> None:
    """What was imported stays for good, and a task leaves little: looking through all of it at every 700th new object
    would cost a tenth of an update."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)
