"""The services of the event log, of consumers and of subscriptions."""

from __future__ import annotations

from app.events.consumers.claims import ConsumerClaims, ConsumerScripts, consumer_folder
from app.events.consumers.figures import FiguresReader
from app.events.consumers.runner import Runner
from app.events.consumers.store import ConsumerStore
from app.events.consumers.ticks import ConsumerTicks
from app.events.consumers.turn import DeliveryPolicy
from app.events.log import SCRIPTS as LOG_SCRIPTS
from app.events.log import EventLog
from app.events.memory import EventMemory
from app.events.sinks.aws_settings import AwsSettings
from app.events.sinks.factory import Sinks
from app.events.streams import EventStreams
from app.events.subscriptions.service import SubscriptionService
from app.events.subscriptions.store import SubscriptionStore
from app.events.watcher import LogWatcher
from app.platform.audit import AuditTrail
from app.platform.container import Container
from app.platform.encryption import Encryption
from app.platform.guard import AddressGuard
from app.platform.lifetime import Lifetime
from app.platform.scripts import ScriptFolder
from app.settings import environment, proxy_for


def event_log(container: Container) -> EventLog:
    scripts = ScriptFolder(LOG_SCRIPTS, flags=container.script_flags)
    length = container.settings.events_keep_length
    return EventLog(container.redis, container.keys, length=length, scripts=scripts)


def event_memory(container: Container) -> EventMemory:
    return EventMemory(container.client, container.keys)


def event_streams(container: Container) -> EventStreams:
    log = container[EventLog]
    made = EventStreams(log, watcher=LogWatcher(log, places=container.settings.max_streams))
    made.end_when(container[Lifetime].is_ending)
    return made


def sinks(container: Container) -> Sinks:
    """AWS's keys, region and endpoint are boto3's own `AWS_…`."""
    aws = AwsSettings(
        sns_topics=container.settings.sns_topics,
        kinesis_streams=container.settings.kinesis_streams,
        proxy_for=lambda url: proxy_for(url, environment()),
    )
    return Sinks(container[AddressGuard], aws)


def consumer_scripts(container: Container) -> ConsumerScripts:
    folder = consumer_folder(flags=container.script_flags)
    length = container.settings.events_keep_length
    return ConsumerScripts(container.redis, container.keys, folder, log_length=length)


def consumer_claims(container: Container) -> ConsumerClaims:
    return ConsumerClaims(container[ConsumerScripts], container[Encryption])


def consumers(container: Container) -> ConsumerStore:
    return ConsumerStore(
        container[ConsumerScripts], container[EventLog], container[Sinks], container[Encryption]
    )


def consumer_ticks(container: Container) -> ConsumerTicks:
    return ConsumerTicks(container[ConsumerScripts])


def consumer_figures(container: Container) -> FiguresReader:
    return FiguresReader(container[ConsumerScripts])


def runner(container: Container) -> Runner:
    policy = DeliveryPolicy(
        disable_after_s=container.settings.webhook_disable_after_h * 3600,
        first_try_s=container.settings.events_first_try_s,
    )
    return Runner(container[ConsumerClaims], container[Sinks], policy)


def subscription_store(container: Container) -> SubscriptionStore:
    return SubscriptionStore(container.client, container.keys)


def subscriptions(container: Container) -> SubscriptionService:
    return SubscriptionService(
        container[SubscriptionStore],
        container[ConsumerStore],
        container[EventLog],
        container[Sinks],
        container[AuditTrail],
    )
