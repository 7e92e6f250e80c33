"""AVOS as a destination: its limits, as the settings have them, and how its requests are attempted."""

from __future__ import annotations

from datetime import timedelta

from app.avos.attempt import AvosWay
from app.avos.client import AvosClient
from app.outgoing.destinations import Breaker, Destination
from app.outgoing.engine import FarSide
from app.outgoing.model import AVOS
from app.platform.container import Container
from app.settings import Settings


def avos_destination(settings: Settings) -> Destination:
    return Destination(
        AVOS,
        in_flight=settings.avos_max_in_flight,
        lease=timedelta(seconds=settings.lease_s),
        max_age=timedelta(seconds=settings.max_age_s),
        grace=timedelta(seconds=settings.deadline_grace_s),
        release_rate=settings.release_rate,
        probe_interval=timedelta(seconds=settings.retry_interval_s),
        breaker=Breaker(threshold=settings.breaker_threshold),
    )


def avos_side(container: Container) -> FarSide:
    """AVOS' way, its client, and how long one attempt may take."""
    settings = container.settings
    way = AvosWay(park=settings.foreign_edits == "park")
    return FarSide(way, container[AvosClient], settings.avos_timeout_s)
