"""The services of outgoing requests."""

from __future__ import annotations

from datetime import timedelta
from pkgutil import resolve_name

from app.outgoing.engine import Engine, FarSide
from app.outgoing.fields import FieldReader
from app.outgoing.operations import Operations
from app.outgoing.retention import Timelines
from app.outgoing.service import RequestService
from app.outgoing.store import OutgoingScripts, OutgoingStore, Policy
from app.outgoing.ticks import Ticks
from app.platform.container import Container
from app.settings import Settings


def outgoing(container: Container) -> OutgoingStore:
    return OutgoingStore(
        container.redis,
        container.keys,
        _policy(container.settings),
        scripts=OutgoingScripts(flags=container.script_flags),
    )


def requests(container: Container) -> RequestService:
    return RequestService(container[OutgoingStore])


def operations(container: Container) -> Operations:
    return Operations(container[OutgoingStore], container[RequestService])


def engine(container: Container) -> Engine:
    """It attempts the requests of every destination that a package declares."""
    places = {name: place for package in container.packages for name, place in package.far_sides.items()}
    sides: dict[str, FarSide] = {name: resolve_name(place)(container) for name, place in places.items()}
    store = container[OutgoingStore]
    return Engine(store, FieldReader(store), sides)


def timelines(container: Container) -> Timelines:
    return Timelines(container[OutgoingStore])


def ticks(container: Container) -> Ticks:
    """With the history goes what other packages keep as long as that."""
    return Ticks(
        container[OutgoingStore],
        container[Operations],
        keep_log=timedelta(days=container.settings.events_keep_days),
        forgetting=[container.method(name) for package in container.packages for name in package.trims],
    )


def _policy(settings: Settings) -> Policy:
    return Policy(
        in_flight=settings.avos_max_in_flight,
        lease=timedelta(seconds=settings.lease_s),
        max_age=timedelta(seconds=settings.max_age_s),
        keep=timedelta(days=settings.history_days),
        log_length=settings.events_keep_length,
        grace=timedelta(seconds=settings.deadline_grace_s),
        breaker_threshold=settings.breaker_threshold,
        release_rate=settings.release_rate,
        probe_interval=timedelta(seconds=settings.retry_interval_s),
    )
