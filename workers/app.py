"""The Celery application: `celery -A workers.app worker|beat …`. Its configuration is data, in
celeryconfig.py."""

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

# Celery writes a line for each task that is received, done, or sent by beat. Our line per attempt
# says more and costs less.
VERBOSE = ("celery.worker.strategy", "celery.app.trace", "celery.beat")


@signals.setup_logging.connect
def configure_logs(**_: Any) -> None:
    """Make workers, beat and Flower log as the API does."""
    settings = Settings.load()
    log.configure(settings.log_level, settings.hidden)
    if settings.log_level.upper() != "DEBUG":
        for name in VERBOSE:
            logging.getLogger(name).setLevel(logging.WARNING)


@signals.worker_ready.connect
def collect_garbage_less_often(**_: Any) -> None:
    """Imported modules stay for good, and a task leaves little behind. By default Python looks for
    garbage after every 700 new objects; that would cost a tenth of an update."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)
