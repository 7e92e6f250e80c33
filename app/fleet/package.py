"""Every content media at a glance, and why one isn't in step."""

from __future__ import annotations

from typing import Final

from app.platform.packages import Package

PACKAGE: Final = Package(
    name="fleet",
    providers=("app.fleet.providers",),
    blueprints=("app.fleet.routes:fleet_blueprint",),
    commands={
        "contentmedia": "app.cli.media:contentmedia",
        "timeline": "app.cli.media:timeline",
        "update": "app.cli.media:update",
        "why": "app.cli.media:why",
        "status": "app.cli.status:status",
    },
)
