"""What happens, by topic: the event log, its consumers, and subscriptions with their sinks."""

from __future__ import annotations

from typing import Final

from app.platform.packages import Package, Tick

PACKAGE: Final = Package(
    name="events",
    providers=("app.events.providers",),
    blueprints=(
        "app.events.subscriptions.routes:subscriptions_blueprint",
        "app.events.routes:events_blueprint",
    ),
    descriptions=("app.events.subscriptions.openapi:describe_subscriptions",),
    collectors=("app.events.subscriptions.metrics:collector", "app.events.metrics:collector"),
    checks=("app.events.subscriptions.checks:check_secrets",),
    commands={
        "events": "app.cli.events:events",
        "subscriptions": "app.cli.subscriptions:subscriptions",
    },
    ticks=(
        Tick(
            name="consumers",
            every=1.0,
            calls="app.events.consumers.ticks:ConsumerTicks.look_after",
            says="{} looked after",
        ),
        Tick(
            name="audit_consumers",
            every=30.0,
            calls="app.events.consumers.ticks:ConsumerTicks.audit",
            says="{} mended",
        ),
    ),
    keys=(
        "log:*",
        "store:events",
        "store:events-room",
        "feed:*",
        "feeds",
        "feeds:*",
        "subscription:*",
        "subscriptions",
    ),
)
