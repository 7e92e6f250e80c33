"""The services of events and jobs."""

from __future__ import annotations

from app.avos.bodies import PropertyNames
from app.outgoing.store import OutgoingStore
from app.planning.retention import DeletedPlans
from app.planning.service import PlanningService
from app.planning.store import PlanningStore
from app.platform.container import Container


def planning_store(container: Container) -> PlanningStore:
    return PlanningStore(container.client, container.keys)


def planning(container: Container) -> PlanningService:
    return PlanningService(container[PlanningStore], container[OutgoingStore], container[PropertyNames])


def deleted_plans(container: Container) -> DeletedPlans:
    return DeletedPlans(container[OutgoingStore])
