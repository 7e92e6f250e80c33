"""How requests to AVOS are attempted."""

from __future__ import annotations

from app.avos.attempt import AvosWay
from app.avos.client import AvosClient
from app.outgoing.engine import FarSide
from app.platform.container import Container


def avos_side(container: Container) -> FarSide:
    """AVOS' way, its client, and how long one attempt may take."""
    settings = container.settings
    way = AvosWay(park=settings.foreign_edits == "park")
    return FarSide(way, container[AvosClient], settings.avos_timeout_s)
