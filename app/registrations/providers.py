"""The services of registrations."""

from __future__ import annotations

from app.avos.bodies import PropertyNames
from app.outgoing.store import OutgoingStore
from app.planning.store import PlanningStore
from app.platform.container import Container
from app.registrations.retention import EndedRegistrations
from app.registrations.service import RegistrationService
from app.registrations.store import RegistrationStore


def registration_store(container: Container) -> RegistrationStore:
    return RegistrationStore(container.client, container.keys)


def registrations(container: Container) -> RegistrationService:
    return RegistrationService(
        container[RegistrationStore],
        container[PlanningStore],
        container[OutgoingStore],
        container[PropertyNames],
        sync_on_register=container.settings.sync_on_register,
    )


def ended_registrations(container: Container) -> EndedRegistrations:
    return EndedRegistrations(container[OutgoingStore])
