"""The services that look at every content media."""

from __future__ import annotations

from app.drift.results import DriftResults
from app.events.subscriptions.service import SubscriptionService
from app.fleet.facts import Facts
from app.fleet.service import FleetService
from app.fleet.why import Why
from app.outgoing.operations import Operations
from app.outgoing.service import RequestService
from app.outgoing.store import OutgoingStore
from app.planning.store import PlanningStore
from app.platform.container import Container
from app.registrations.store import RegistrationStore
from app.watch.canaries import Canaries


def fleet(container: Container) -> FleetService:
    return FleetService(container[OutgoingStore], container[PlanningStore])


def why(container: Container) -> Why:
    return Why(
        container[FleetService],
        container[RequestService],
        container[Operations],
        container[PlanningStore],
        container[RegistrationStore],
        container[SubscriptionService],
        container[DriftResults],
        lambda: _facts(container),
    )


def _facts(container: Container) -> Facts:
    """Of one answer."""
    return Facts(
        container[OutgoingStore],
        container[RequestService],
        container[Canaries],
        container.settings.retry_interval_s,
    )
