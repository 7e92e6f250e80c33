"""The services of outgoing requests."""

from __future__ import annotations

from datetime import timedelta
from pkgutil import resolve_name

from app.outgoing.destinations import Destinations
from app.outgoing.engine import Engine, FarSide
from app.outgoing.fields import FieldReader
from app.outgoing.operations import Operations
from app.outgoing.retention import Timelines
from app.outgoing.scripts import History, OutgoingScripts
from app.outgoing.service import RequestService
from app.outgoing.store import OutgoingStore
from app.outgoing.ticks import Ticks
from app.platform.container import Container


def destinations(container: Container) -> Destinations:
    """Those that packages declare."""
    places = [place for package in container.packages for place in package.destinations]
    return Destinations(*(resolve_name(place)(container.settings) for place in places))


def outgoing(container: Container) -> OutgoingStore:
    settings = container.settings
    history = History(timedelta(days=settings.history_days), log_length=settings.events_keep_length)
    scripts = OutgoingScripts(container[Destinations], history, flags=container.script_flags)
    return OutgoingStore(container.redis, container.keys, scripts)


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
