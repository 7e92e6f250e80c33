"""What every package stands on: the store, the clock, messages, errors, calls over HTTP."""

from __future__ import annotations

from typing import Final

from app.platform.packages import Package

PACKAGE: Final = Package(
    name="platform",
    providers=("app.platform.providers",),
    trims=("app.platform.walk:Walk.tick",),
    keys=(
        "sequence",
        "audit-trail",
        "idempotency:*",
        "store:full",
        "tick:*",
        "walk:cursor",
        # Celery's queues, and what kombu and our transport keep beside them.
        "pending",
        "live",
        "ticks",
        "deliveries",
        "deliveries-slow",
        "*@*.dq2",
        "unblock:*",
        "_kombu.*",
    ),
)
