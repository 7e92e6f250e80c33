"""Start/stop schedules: workflows, their timers, and the Live API as a destination."""

from __future__ import annotations

from typing import Final

from app.platform.packages import Package, Tick

PACKAGE: Final = Package(
    name="schedules",
    providers=("app.schedules.providers",),
    blueprints=(
        "app.schedules.routes:schedules_blueprint",
        "app.schedules.routes_upcoming:upcoming_blueprint",
    ),
    descriptions=("app.schedules.openapi:describe_schedules",),
    metrics=("app.schedules.metrics:metrics",),
    checks=("app.schedules.checks:check_schedules",),
    commands={"schedules": "app.schedules.cli:schedules"},
    destinations=(
        "app.schedules.destination:live_api_destination",
        "app.schedules.notices:notices_destination",
    ),
    far_sides={
        "live-api": "app.schedules.destination:live_api_side",
        "notices": "app.schedules.notices:notices_side",
    },
    ticks=(
        Tick(
            name="fire_schedules",
            every=1.0,
            calls="app.schedules.timers:ScheduleTicks.fire",
            says="{} fired or settled",
        ),
        Tick(
            name="look_at_entry_points",
            every=5.0,
            calls="app.schedules.entry_points:EntryPoints.look",
            says="{} have shown something new",
        ),
    ),
    visitors={
        "schedule": "app.schedules.retention:WorkflowKeeper.visit",
        "schedules": "app.schedules.retention:WorkflowKeeper.jobs",
    },
    keys=("schedule:*", "schedules:*"),
)
