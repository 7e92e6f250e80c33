"""AVOS as a destination: the calls to it, the bodies of its PATCHes, and what it shows."""

from __future__ import annotations

from typing import Final

from app.platform.packages import Package, Tick

PACKAGE: Final = Package(
    name="avos",
    providers=("app.avos.providers",),
    blueprints=("app.avos.routes:generic_blueprint",),
    checks=("app.avos.checks:check_avos",),
    destinations=("app.avos.destination:avos_destination",),
    far_sides={"avos": "app.avos.destination:avos_side"},
    ticks=(Tick(name="read_back", every=2.0, calls="app.avos.readback:ReadBack.run", says="{} read back"),),
)
