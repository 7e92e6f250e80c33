"""Outgoing requests: their records, their states, and when each is sent."""

from __future__ import annotations

from typing import Final

from app.platform.packages import Package, Queue, Tick

_TICKS: Final = "app.outgoing.ticks:Ticks"

PACKAGE: Final = Package(
    name="outgoing",
    providers=("app.outgoing.providers",),
    blueprints=("app.outgoing.routes:requests_blueprint",),
    metrics=("app.outgoing.request_metrics:metrics", "app.outgoing.metrics:metrics"),
    commands={"requests": "app.outgoing.cli:requests", "destinations": "app.outgoing.cli:destinations"},
    queues=(Queue(name="pending", tasks="workers.pending"), Queue(name="live", tasks="workers.live")),
    ticks=(
        Tick(
            name="retry_failed",
            every="retry_interval_s",
            calls=f"{_TICKS}.retry_failed",
            says="{0.expired} expired, {0.swept} due again, {0.promoted} promoted",
        ),
        Tick(name="promote", every=1.0, calls=f"{_TICKS}.promote", says="{} promoted"),
        Tick(name="reclaim", every=1.0, calls=f"{_TICKS}.reclaim", says="{} taken back"),
        Tick(name="work_on_operations", every=1.0, calls=f"{_TICKS}.work_on_operations", says="{} worked on"),
        Tick(name="watch_memory", every=5.0, calls=f"{_TICKS}.watch_memory", says="the store is full"),
        Tick(name="audit", every=60.0, calls=f"{_TICKS}.audit", says="{} mended"),
        Tick(name="trim", every=60.0, calls=f"{_TICKS}.trim", says="{} removed"),
    ),
    visitors={"media": "app.outgoing.retention:Timelines.visit"},
    keys=(
        "request:*",
        "requests",
        "requests:*",
        "media:*",
        "lane:*",
        "fields:*",
        "pending:*",
        "live:*",
        "failed:*",
        "due:*",
        "expiry",
        "finished",
        "deadlines",
        "destination:*",
        "instances:*",
        "faults:*",
        "excused:*",
        "again:*",
        "marks:*",
        "suspects:*",
        "kickoffs",
        "timing:*",
        "stale",
        "stale:undelivered",
        "counters",
        "held",
        "held:by",
        "wake:*",
        "operation:*",
        "operations:open",
        "audit:cursor",
    ),
)
