"""A subscription as it is stored and as it is shown. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from app.events.consumers.model import ConsumerSpec
from app.platform.clock import from_ms, rfc3339

IN_FLIGHT: Final = 10  # of a subscription that isn't ordered and doesn't say how many
STATES: Final = ("active", "failing", "paused", "disabled")

Secrets = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Subscription:
    """What its owner wrote. `sink` is its public part: of headers only the names. `start` is as it was asked for.

    `fingerprint` is the body of a create with an Idempotency-Key, `rotation` the key of the last rotation: a call that
    is repeated because its answer was lost gets the same answer.
    """

    id: str
    name: str | None
    topics: tuple[tuple[str, tuple[str, ...]], ...]
    sink: Mapping[str, Any]
    ordered: bool
    in_flight: int
    start: str
    revision: int
    created_ms: int
    updated_ms: int
    fingerprint: str = ""
    rotation: str = ""


def from_body(
    subscription_id: str, body: Mapping[str, Any], public: dict[str, Any], now: int, fingerprint: str
) -> Subscription:
    """What a body that ConfigSchema has read describes, with the public part of its sink."""
    ordered = body["ordered"]
    return Subscription(
        id=subscription_id,
        name=body["name"],
        topics=tuple(
            (one["topic"], tuple(dict.fromkeys(one.get("eventNames", ())))) for one in body["topics"]
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


def spec(subscription: Subscription, secrets: Secrets, start: Mapping[str, int]) -> ConsumerSpec:
    """What its consumer needs. `start`: topic → sequence after which it begins, where that isn't now."""
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
        topics=tuple((topic, tuple(names)) for topic, names in config["topics"]),
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


def shown_config(subscription: Subscription, *, whole: bool) -> dict[str, Any]:
    """Its configuration as the API shows it, `whole` in the spelling that a PUT takes back."""
    return {
        "id": subscription.id,
        "name": subscription.name,
        "topics": [
            {"topic": topic, "eventNames": list(names)} if names else {"topic": topic}
            for topic, names in subscription.topics
        ],
        "sink": shown_sink(subscription.sink, whole=whole),
        "ordered": subscription.ordered,
        "inFlight": subscription.in_flight,
        "start": subscription.start,
        "revision": subscription.revision,
        "createdAt": rfc3339(from_ms(subscription.created_ms)),
        "updatedAt": rfc3339(from_ms(subscription.updated_ms)),
    }


def shown_sink(sink: Mapping[str, Any], *, whole: bool) -> dict[str, Any]:
    """A header's value is never shown; null stands for "as it is" when it is given back. A URL's query often holds a key,
    so that only those who may change it (`whole`) see it."""
    shown = dict(sink)
    if "headers" in shown:
        shown["headers"] = dict.fromkeys(shown["headers"])
    if not whole and "?" in shown.get("url", ""):
        shown["url"] = shown["url"].partition("?")[0] + "?…"
    return shown


def start_text(start: str | datetime) -> str:
    """`now`, `beginning` or a time, as it was asked for."""
    return rfc3339(start) if isinstance(start, datetime) else start
