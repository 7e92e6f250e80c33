"""What AVOS shows, beside what planning wants."""

from __future__ import annotations

from typing import Final

from app.platform.packages import Package, Tick

PACKAGE: Final = Package(
    name="drift",
    providers=("app.drift.providers",),
    blueprints=("app.drift.routes:drift_blueprint",),
    metrics=("app.drift.metrics:metrics",),
    commands={"drift": "app.drift.cli:drift", "contentmedia preview": "app.drift.cli:preview"},
    ticks=(
        Tick(
            name="audit_drift",
            every="drift_tick_s",
            calls="app.drift.audit:DriftAudit.tick",
            says="{} compared with AVOS",
        ),
    ),
    keys=("drift:*",),
)
