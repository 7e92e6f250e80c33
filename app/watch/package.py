"""Whether anybody works: canaries, the pulse of beat, the state of the store."""

from __future__ import annotations

from typing import Final

from app.platform.packages import Package

PACKAGE: Final = Package(
    name="watch",
    providers=("app.watch.providers",),
    metrics=("app.watch.metrics:metrics",),
    keys=("watch:*",),
)
