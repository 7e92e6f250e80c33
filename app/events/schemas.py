"""What the HTTP side of the event log reads and answers."""

# ruff: noqa: N815 - members are named as the contract has them
from __future__ import annotations

from typing import Any, Final

import marshmallow as ma

from app.events.families import EnvelopeSchema
from app.platform.inputs import Instant, List, Schema

LONGEST_PAGE: Final = 1_000
MAX_NAMES: Final = 100


class EventNames(List):
    """A query parameter that stands several times, or once with commas."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(ma.fields.String(), most=MAX_NAMES, **kwargs)

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> list[Any]:
        names: list[Any] = super()._deserialize(value, attr, data, **kwargs)
        # `most` of these again: field validators look at what is answered here.
        return [part for name in names for part in name.split(",") if part]


class ReadQuerySchema(Schema):
    """From where on, and which events."""

    repeatable = ("eventName",)

    after = ma.fields.Integer(
        validate=ma.validate.Range(min=0, max=2**53 - 1),
        metadata={
            "description": "A sequence, or `next` of the page before; without it from the oldest there is."
        },
    )
    since = Instant(metadata={"description": "Only what was published at this time or later."})
    eventName = EventNames(load_default=[])
    limit = ma.fields.Integer(
        load_default=100,
        validate=ma.validate.Range(min=1, max=LONGEST_PAGE),
        metadata={"default": 100},
    )


class StreamQuerySchema(Schema):
    """Which topics and events; without `Last-Event-ID` and `since` only what is published from now on."""

    repeatable = ("topic", "eventName")

    topic = EventNames(load_default=[], metadata={"description": "Without one, all."})
    eventName = EventNames(load_default=[])
    since = Instant()


class _EventAnswerSchema(Schema):
    class Meta:
        unknown = ma.INCLUDE


class EntrySchema(_EventAnswerSchema):
    sequence = ma.fields.Integer(required=True)
    publishedAt = Instant(required=True)
    event = ma.fields.Nested(EnvelopeSchema, required=True)


class MissedSchema(_EventAnswerSchema):
    """Sequences that were asked for and are no longer kept."""

    first = ma.fields.Integer(required=True, data_key="from")
    to = ma.fields.Integer(required=True)


class EntryListSchema(_EventAnswerSchema):
    """A page may be shorter than its limit, or empty, and not be the last: go on with `next` as `after`
    until it is `last`."""

    events = ma.fields.List(ma.fields.Nested(EntrySchema), required=True)
    next = ma.fields.Integer(required=True)
    last = ma.fields.Integer(required=True)
    missed = ma.fields.Nested(MissedSchema, required=True, allow_none=True)
    epoch = ma.fields.String(required=True)


class ResultSchema(_EventAnswerSchema):
    """`guid` and `sequence` of an event that was taken; `index`, `status`, `code` and `errors` of one that
    wasn't."""

    guid = ma.fields.String()
    sequence = ma.fields.Integer()


class ResultListSchema(_EventAnswerSchema):
    results = ma.fields.List(ma.fields.Nested(ResultSchema), required=True)


class EpochSchema(_EventAnswerSchema):
    epoch = ma.fields.String(required=True, metadata={"description": "Names this log's life."})


class CatalogueSchema(_EventAnswerSchema):
    topics = ma.fields.List(ma.fields.Dict(), required=True)
    families = ma.fields.Dict(required=True)
    envelope = ma.fields.Dict(required=True)
    gone = ma.fields.List(ma.fields.Dict(), required=True)
