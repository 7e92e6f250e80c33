"""What every package stands on: the store, the clock, messages, errors, calls over HTTP."""

from __future__ import annotations

from typing import Final

from app.platform.packages import Package, Queue

PACKAGE: Final = Package(
    name="platform",
    providers=("app.platform.providers",),
    queues=(Queue(name="ticks", tasks="workers.ticks"),),
    trims=("app.platform.walk:Walk.tick",),
    keys=(
        "sequence",
        "audit-trail",
        "idempotency:*",
        "store:full",
        "tick:*",
        "walk:cursor",
        # What kombu and our transport keep beside the queues.
        "*@*.dq2",
        "unblock:*",
        "_kombu.*",
    ),
)
