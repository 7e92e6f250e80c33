"""The Celery application: `celery -A workers.app worker|beat|flower …`. Everything it does is data in celeryconfig.py."""

from __future__ import annotations

from celery import Celery

app = Celery("mediaops-sync")
app.config_from_object("celeryconfig")
