"""Events and jobs, as planning sends them."""

from __future__ import annotations

from typing import Final

from app.platform.packages import Package

PACKAGE: Final = Package(
    name="planning",
    providers=("app.planning.providers",),
    blueprints=("app.planning.routes:planning_blueprint",),
    commands={"import": "app.planning.cli:import_command"},
    visitors={
        "event": "app.planning.retention:DeletedPlans.events",
        "job": "app.planning.retention:DeletedPlans.jobs",
    },
    keys=("event:*", "events", "job:*", "jobs", "livestream:*"),
)
