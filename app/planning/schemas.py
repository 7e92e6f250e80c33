"""What planning may send, field by field, and how answers look.

Strict about shape, lenient about sense: a number is no string and an unknown member is refused, but an
end before its start is stored as it was sent, because planning tools do send it and only they can mend it.
A time that is null or in year 1 is "no value" and is left out of what is stored.
"""

# ruff: noqa: ARG002, N815 - marshmallow's signatures; members are named as on the wire
from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final, cast

import marshmallow as ma

from app.planning.records import Change, SourceVersion
from app.platform.clock import parse_time, rfc3339
from app.platform.inputs import Flag, Identifier, Instant, List, Schema, Text, Whole, invalid
from app.platform.json_text import MOST_BULK_VALUES

MAX_LIVESTREAMS: Final = 100
MAX_NODES: Final = 1_000
MAX_PROPERTIES: Final = 200
MAX_MESSAGES: Final = 1_000
LARGEST_VERSION: Final = 2**63 - 1
LARGEST_ORDER: Final = 2**31 - 1

STATUSES: Final = (
    "draft",
    "tentative",
    "confirmed",
    "running",
    "completed",
    "ready_for_invoice",
    "canceled",
    "invoiced",
)
NODE_TYPES: Final = (
    "Source",
    "SourceType",
    "Resource",
    "ResourcePool",
    "Destination",
    "DestinationType",
    "SourceInstance",
    "DestinationInstance",
)


_INSTANT: Final = Instant()
_PROPERTY_TEXT: Final = Text(longest=4_000)


class PlanTime(ma.fields.Field[str]):
    """An RFC 3339 time, kept as UTC with `Z`. None for null and for year 1, which senders use for no value."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(
            allow_none=True, metadata={"type": "string", "format": "date-time", "nullable": True}, **kwargs
        )

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> Any:
        if isinstance(value, str) and value.startswith("0001-"):
            return None
        return rfc3339(_INSTANT.deserialize(value, attr, data))


class Version(ma.fields.Field[SourceVersion]):
    """A sourceVersion: a whole number, or an RFC 3339 time."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> Any:
        if isinstance(value, int) and not isinstance(value, bool):
            if not 0 <= value <= LARGEST_VERSION:
                raise ma.ValidationError(f"A number from 0 to {LARGEST_VERSION}.")
            return value
        if not isinstance(value, str):
            raise ma.ValidationError("A whole number or an RFC 3339 time.")
        try:
            return parse_time(value)
        except (ValueError, OverflowError) as error:
            raise ma.ValidationError("A whole number or an RFC 3339 time.") from error


class VersionParameter(Version):
    """The same in a query, where all is text: digits are a number."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> Any:
        is_number = isinstance(value, str) and value.isascii() and value.isdecimal() and len(value) < 20
        return super()._deserialize(int(value) if is_number else value, attr, data, **kwargs)


class NodeType(ma.fields.Field[Any]):
    """One of the names, or its number."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> Any:
        is_number = isinstance(value, int) and not isinstance(value, bool) and 0 <= value < len(NODE_TYPES)
        if not is_number and value not in NODE_TYPES:
            raise ma.ValidationError(f"One of {', '.join(NODE_TYPES)}, or its number from 0 to 7.")
        return value


class PropertyValue(ma.fields.Field[Any]):
    """Text, a number, true, false or null: properties are what somebody configured."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> Any:
        if isinstance(value, str):
            return _PROPERTY_TEXT.deserialize(value)
        if isinstance(value, (bool, int, float)):
            return value
        raise ma.ValidationError("Text, a number, true, false or null.")


class PlanSchema(Schema):
    """Base of the bodies: a member without a value is left out, as if it had not been sent."""

    @ma.post_load
    def _drop_nothing(self, data: dict[str, Any], **_: Any) -> dict[str, Any]:
        return {name: value for name, value in data.items() if value is not None}


def _list_of(schema: type[Schema], most: int, **kwargs: Any) -> List:
    return List(ma.fields.Nested(schema), most=most, **kwargs)


def _refuse_twice(entries: Any, field: str, name: str) -> None:
    seen: set[str] = set()
    for index, entry in enumerate(entries or ()):
        if entry[name] in seen:
            raise ma.ValidationError({field: {index: {name: [f"Stands twice in {field}."]}}})
        seen.add(entry[name])


class LivestreamSchema(PlanSchema):
    livestreamId = Identifier(required=True)
    preKoUtc = PlanTime()
    txEventType = Text(allow_none=True)


class EventSchema(PlanSchema):
    """An event. All times may be missing: what planning doesn't know is not sent on."""

    name = Text(required=True)
    eventStart = PlanTime()
    eventEnd = PlanTime()
    programmeId = Identifier(allow_none=True)
    livestreams = _list_of(LivestreamSchema, MAX_LIVESTREAMS, allow_none=True)
    sourceVersion = Version(allow_none=True)

    @ma.validates_schema
    def _livestreams_once(self, data: dict[str, Any], **_: Any) -> None:
        _refuse_twice(data.get("livestreams"), "livestreams", "livestreamId")


class PropertySchema(Schema):
    name = Text(required=True, validate=ma.validate.Length(min=1))
    value = PropertyValue(allow_none=True)


class ResourceSchema(PlanSchema):
    resourceId = Identifier(allow_none=True)
    name = Text(required=True)
    properties = _list_of(PropertySchema, MAX_PROPERTIES, allow_none=True)


class NodeSchema(PlanSchema):
    nodeId = Identifier(required=True)
    alias = Text(allow_none=True)
    nodeType = NodeType(required=True)
    order = Whole(
        allow_none=True, strict=True, validate=ma.validate.Range(min=-LARGEST_ORDER, max=LARGEST_ORDER)
    )
    start = PlanTime()
    end = PlanTime()
    hidden = Flag(allow_none=True)
    resource = ma.fields.Nested(ResourceSchema, allow_none=True)


class JobInfoSchema(PlanSchema):
    jobName = Text(allow_none=True)
    jobStart = PlanTime()
    jobEnd = PlanTime()


class JobSchema(PlanSchema):
    """A job. Its event may arrive later; without a status it counts."""

    eventId = Identifier(required=True)
    status = ma.fields.String(validate=ma.validate.OneOf(STATUSES), allow_none=True)
    jobInfo = ma.fields.Nested(JobInfoSchema, allow_none=True)
    nodes = _list_of(NodeSchema, MAX_NODES, allow_none=True)
    sourceVersion = Version(allow_none=True)

    @ma.validates_schema
    def _nodes_once(self, data: dict[str, Any], **_: Any) -> None:
        _refuse_twice(data.get("nodes"), "nodes", "nodeId")


class MessagesSchema(Schema):
    """Items are read one by one: a bad one spoils none of the others."""

    most_values = MOST_BULK_VALUES

    messages = List(
        ma.fields.Raw(metadata={"type": "object", "description": "{type: event or job, id, body}"}),
        most=MAX_MESSAGES,
        required=True,
    )


class _MessageSchema(Schema):
    type = ma.fields.String(required=True, validate=ma.validate.OneOf(("event", "job")))
    id = Identifier(required=True)
    body = ma.fields.Dict(required=True)


class DeleteQuerySchema(Schema):
    """`sourceVersion` of the deletion: PUTs that are older then stay refused."""

    sourceVersion = VersionParameter()


class PlanningListSchema(Schema):
    limit = ma.fields.Integer(load_default=100, validate=ma.validate.Range(min=1, max=1000))
    cursor = ma.fields.String(
        validate=ma.validate.Regexp(r"[0-9]{1,16}\Z", error="Not a cursor of this list.")
    )


class FactsSchema(Schema):
    """What an answer has beside the record's own members."""

    revision = ma.fields.Integer(metadata={"description": "Also the ETag."})
    createdAt = Instant()
    updatedAt = Instant()
    deletedAt = Instant(metadata={"description": "Only in the answer to a DELETE."})
    requestIds = ma.fields.List(ma.fields.String(), metadata={"description": "What the call queued."})


class EventAnswerSchema(EventSchema, FactsSchema):
    eventId = Identifier()


class JobAnswerSchema(JobSchema, FactsSchema):
    jobId = Identifier()
    eventKnown = Flag(metadata={"description": "false: the job counts once its event is there."})


class EventGoneSchema(FactsSchema):
    """What is left of a deleted event: its revision, so that no old ETag fits what comes after it."""

    eventId = Identifier()


class JobGoneSchema(FactsSchema):
    """What is left of a deleted job."""

    jobId = Identifier()


class EventListSchema(Schema):
    events = ma.fields.List(ma.fields.Nested(EventAnswerSchema))
    next = ma.fields.String(allow_none=True)


class JobListSchema(Schema):
    jobs = ma.fields.List(ma.fields.Nested(JobAnswerSchema))
    next = ma.fields.String(allow_none=True)


class ResultsSchema(Schema):
    results = ma.fields.List(ma.fields.Raw(metadata={"type": "object"}))


_BODIES: Final[Mapping[str, Schema]] = {"event": EventSchema(), "job": JobSchema()}
_MESSAGE: Final = _MessageSchema()


def split_version(body: dict[str, Any]) -> tuple[dict[str, Any], SourceVersion | None]:
    """The loaded body without its sourceVersion, which is kept beside it."""
    version = cast("int | datetime | None", body.pop("sourceVersion", None))
    return body, version


def read_message(message: Any, index: int) -> Change:
    """One item of a batch. Raises InvalidInput that names the fields by their place: `messages[3].body.name`."""
    try:
        if not isinstance(message, Mapping):
            raise ma.ValidationError("Not an object with type, id and body.")
        outer = _MESSAGE.load(message)
        try:
            loaded = _BODIES[outer["type"]].load(outer["body"])
        except ma.ValidationError as error:
            raise ma.ValidationError({"body": error.messages}) from error
    except ma.ValidationError as error:
        raise invalid(error, f"messages[{index}]") from error
    body, version = split_version(loaded)
    return Change(outer["type"], outer["id"], body, version)
