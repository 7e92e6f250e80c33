"""Every content media at a glance, and why one isn't in step."""

from __future__ import annotations

from typing import Final

from app.platform.packages import Package

PACKAGE: Final = Package(
    name="fleet",
    providers=("app.fleet.providers",),
    blueprints=("app.fleet.routes:fleet_blueprint",),
    commands={
        "contentmedia": "app.fleet.cli:contentmedia",
        "timeline": "app.fleet.cli:timeline",
        "update": "app.fleet.cli:update",
        "why": "app.fleet.cli:why",
        "status": "app.fleet.cli_status:status",
    },
)
