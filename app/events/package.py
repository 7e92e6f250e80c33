"""What happens, by topic: the event log, its consumers, and subscriptions with their sinks."""

from __future__ import annotations

from typing import Final

from app.platform.dispatch import EVENTS
from app.platform.packages import Package, Queue, Tick

TURN_S: Final = 17.0  # with a consumer, at most: its slice, and a call that was begun at its end
_SUBSCRIPTIONS: Final = "app.events.subscriptions"

PACKAGE: Final = Package(
    name="events",
    providers=("app.events.providers",),
    blueprints=(
        f"{_SUBSCRIPTIONS}.routes:subscriptions_blueprint",
        "app.events.routes:events_blueprint",
    ),
    descriptions=(f"{_SUBSCRIPTIONS}.openapi:describe_subscriptions",),
    metrics=(f"{_SUBSCRIPTIONS}.metrics:metrics", "app.events.metrics:metrics"),
    checks=(f"{_SUBSCRIPTIONS}.checks:check_secrets",),
    commands={
        "events": "app.events.cli:events",
        "subscriptions": f"{_SUBSCRIPTIONS}.cli:subscriptions",
        **{
            f"subscriptions {name}": f"{_SUBSCRIPTIONS}.cli_operating:{name}"
            for name in ("pause", "resume", "test", "replay", "parked", "reencrypt")
        },
    },
    queues=tuple(Queue(name=name, tasks="workers.deliveries", turn_s=TURN_S) for name in EVENTS),
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
