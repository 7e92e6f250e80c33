"""The Live API as a destination."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from app.outgoing.destinations import Breaker, Destination
from app.outgoing.engine import FarSide
from app.platform.container import Container
from app.schedules.attempt import LiveApiWay
from app.schedules.live_api import LiveApiClient
from app.settings import Settings

LIVE_API: Final = "live-api"
ATTEMPT_S: Final = 10.0


def live_api_destination(settings: Settings) -> Destination:
    return Destination(
        LIVE_API,
        lease=timedelta(seconds=max(settings.lease_s, 1.5 * ATTEMPT_S)),
        release_rate=settings.release_rate,
        probe_interval=timedelta(seconds=settings.retry_interval_s),
        breaker=Breaker(threshold=settings.breaker_threshold),
    )


def live_api_side(container: Container) -> FarSide:
    """Its way, its client, and how long one attempt may take."""
    return FarSide(LiveApiWay(), container[LiveApiClient], ATTEMPT_S)
