"""Which livestream is shown as which content media."""

from __future__ import annotations

from typing import Final

from app.platform.packages import Package

PACKAGE: Final = Package(
    name="registrations",
    providers=("app.registrations.providers",),
    blueprints=("app.registrations.routes:registrations_blueprint",),
    commands={"register": "app.planning.cli:register_command"},
    visitors={"registration": "app.registrations.retention:EndedRegistrations.pairs"},
    trims=("app.registrations.retention:EndedRegistrations.media",),
    keys=("registration:*", "registrations", "registrations:*"),
)
