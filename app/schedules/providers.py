"""The services of the scheduler."""

from __future__ import annotations

from app.outgoing.store import OutgoingStore
from app.platform.container import Container
from app.platform.encryption import Encryption
from app.platform.http_client import HttpTransport
from app.schedules.destination import LIVE_API
from app.schedules.entry_points import EntryPoints
from app.schedules.keys import ScheduleKeys
from app.schedules.live_api import LiveApiClient
from app.schedules.retention import WorkflowKeeper
from app.schedules.rules import Limits
from app.schedules.secrets import NoticeSecrets
from app.schedules.service import ScheduleService
from app.schedules.store import ScheduleStore
from app.schedules.timers import ScheduleTicks


def live_api(container: Container) -> LiveApiClient:
    """Without a URL every call says that none is configured."""
    settings, transport = container.settings, None
    if settings.live_api_url is not None:
        transport = HttpTransport(settings.live_api_url, pool_size=200, proxy=settings.live_api_proxy)
    return LiveApiClient(transport, dict(settings.live_api_keys), dialect=settings.live_dialect)


def schedule_store(container: Container) -> ScheduleStore:
    outgoing = container[OutgoingStore]
    return ScheduleStore(container.redis, outgoing, outgoing.scripts, LIVE_API, flags=container.script_flags)


def notice_secrets(container: Container) -> NoticeSecrets:
    return NoticeSecrets(container.client, ScheduleKeys.of(container.keys), container[Encryption])


def entry_points(container: Container) -> EntryPoints:
    return EntryPoints(container[ScheduleStore], container[LiveApiClient])


def workflow_keeper(container: Container) -> WorkflowKeeper:
    return WorkflowKeeper(container[ScheduleStore], container[OutgoingStore])


def schedules(container: Container) -> ScheduleService:
    settings = container.settings
    limits = Limits(settings.schedule_allow_overlap, settings.schedule_max_pending)
    return ScheduleService(container[ScheduleStore], container[LiveApiClient], limits)


def schedule_ticks(container: Container) -> ScheduleTicks:
    return ScheduleTicks(container[ScheduleStore])
