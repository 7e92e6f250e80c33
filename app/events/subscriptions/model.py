"""Subscriptions in values, and how one is stored. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, NamedTuple

from app.events.consumers.model import ConsumerSpec, ConsumerStatus
from app.events.sinks.base import Config, Outcome
from app.platform.clock import rfc3339

IN_FLIGHT: Final = 10  # of a subscription that isn't ordered and gives no number
STATES: Final = ("active", "failing", "paused", "disabled")


class TopicFilter(NamedTuple):
    """A topic and the event names that are wanted of it; none: all."""

    topic: str
    names: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Subscription:
    """What its owner wrote. `sink` is the public part: of headers only the names. `start`: now, beginning
    or a time.

    `fingerprint`: of the body that created it with an Idempotency-Key; `rotation`: the key of the last
    rotation. With them a call that is repeated because its answer was lost gets the same answer.
    """

    id: str
    name: str | None
    topics: tuple[TopicFilter, ...]
    sink: Config
    ordered: bool
    in_flight: int
    start: str
    revision: int
    created_ms: int
    updated_ms: int
    fingerprint: str = ""
    rotation: str = ""


@dataclass(frozen=True, slots=True)
class SubscriptionView:
    """A subscription and how it is doing."""

    config: Subscription
    status: ConsumerStatus

    @property
    def id(self) -> str:
        return self.config.id


@dataclass(frozen=True, slots=True)
class MadeSubscription:
    """`secret`: a new signing secret, which is shown this once."""

    view: SubscriptionView
    secret: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class RotatedSecret:
    """`secret` is shown this once; until `previous_until_ms` the one before is valid too."""

    secret: str | None = field(repr=False)
    previous_until_ms: int


@dataclass(frozen=True, slots=True)
class Reencryption:
    """How many subscriptions' secrets were stored anew, how many needn't be, and ids of those that no key
    decrypts."""

    changed: int
    unchanged: int
    unreadable: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class SinkTest:
    """What became of a test event, and what was sent where."""

    outcome: Outcome
    request: Config


@dataclass(frozen=True, slots=True)
class LoggedDelivery:
    """An entry of the delivery log; consumers/journal.py says what `entry` holds."""

    id: str
    at_ms: int
    outcome: str
    entry: Mapping[str, Any]


def from_body(
    subscription_id: str, body: Mapping[str, Any], public: Config, now: int, fingerprint: str
) -> Subscription:
    """The subscription of a body that ConfigSchema has read; `public`: the public part of its sink."""
    ordered = body["ordered"]
    return Subscription(
        id=subscription_id,
        name=body["name"],
        topics=tuple(
            TopicFilter(one["topic"], tuple(dict.fromkeys(one.get("eventNames", ()))))
            for one in body["topics"]
        ),
        sink=public,
        ordered=ordered,
        in_flight=1 if ordered else body.get("inFlight", IN_FLIGHT),
        start=start_text(body["start"]),
        revision=1,
        created_ms=now,
        updated_ms=now,
        fingerprint=fingerprint,
    )


def spec(subscription: Subscription, secrets: Config, start: Mapping[str, int]) -> ConsumerSpec:
    """What its consumer needs. `start`: topic → the sequence after which it begins, where that isn't now."""
    return ConsumerSpec(
        id=subscription.id,
        topics=tuple((topic, frozenset(names)) for topic, names in subscription.topics),
        sink=subscription.sink,
        secrets=secrets,
        ordered=subscription.ordered,
        in_flight=subscription.in_flight,
        start=start,
    )


def encode(subscription: Subscription) -> dict[str, str]:
    """The fields of its hash."""
    config = {
        "name": subscription.name,
        "topics": [[topic, list(names)] for topic, names in subscription.topics],
        "sink": dict(subscription.sink),
        "ordered": subscription.ordered,
        "inFlight": subscription.in_flight,
        "start": subscription.start,
    }
    return {
        "config": json.dumps(config, ensure_ascii=False),
        "revision": str(subscription.revision),
        "createdAt": str(subscription.created_ms),
        "updatedAt": str(subscription.updated_ms),
        "fingerprint": subscription.fingerprint,
        "rotation": subscription.rotation,
    }


def decode(subscription_id: str, stored: Mapping[bytes, bytes]) -> Subscription:
    """The inverse."""
    config = json.loads(stored[b"config"])
    return Subscription(
        id=subscription_id,
        name=config["name"],
        topics=tuple(TopicFilter(topic, tuple(names)) for topic, names in config["topics"]),
        sink=config["sink"],
        ordered=config["ordered"],
        in_flight=config["inFlight"],
        start=config["start"],
        revision=int(stored[b"revision"]),
        created_ms=int(stored[b"createdAt"]),
        updated_ms=int(stored[b"updatedAt"]),
        fingerprint=stored.get(b"fingerprint", b"").decode(),
        rotation=stored.get(b"rotation", b"").decode(),
    )


def start_text(start: str | datetime) -> str:
    """`now`, `beginning` or a time, as it was asked for."""
    return rfc3339(start) if isinstance(start, datetime) else start
