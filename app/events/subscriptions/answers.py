"""What the addresses of subscriptions answer: JSON made of the values that the service returns."""

# ruff: noqa: ARG002, N815 - fields have marshmallow's signatures; members are named as the contract has them
from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import marshmallow as ma

from app.events.consumers.model import OUTCOMES
from app.events.sinks.base import Config
from app.events.subscriptions.model import STATES
from app.platform.clock import from_ms, rfc3339
from app.platform.inputs import AnswerSchema, Identifier, Instant


def _says(description: str) -> dict[str, str]:
    return {"description": description}


class Milliseconds(Instant):
    """A time that we have as milliseconds since 1970."""

    def _serialize(self, value: Any, attr: str | None, obj: Any, **kwargs: Any) -> Any:
        return None if value is None else rfc3339(from_ms(value))


class Note(ma.fields.String):
    """A text that may be missing: null where it is empty."""

    def _serialize(self, value: Any, attr: str | None, obj: Any, **kwargs: Any) -> Any:
        return value or None


class ShownSink(ma.fields.Dict):
    """The public part of a sink."""

    def _serialize(self, value: Any, attr: str | None, obj: Any, **kwargs: Any) -> Any:
        return shown_sink(value)


def shown_sink(public: Config) -> Config:
    """A header's value is never shown; given back, null stands for "as it is"."""
    return {**public, "headers": dict.fromkeys(public["headers"])} if "headers" in public else public


class StoredEvent(ma.fields.Dict):
    """An event's text."""

    def _serialize(self, value: Any, attr: str | None, obj: Any, **kwargs: Any) -> Any:
        return None if value is None else json.loads(value)


class LagSchema(AnswerSchema):
    events = ma.fields.Integer(
        required=True, attribute="lag_events", metadata=_says("Logged and not handled yet.")
    )
    seconds = ma.fields.Float(
        required=True, attribute="lag_seconds", metadata=_says("Age of the oldest of them.")
    )


class ShownTopicSchema(AnswerSchema):
    topic = ma.fields.String(required=True)
    eventNames = ma.fields.List(ma.fields.String(), attribute="names")

    @ma.post_dump
    def without_empty(self, data: Mapping[str, Any], **_: Any) -> Mapping[str, Any]:
        return {name: value for name, value in data.items() if value}


class DeliveryErrorSchema(AnswerSchema):
    """Why an attempt failed."""

    code = ma.fields.String(required=True)
    detail = ma.fields.String(required=True)


class LastErrorSchema(DeliveryErrorSchema):
    at = Milliseconds(required=True, attribute="at_ms")


class MissedEventsSchema(AnswerSchema):
    """Sequences, both included."""

    topic = ma.fields.String(required=True)
    from_ = ma.fields.Integer(required=True, data_key="from", attribute="first")
    to = ma.fields.Integer(required=True, attribute="last")
    foundAt = Milliseconds(required=True, attribute="at_ms")


class ReplayProgressSchema(AnswerSchema):
    """A replay, worked off in the background."""

    id = ma.fields.String(required=True)
    state = ma.fields.String(
        required=True, attribute="stage", validate=ma.validate.OneOf(("running", "done", "cancelled"))
    )
    waiting = ma.fields.String(
        required=True, allow_none=True, metadata=_says("Why it stands still: paused or disabled.")
    )
    done = ma.fields.Integer(
        required=True, metadata=_says("Events gone through so far, without those that were missed.")
    )
    total = ma.fields.Integer(required=True)
    since = Milliseconds(required=True, attribute="since_ms")
    startedAt = Milliseconds(required=True, attribute="started_ms")
    endedAt = Milliseconds(required=True, allow_none=True, attribute="ended_ms")
    lastError = ma.fields.Nested(LastErrorSchema, required=True, allow_none=True, attribute="failure")
    missedEvents = ma.fields.Integer(
        required=True,
        attribute="missed_events",
        metadata=_says("Those that the log's retention removed before the replay came to them."),
    )
    missed = ma.fields.List(
        ma.fields.Nested(MissedEventsSchema), required=True, metadata=_says("Which, the newest last.")
    )
    reachesBackTo = Milliseconds(
        required=True,
        allow_none=True,
        attribute="reaches_back_to_ms",
        metadata=_says(
            "Where the log went less far back than `since`: the replay began with what was published then."
        ),
    )


class SubscriptionSchema(AnswerSchema):
    """A subscription and how it is doing. Header values and secrets are never in it."""

    id = Identifier(required=True)
    name = ma.fields.String(allow_none=True, attribute="config.name")
    topics = ma.fields.List(ma.fields.Nested(ShownTopicSchema), required=True, attribute="config.topics")
    sink = ShownSink(required=True, attribute="config.sink")
    ordered = ma.fields.Boolean(required=True, attribute="config.ordered")
    inFlight = ma.fields.Integer(required=True, attribute="config.in_flight")
    start = ma.fields.String(required=True, attribute="config.start")
    revision = ma.fields.Integer(required=True, attribute="config.revision")
    createdAt = Milliseconds(required=True, attribute="config.created_ms")
    updatedAt = Milliseconds(required=True, attribute="config.updated_ms")
    state = ma.fields.String(required=True, attribute="status.state", validate=ma.validate.OneOf(STATES))
    reason = Note(
        allow_none=True, attribute="status.reason", metadata=_says("Who paused it, or why it is disabled.")
    )
    lag = ma.fields.Nested(LagSchema, required=True, attribute="status")
    counters = ma.fields.Dict(
        required=True,
        attribute="status.counters",
        metadata=_says(
            "Since the beginning: delivered, failures (attempts), parked, calls, bytes, missed, …"
        ),
    )
    cursor = ma.fields.Dict(
        required=True,
        attribute="status.cursor",
        metadata=_says("Topic → sequence up to which all is handled."),
    )
    open = ma.fields.Integer(
        required=True,
        attribute="status.open",
        metadata=_says("Under way or waiting for a retry of their own."),
    )
    parked = ma.fields.Integer(
        required=True, attribute="status.parked", metadata=_says("Given up; see …/parked.")
    )
    missed = ma.fields.List(
        ma.fields.Nested(MissedEventsSchema),
        required=True,
        attribute="status.missed",
        metadata=_says("What the log's retention removed before it was delivered."),
    )
    failingSince = Milliseconds(required=True, allow_none=True, attribute="status.failing_since_ms")
    failuresInARow = ma.fields.Integer(required=True, attribute="status.failures_in_a_row")
    lastError = ma.fields.Nested(
        LastErrorSchema, required=True, allow_none=True, attribute="status.last_error"
    )
    nextTryAt = Milliseconds(required=True, allow_none=True, attribute="status.next_try_ms")
    lastDeliveredAt = Milliseconds(required=True, allow_none=True, attribute="status.last_delivered_ms")
    replay = ma.fields.Nested(
        ReplayProgressSchema,
        required=True,
        allow_none=True,
        attribute="status.replay",
        metadata=_says("The newest one."),
    )


class CreatedSchema(SubscriptionSchema):
    secret = ma.fields.String(metadata=_says("Of a webhook; shown this once."))


class SubscriptionListSchema(AnswerSchema):
    subscriptions = ma.fields.List(ma.fields.Nested(SubscriptionSchema), required=True, attribute="items")
    next = ma.fields.String(required=True, allow_none=True)


class DeletedSchema(AnswerSchema):
    id = ma.fields.String(required=True)
    deleted = ma.fields.Boolean(required=True)


class RotatedSchema(AnswerSchema):
    secret = ma.fields.String(required=True, metadata=_says("Shown this once."))
    previousValidUntil = Milliseconds(required=True, attribute="previous_until_ms")


class ReencryptedSchema(AnswerSchema):
    """How many subscriptions' secrets were stored anew, how many needn't be, and whose no key decrypts."""

    changed = ma.fields.Integer(required=True)
    unchanged = ma.fields.Integer(required=True)
    unreadable = ma.fields.List(Identifier(), required=True)


class TestedSchema(AnswerSchema):
    """What became of a test event."""

    delivered = ma.fields.Boolean(required=True, attribute="outcome.delivered")
    status = ma.fields.Integer(required=True, allow_none=True, attribute="outcome.status")
    latencyMs = ma.fields.Integer(required=True, attribute="outcome.latency_ms")
    request = ma.fields.Dict(required=True)
    answer = ma.fields.String(required=True, attribute="outcome.answer")
    error = ma.fields.Nested(DeliveryErrorSchema, required=True, allow_none=True, attribute="outcome.error")


class DeliverySchema(AnswerSchema):
    """One attempt. `events` of a batch that fared alike stand in one entry, named after the first of them."""

    id = ma.fields.String(required=True)
    at = Milliseconds(required=True, attribute="at_ms")
    outcome = ma.fields.String(required=True, validate=ma.validate.OneOf(OUTCOMES))
    topic = ma.fields.String(required=True, attribute="entry.topic")
    sequence = ma.fields.Integer(required=True, attribute="entry.sequence")
    eventName = ma.fields.String(required=True, attribute="entry.eventName")
    guid = ma.fields.String(required=True, attribute="entry.guid")
    attempt = ma.fields.Integer(required=True, attribute="entry.attempt")
    redelivery = ma.fields.String(
        required=True,
        allow_none=True,
        attribute="entry.redelivery",
        metadata=_says("parked, or the id of a replay."),
    )
    events = ma.fields.Integer(required=True, attribute="entry.events")
    sequences = ma.fields.List(
        ma.fields.String(),
        attribute="entry.sequences",
        metadata=_says("topic:sequence of the first of several events."),
    )
    request = ma.fields.Dict(
        required=True, attribute="entry.request", metadata=_says("What was sent where; no header values.")
    )
    status = ma.fields.Integer(required=True, allow_none=True, attribute="entry.status")
    latencyMs = ma.fields.Integer(required=True, attribute="entry.latencyMs")
    answer = ma.fields.String(
        required=True, attribute="entry.answer", metadata=_says("Its beginning, without secrets.")
    )
    error = ma.fields.Nested(DeliveryErrorSchema, required=True, allow_none=True, attribute="entry.error")
    nextTryInMs = ma.fields.Integer(
        allow_none=True,
        attribute="entry.nextTryInMs",
        metadata=_says("From the attempt on; null where none follows by itself."),
    )


class DeliveryListSchema(AnswerSchema):
    deliveries = ma.fields.List(ma.fields.Nested(DeliverySchema), required=True, attribute="items")
    next = ma.fields.String(required=True, allow_none=True)


class ParkedSchema(AnswerSchema):
    id = ma.fields.String(required=True)
    topic = ma.fields.String(required=True)
    sequence = ma.fields.Integer(required=True)
    eventName = Note(required=True, allow_none=True, attribute="event_name")
    guid = Note(required=True, allow_none=True)
    parkedAt = Milliseconds(required=True, attribute="parked_ms")
    error = ma.fields.Nested(DeliveryErrorSchema, required=True)
    event = StoredEvent(
        required=True, allow_none=True, metadata=_says("null: the log doesn't have it any more.")
    )


class ParkedListSchema(AnswerSchema):
    parked = ma.fields.List(ma.fields.Nested(ParkedSchema), required=True, attribute="items")
    next = ma.fields.String(required=True, allow_none=True)


class ChangedSchema(AnswerSchema):
    changed = ma.fields.Integer(required=True, metadata=_says("How many events it was done to."))
