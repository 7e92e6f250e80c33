"""What the addresses of subscriptions answer."""

# ruff: noqa: N815 - members are named as the contract has them
from __future__ import annotations

import marshmallow as ma

from app.events.consumers.model import OUTCOMES
from app.events.subscriptions.model import STATES
from app.platform.inputs import AnswerSchema, Identifier, Instant


class LagSchema(AnswerSchema):
    events = ma.fields.Integer(required=True, metadata={"description": "Logged and not handled yet."})
    seconds = ma.fields.Float(required=True, metadata={"description": "Age of the oldest of them."})


class ShownTopicSchema(AnswerSchema):
    topic = ma.fields.String(required=True)
    eventNames = ma.fields.List(ma.fields.String())


class DeliveryFailureSchema(AnswerSchema):
    code = ma.fields.String(required=True)
    detail = ma.fields.String(required=True)
    at = Instant(metadata={"description": "When it happened, where that isn't said elsewhere."})


class MissedEventsSchema(AnswerSchema):
    """Sequences, both included."""

    topic = ma.fields.String(required=True)
    from_ = ma.fields.Integer(required=True, data_key="from")
    to = ma.fields.Integer(required=True)
    foundAt = Instant(required=True)


class ReplayProgressSchema(AnswerSchema):
    """A replay, worked off in the background."""

    id = ma.fields.String(required=True)
    state = ma.fields.String(required=True, validate=ma.validate.OneOf(("running", "done", "cancelled")))
    waiting = ma.fields.String(
        required=True, allow_none=True, metadata={"description": "Why it stands still: paused or disabled."}
    )
    done = ma.fields.Integer(
        required=True, metadata={"description": "Events gone through so far, without those that were missed."}
    )
    total = ma.fields.Integer(required=True)
    since = Instant(required=True)
    startedAt = Instant(required=True)
    endedAt = Instant(required=True, allow_none=True)
    lastError = ma.fields.Nested(DeliveryFailureSchema, required=True, allow_none=True)
    missedEvents = ma.fields.Integer(
        required=True,
        metadata={"description": "Those that the log's retention removed before the replay came to them."},
    )
    missed = ma.fields.List(
        ma.fields.Nested(MissedEventsSchema),
        required=True,
        metadata={"description": "Which, the newest last."},
    )
    reachesBackTo = Instant(
        required=True,
        allow_none=True,
        metadata={
            "description": "Where the log went less far back than `since`: the replay began with what was published then."
        },
    )


class SubscriptionSchema(AnswerSchema):
    """A subscription and how it is doing. Header values and secrets are never in it."""

    id = Identifier(required=True)
    name = ma.fields.String(allow_none=True)
    topics = ma.fields.List(ma.fields.Nested(ShownTopicSchema), required=True)
    sink = ma.fields.Dict(required=True)
    ordered = ma.fields.Boolean(required=True)
    inFlight = ma.fields.Integer(required=True)
    start = ma.fields.String(required=True)
    revision = ma.fields.Integer(required=True)
    createdAt = Instant(required=True)
    updatedAt = Instant(required=True)
    state = ma.fields.String(required=True, validate=ma.validate.OneOf(STATES))
    reason = ma.fields.String(
        allow_none=True, metadata={"description": "Who paused it, or why it is disabled."}
    )
    lag = ma.fields.Nested(LagSchema, required=True)
    counters = ma.fields.Dict(
        required=True,
        metadata={
            "description": "Since the beginning: delivered, failures (attempts), parked, calls, bytes, missed, …"
        },
    )
    cursor = ma.fields.Dict(
        required=True, metadata={"description": "Topic → sequence up to which all is handled."}
    )
    open = ma.fields.Integer(
        required=True, metadata={"description": "Under way or waiting for a retry of their own."}
    )
    parked = ma.fields.Integer(required=True, metadata={"description": "Given up; see …/parked."})
    missed = ma.fields.List(
        ma.fields.Nested(MissedEventsSchema),
        required=True,
        metadata={"description": "What the log's retention removed before it was delivered."},
    )
    failingSince = Instant(required=True, allow_none=True)
    failuresInARow = ma.fields.Integer(required=True)
    lastError = ma.fields.Nested(DeliveryFailureSchema, required=True, allow_none=True)
    nextTryAt = Instant(required=True, allow_none=True)
    lastDeliveredAt = Instant(required=True, allow_none=True)
    replay = ma.fields.Nested(
        ReplayProgressSchema,
        required=True,
        allow_none=True,
        metadata={"description": "The newest one."},
    )


class CreatedSchema(SubscriptionSchema):
    secret = ma.fields.String(metadata={"description": "Of a webhook; shown this once."})


class SubscriptionListSchema(AnswerSchema):
    subscriptions = ma.fields.List(ma.fields.Nested(SubscriptionSchema), required=True)
    next = ma.fields.String(required=True, allow_none=True)


class DeletedSchema(AnswerSchema):
    id = ma.fields.String(required=True)


class RotatedSchema(AnswerSchema):
    secret = ma.fields.String(required=True, metadata={"description": "Shown this once."})
    previousValidUntil = Instant(required=True)


class ReencryptedSchema(AnswerSchema):
    """How many subscriptions' secrets were stored anew, how many needn't be, and whose no key decrypts."""

    changed = ma.fields.Integer(required=True)
    unchanged = ma.fields.Integer(required=True)
    unreadable = ma.fields.List(Identifier(), required=True)


class TestedSchema(AnswerSchema):
    """What became of a test event."""

    delivered = ma.fields.Boolean(required=True)
    status = ma.fields.Integer(required=True, allow_none=True)
    latencyMs = ma.fields.Integer(required=True)
    request = ma.fields.Dict(required=True)
    answer = ma.fields.String(required=True)
    error = ma.fields.Nested(DeliveryFailureSchema, required=True, allow_none=True)


class DeliverySchema(AnswerSchema):
    """One attempt. `events` of a batch that fared alike stand in one entry, named after the first of them."""

    at = Instant(required=True)
    outcome = ma.fields.String(required=True, validate=ma.validate.OneOf(OUTCOMES))
    topic = ma.fields.String(required=True)
    sequence = ma.fields.Integer(required=True)
    eventName = ma.fields.String(required=True)
    guid = ma.fields.String(required=True)
    attempt = ma.fields.Integer(required=True)
    redelivery = ma.fields.String(
        required=True, allow_none=True, metadata={"description": "parked, or the id of a replay."}
    )
    events = ma.fields.Integer(required=True)
    request = ma.fields.Dict(
        required=True, metadata={"description": "What was sent where; no header values."}
    )
    status = ma.fields.Integer(required=True, allow_none=True)
    latencyMs = ma.fields.Integer(required=True)
    answer = ma.fields.String(required=True, metadata={"description": "Its beginning, without secrets."})
    error = ma.fields.Nested(DeliveryFailureSchema, required=True, allow_none=True)


class DeliveryListSchema(AnswerSchema):
    deliveries = ma.fields.List(ma.fields.Nested(DeliverySchema), required=True)
    next = ma.fields.String(required=True, allow_none=True)


class ParkedSchema(AnswerSchema):
    id = ma.fields.String(required=True)
    topic = ma.fields.String(required=True)
    sequence = ma.fields.Integer(required=True)
    eventName = ma.fields.String(required=True, allow_none=True)
    guid = ma.fields.String(required=True, allow_none=True)
    parkedAt = Instant(required=True)
    error = ma.fields.Nested(DeliveryFailureSchema, required=True)
    event = ma.fields.Dict(
        required=True, allow_none=True, metadata={"description": "null: the log doesn't have it any more."}
    )


class ParkedListSchema(AnswerSchema):
    parked = ma.fields.List(ma.fields.Nested(ParkedSchema), required=True)
    next = ma.fields.String(required=True, allow_none=True)


class ChangedSchema(AnswerSchema):
    changed = ma.fields.Integer(required=True, metadata={"description": "How many events it was done to."})
