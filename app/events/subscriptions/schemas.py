"""What callers write of a subscription; what is answered is in `answers`.

The three sinks have members of their own, so that a misspelt or misplaced one is refused by its name.
"""

# ruff: noqa: N815, ARG002 - members are named as the contract has them; the methods have marshmallow's signatures
from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import marshmallow as ma

from app.events import catalogue
from app.events.consumers.model import OUTCOMES
from app.events.subscriptions.model import STATES
from app.platform.errors import BadRequest
from app.platform.inputs import Flag, Instant, List, Members, PageSchema, Schema, Text, Whole

MAX_TOPICS: Final = 50
MAX_NAMES: Final = 50
MAX_IN_FLIGHT: Final = 50
MAX_HEADERS: Final = 20
LONGEST_OVERLAP_S: Final = 7 * 86400
OVERLAP_S: Final = 86400


class TopicSchema(Schema):
    """A topic of the catalogue; without `eventNames` all of it."""

    topic = Text(required=True, longest=100, metadata={"enum": list(catalogue.TOPICS)})
    eventNames = List(Text(longest=100), most=MAX_NAMES, least=1)

    @ma.validates_schema
    def in_the_catalogue(self, data: Mapping[str, Any], **_: Any) -> None:
        try:
            topic = catalogue.topic_of(data["topic"])
        except BadRequest as error:
            raise ma.ValidationError(error.detail, "topic") from error
        names = enumerate(data.get("eventNames", ()))
        faults = {index: [fault] for index, name in names if (fault := catalogue.name_fault(topic, name))}
        if faults:
            raise ma.ValidationError({"eventNames": faults})


class WebhookSinkSchema(Schema):
    """POSTs each event to `url`, signed after Standard Webhooks."""

    type = ma.fields.String(required=True, validate=ma.validate.Equal("webhook"))
    url = Text(
        required=True, metadata={"description": "http or https; a public address, or one that is allowed."}
    )
    headers = Members(
        most=MAX_HEADERS,
        keys=Text(longest=100, validate=ma.validate.Length(min=1)),
        values=Text(longest=4_000, allow_none=True),
        metadata={
            "description": "Sent with each POST. Values are never shown again; null keeps the one that is stored."
        },
    )


class SnsSinkSchema(Schema):
    type = ma.fields.String(required=True, validate=ma.validate.Equal("sns"))
    topicArn = Text(required=True, longest=300)
    region = Text(longest=50, metadata={"description": "By default the one in the ARN."})


class KinesisSinkSchema(Schema):
    type = ma.fields.String(required=True, validate=ma.validate.Equal("kinesis"))
    streamName = Text(required=True, longest=128)
    region = Text(longest=50)


SINKS: Final[dict[str, ma.Schema]] = {
    "webhook": WebhookSinkSchema(),
    "sns": SnsSinkSchema(),
    "kinesis": KinesisSinkSchema(),
}


class SinkField(ma.fields.Field[Any]):
    """One of the sinks, recognised by its `type`."""

    def __init__(self, **kwargs: Any) -> None:
        refs = [{"$ref": f"#/components/schemas/{name.capitalize()}Sink"} for name in SINKS]
        super().__init__(metadata={"oneOf": refs}, **kwargs)

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> Any:
        if not isinstance(value, Mapping):
            raise ma.ValidationError("A sink is an object with a type.")
        kind = value.get("type")
        if not isinstance(kind, str) or kind not in SINKS:
            raise ma.ValidationError({"type": [f"Must be one of: {', '.join(SINKS)}."]})
        return SINKS[kind].load(value)


class Start(Instant):
    """`now`, `beginning`, or a time."""

    def _serialize(self, value: Any, attr: str | None, obj: Any, **kwargs: Any) -> Any:
        return value if isinstance(value, str) else super()._serialize(value, attr, obj, **kwargs)

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> Any:
        if value in ("now", "beginning"):
            return value
        try:
            return super()._deserialize(value, attr, data, **kwargs)
        except ma.ValidationError as error:
            raise ma.ValidationError(f"Neither now, beginning nor a time: {error.messages[0]}") from error


class ConfigSchema(Schema):
    """A subscription as its owner writes it."""

    name = Text(longest=200, load_default=None, allow_none=True)
    topics = List(ma.fields.Nested(TopicSchema), most=MAX_TOPICS, least=1, required=True)
    sink = SinkField(required=True)
    ordered = Flag(
        load_default=True,
        metadata={"description": "One event after another. false: up to inFlight at once, in any order."},
    )
    inFlight = Whole(
        strict=True,
        validate=ma.validate.Range(min=1, max=MAX_IN_FLIGHT),
        metadata={"description": "How many may be under way at once; only where ordered is false."},
    )
    start = Start(
        load_default="now",
        metadata={
            "description": "now, beginning or a time: where topics begin that the subscription didn't have before."
        },
    )

    @ma.validates_schema
    def fits_together(self, data: Mapping[str, Any], **_: Any) -> None:
        seen: set[str] = set()
        for index, one in enumerate(data["topics"]):
            if one["topic"] in seen:
                fault = {index: {"topic": ["This topic stands twice; name all its events in one place."]}}
                raise ma.ValidationError({"topics": fault})
            seen.add(one["topic"])
        if data["ordered"] and data.get("inFlight", 1) > 1:
            raise ma.ValidationError(
                "Only a subscription that isn't ordered has several events in flight.", "inFlight"
            )


class ReplaySchema(Schema):
    since = Instant(
        required=True, metadata={"description": "Everything published since is delivered once more."}
    )


class RotateSchema(Schema):
    """May be left out."""

    optional_body = True
    overlapSeconds = Whole(
        strict=True,
        load_default=OVERLAP_S,
        validate=ma.validate.Range(min=0, max=LONGEST_OVERLAP_S),
        metadata={"description": "How long the secrets before stay valid beside the new one."},
    )


class SubscriptionQuerySchema(PageSchema):
    state = ma.fields.String(validate=ma.validate.OneOf(STATES))


class DeliveriesQuerySchema(PageSchema):
    outcome = ma.fields.String(validate=ma.validate.OneOf(OUTCOMES))
