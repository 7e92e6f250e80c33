"""The services that compare AVOS with planning."""

from __future__ import annotations

from datetime import timedelta

from app.avos.client import AvosClient
from app.drift.audit import DriftAudit, Schedule
from app.drift.results import DriftResults
from app.drift.service import DriftService
from app.outgoing.service import RequestService
from app.outgoing.store import OutgoingStore
from app.platform.container import Container
from app.registrations.service import RegistrationService


def drift(container: Container) -> DriftService:
    """Where foreign edits are parked, a person decides about each of them, so that nothing is healed by itself."""
    settings = container.settings
    heal = settings.drift_heal and settings.foreign_edits == "overwrite"
    return DriftService(
        container[OutgoingStore],
        container[RegistrationService],
        container[AvosClient],
        settings.avos_timeout_s,
        heal=heal,
    )


def drift_results(container: Container) -> DriftResults:
    return container[DriftService].results


def drift_audit(container: Container) -> DriftAudit:
    settings = container.settings
    schedule = Schedule(
        interval_s=settings.drift_interval_s,
        tick_s=settings.drift_tick_s,
        window=timedelta(hours=settings.drift_window_h),
    )
    return DriftAudit(
        container[DriftService], container[RegistrationService], container[RequestService], schedule
    )
