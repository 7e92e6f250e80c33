"""How the packages hang together: one `System` a process, built from the settings, opening no connection yet."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

from redis import Redis

from app.avos.attempt import AvosWay
from app.avos.bodies import PropertyNames
from app.avos.client import AvosClient, Credentials
from app.avos.readback import ReadBack
from app.drift.audit import DriftAudit, Schedule
from app.drift.service import DriftService
from app.drift.service import Parts as DriftParts
from app.events.consumers.claims import ConsumerClaims, ConsumerScripts, Ground
from app.events.consumers.figures import FiguresReader
from app.events.consumers.runner import Runner
from app.events.consumers.store import ConsumerStore
from app.events.consumers.ticks import ConsumerTicks
from app.events.consumers.turn import DeliveryPolicy
from app.events.log import EventLog
from app.events.sinks.aws_settings import AwsSettings
from app.events.sinks.factory import Sinks
from app.events.subscriptions.service import SubscriptionService
from app.events.subscriptions.store import SubscriptionStore
from app.outgoing.engine import Engine, FarSide
from app.outgoing.fields import FieldReader
from app.outgoing.model import AVOS
from app.outgoing.operations import Operations
from app.outgoing.retention import Timelines
from app.outgoing.service import RequestService
from app.outgoing.store import OutgoingScripts, OutgoingStore, Policy
from app.outgoing.ticks import Ticks
from app.planning.retention import DeletedPlans
from app.planning.service import PlanningService
from app.planning.store import PlanningStore
from app.platform.audit import AuditTrail
from app.platform.dispatch import Envelope
from app.platform.encryption import Encryption
from app.platform.guard import AddressGuard
from app.platform.http_client import HttpTransport
from app.platform.keys import Keys
from app.platform.redis import connect, typed
from app.platform.tokens import TokenStore
from app.platform.walk import Walk
from app.registrations.retention import EndedRegistrations
from app.registrations.service import RegistrationService
from app.registrations.store import RegistrationStore
from app.settings import Settings, environment, proxy_for
from app.watch.canaries import Canaries, watch


@dataclass(frozen=True)
class System:
    """Everything that routes and tasks call."""

    settings: Settings
    redis: Redis
    keys: Keys
    outgoing: OutgoingStore
    requests: RequestService
    operations: Operations
    ticks: Ticks
    planning: PlanningService
    registrations: RegistrationService
    tokens: TokenStore
    avos: AvosClient
    engine: Engine
    read_back: ReadBack
    canaries: Canaries
    drift: DriftService
    drift_audit: DriftAudit
    events: EventLog
    consumers: ConsumerStore
    consumer_ticks: ConsumerTicks
    consumer_figures: FiguresReader
    runner: Runner
    subscriptions: SubscriptionService


def build(settings: Settings, *, client: Redis | None = None, script_flags: bool = True) -> System:
    """`client` and `script_flags` are for tests on a server in the process."""
    redis = client if client is not None else connect(settings.redis_url)
    keys = Keys(settings.tenant)
    outgoing = OutgoingStore(redis, keys, policy(settings), scripts=OutgoingScripts(flags=script_flags))
    requests = RequestService(outgoing)
    operations = Operations(outgoing, requests)
    names = property_names(settings)
    planning_store = PlanningStore(typed(redis), keys)
    avos = avos_client(settings)
    registrations = RegistrationService(
        RegistrationStore(typed(redis), keys),
        planning_store,
        outgoing,
        names,
        sync_on_register=settings.sync_on_register,
    )
    events = EventLog(redis, keys, length=settings.events_keep_length, flags=script_flags)
    sinks = event_sinks(settings)
    scripts = ConsumerScripts(consumer_ground(settings, redis, keys, script_flags))
    consumers, machine = ConsumerStore(scripts, events, sinks), ConsumerClaims(scripts)
    drift = drift_service(settings, outgoing, registrations, avos)
    return System(
        settings=settings,
        redis=redis,
        keys=keys,
        outgoing=outgoing,
        requests=requests,
        operations=operations,
        ticks=Ticks(
            outgoing,
            operations,
            keep_log=timedelta(days=settings.events_keep_days),
            forgetting=forgetting(outgoing),
        ),
        planning=PlanningService(planning_store, outgoing, names),
        registrations=registrations,
        tokens=TokenStore(typed(redis), keys, settings.api_token),
        avos=avos,
        engine=Engine(outgoing, FieldReader(outgoing), {AVOS: avos_side(settings, avos)}),
        read_back=ReadBack(outgoing, requests, avos, timeout_s=min(2.0, settings.avos_timeout_s)),
        canaries=watch(settings, redis),
        drift=drift,
        drift_audit=DriftAudit(drift, registrations, requests, drift_schedule(settings)),
        events=events,
        consumers=consumers,
        consumer_ticks=ConsumerTicks(machine),
        consumer_figures=FiguresReader(scripts),
        runner=Runner(
            machine,
            sinks,
            DeliveryPolicy(
                disable_after_s=settings.webhook_disable_after_h * 3600,
                first_try_s=settings.events_first_try_s,
            ),
        ),
        subscriptions=SubscriptionService(
            SubscriptionStore(typed(redis), keys), consumers, events, sinks, AuditTrail(typed(redis), keys)
        ),
    )


def forgetting(outgoing: OutgoingStore) -> tuple[Callable[[], int], ...]:
    """What goes with the history of requests (docs/data-model.md, "How long things are kept")."""
    plans, registrations = DeletedPlans(outgoing), EndedRegistrations(outgoing)
    visitors = {
        "event": plans.events,
        "job": plans.jobs,
        "registration": registrations.pairs,
        "media": Timelines(outgoing).visit,
    }
    return Walk(outgoing.client, outgoing.keys, visitors).tick, registrations.media


def policy(settings: Settings) -> Policy:
    """The settings that the scripts need."""
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


def consumer_ground(settings: Settings, redis: Redis, keys: Keys, script_flags: bool) -> Ground:  # noqa: FBT001 - as `build`
    """What the consumers' scripts need."""
    return Ground(
        redis,
        keys,
        Envelope(settings.tenant),
        settings.tenant,
        log_length=settings.events_keep_length,
        flags=script_flags,
        encryption=Encryption(settings.secrets_key),
    )


def event_sinks(settings: Settings) -> Sinks:
    """Where subscriptions may deliver to. AWS's keys, region and endpoint are boto3's own `AWS_…`."""
    aws = AwsSettings(
        sns_topics=settings.sns_topics,
        kinesis_streams=settings.kinesis_streams,
        proxy_for=lambda url: proxy_for(url, environment()),
    )
    return Sinks(AddressGuard(settings.allowed_cidrs), aws)


def drift_service(
    settings: Settings, outgoing: OutgoingStore, registrations: RegistrationService, avos: AvosClient
) -> DriftService:
    """Where foreign edits are parked, a person decides about each of them, so that nothing is healed by itself."""
    heal = settings.drift_heal and settings.foreign_edits == "overwrite"
    return DriftService(DriftParts(outgoing, registrations, avos, settings.avos_timeout_s, heal))


def drift_schedule(settings: Settings) -> Schedule:
    """When the audit's rounds are due."""
    return Schedule(
        interval_s=settings.drift_interval_s,
        tick_s=min(5.0, settings.drift_interval_s),
        window=timedelta(hours=settings.drift_window_h),
    )


def property_names(settings: Settings) -> PropertyNames:
    """Which resource properties mean what."""
    return PropertyNames(
        dmhe=settings.dmhe_property,
        destination=settings.destination_property,
        source_uri=settings.source_uri_property,
        source_channel=settings.source_channel_property,
    )


def avos_side(settings: Settings, client: AvosClient) -> FarSide:
    """How AVOS' requests are attempted."""
    return FarSide(AvosWay(park=settings.foreign_edits == "park"), client, settings.avos_timeout_s)


def avos_client(settings: Settings) -> AvosClient:
    """The far side as configured; without a URL every call says that none is."""
    transport = None
    if settings.avos_url is not None:
        transport = HttpTransport(
            settings.avos_url,
            pool_size=settings.avos_max_in_flight,
            ca_file=settings.avos_ca_file,
            proxy=settings.avos_proxy,
        )
    credentials = Credentials(settings.avos_token, settings.avos_auth_header, settings.avos_auth_scheme)
    return AvosClient(transport, credentials)
