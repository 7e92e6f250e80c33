"""The families of events as marshmallow schemas: each is the envelope and its own members.

They only check: what a publisher wrote is passed on as it stands, with members that no schema knows. Where
the source of a family doesn't say which type a member has, a string and a whole number are both taken; an
optional member may be null.
"""

# ruff: noqa: N815, ARG002 - members are named as the requirement has them; fields have marshmallow's signatures
from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final

import marshmallow as ma

from app.platform.clock import check_time
from app.platform.inputs import Flag, Instant, List, Members, Schema, Whole

USER_TYPES: Final = (
    "CREATE", "UPDATE", "DELETE", "CHANGE_PASSWORD", "CHANGE_PASSWORD_BY_ADMIN", "RESET_PASSWORD", "SET_PINCODE",
    "RESET_PINCODE", "CHANGE_PINCODE",
)  # fmt: skip
ORDER_TYPES: Final = (
    "INITIALIZE", "CREATE", "COMPLETE", "COMPLETE_EXTERNAL", "UPDATE", "RENEW", "RENEW_FAILED", "REACTIVATE",
    "TERMINATE", "REFUND", "REFUND_FAILURE", "CHARGE", "CHARGE_FAILURE", "EXTEND", "TERMINATED_EXPIRED",
    "CONVERTED_EXPIRED", "FREEZE", "UNFREEZE", "COMMENT", "FROZEN_EXPIRED", "SINGLE_ACCESS_EXPIRED", "ACCESS_EXPIRED",
)  # fmt: skip
MEDIA_TYPES: Final = ("video", "subtitle")
MAX_ITEMS: Final = 1_000  # of a list
MAX_MEMBERS: Final = 2_000  # of an object with any names
_GUID: Final = re.compile(r"[\x21-\x7e]{1,256}\Z")


class Guid(ma.fields.String):
    """What stands in headers and attributes unchanged: 1 to 256 visible ASCII characters."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> Any:
        text = super()._deserialize(value, attr, data, **kwargs)
        if not _GUID.match(text):
            raise ma.ValidationError("A guid is 1 to 256 visible ASCII characters.")
        return text


class Spelled(ma.fields.Field[str]):
    """A time as publishers write it, `Z` and `+00:00` alike, of any year; its text stays as it is."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> str:
        if not isinstance(value, str):
            raise ma.ValidationError("A time is a string such as 2026-11-21T19:30:00Z.")
        try:
            check_time(value)
        except ValueError as error:
            raise ma.ValidationError(f"{str(error)[:1].upper()}{str(error)[1:]}.") from error
        return value


class Id(ma.fields.Field[Any]):
    """An id that some publishers write as a string and some as a whole number."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> Any:
        if isinstance(value, bool) or not isinstance(value, (str, int)):
            raise ma.ValidationError("Neither a string nor a whole number.")
        if value == "":
            raise ma.ValidationError("An id can't be empty.")
        return value


class MediaTypes(ma.fields.Field[Any]):
    """`video`, `subtitle`, or a list of them."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> Any:
        kinds = value if isinstance(value, list) else [value]
        if len(kinds) > len(MEDIA_TYPES):
            raise ma.ValidationError(f"At most {len(MEDIA_TYPES)} media types.")
        if any(kind not in MEDIA_TYPES for kind in kinds):
            raise ma.ValidationError(f"Must be a list of: {', '.join(MEDIA_TYPES)}.")
        return value


class _Object(Members):
    """Any JSON object."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(most=MAX_MEMBERS, **kwargs)

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> Any:
        try:
            return super()._deserialize(value, attr, data, **kwargs)
        except ma.ValidationError as error:  # it puts "value" between a member and what is wrong with it
            if not isinstance(error.messages, dict):
                raise
            raise ma.ValidationError(
                {name: fault.get("value", fault) for name, fault in error.messages.items()}
            ) from error


def _string(*, required: bool = True, **more: Any) -> ma.fields.String:
    return ma.fields.String(required=required, allow_none=not required, **more)


def _one_of(values: Sequence[str], *, required: bool = True) -> ma.fields.String:
    return _string(required=required, validate=ma.validate.OneOf(values))


def _id(*, required: bool = True) -> Id:
    return Id(required=required, allow_none=not required)


class EnvelopeSchema(Schema):
    """What every event has. Only eventName must be given: what else is left out is filled in."""

    class Meta:
        unknown = ma.INCLUDE

    eventName = ma.fields.String(required=True)
    originator = ma.fields.String(metadata={"description": "The service that created the event."})
    tenant = ma.fields.String()
    versions = List(ma.fields.String(), most=MAX_ITEMS)
    timestamp = Instant()
    guid = Guid(metadata={"description": "Unique; one that comes again on its topic within 24 hours is answered as the first time."})  # fmt: skip


class AssetEvent(EnvelopeSchema):
    assetId = Whole(required=True)
    properties = _Object(allow_none=True)
    metadata = _Object(
        allow_none=True,
        values=_Object(metadata={"description": 'Such as {"*": value}.'}),
        metadata={"description": 'Name → {"*": value}.'},
    )
    platforms = List(ma.fields.Raw(allow_none=True), most=MAX_ITEMS, allow_none=True)
    assetCreationDate = Spelled(allow_none=True)


class CategoryEvent(EnvelopeSchema):
    categoryId = Whole(required=True)
    platforms = List(ma.fields.Raw(allow_none=True), most=MAX_ITEMS, allow_none=True)


class ContentPanelEvent(EnvelopeSchema):
    contentPanelId = _id()
    contentPanelKey = _id()
    contentPanelType = _string()
    parentKey = Id(required=True, allow_none=True)
    action = _one_of(("created", "updated", "deleted"))
    action_on_type = _one_of(("content_panel",))
    user = ma.fields.Raw(required=True, allow_none=True)
    system_name = _string()
    level = _id(required=False)
    system_instance = _id(required=False)


class SelfSchema(ma.Schema):
    class Meta:
        unknown = ma.INCLUDE

    href = _string()


class LinksSchema(ma.Schema):
    class Meta:
        unknown = ma.INCLUDE

    self = ma.fields.Nested(SelfSchema, required=True)


class _DomainEvent(EnvelopeSchema):
    payload = _Object(required=True)
    _links = ma.fields.Nested(LinksSchema, required=True)
    id = _id(required=False)


class UserEvent(_DomainEvent):
    eventType = _one_of(USER_TYPES)


class OrderEvent(_DomainEvent):
    eventType = _one_of(ORDER_TYPES)


class CaptureOrderEvent(EnvelopeSchema):
    userId = _id()
    orderId = _id()
    productGroupId = _id()
    parameters = _Object(required=True, values=ma.fields.String())


class IngestEvent(EnvelopeSchema):
    companyId = _id()
    assetId = _string()
    ingestId = _id()
    mediaType = MediaTypes(allow_none=True)


class IngestStartedEvent(IngestEvent):
    profileName = _string(required=False)


class UploadEvent(EnvelopeSchema):
    """A model without a topic of its own; storageType and errorMessage only stand in `VUMCompletedEvent`."""

    uploadId = _id()
    jobId = _id()
    storageType = _one_of(("S3", "S3DIRECT", "LOCAL"), required=False)
    errorMessage = _string(required=False)


# This system's own happenings.


class LivestreamEvent(EnvelopeSchema):
    livestreamId = _string()
    contentMediaId = _string()


class SyncEvent(EnvelopeSchema):
    """What became of an outgoing request."""

    requestId = _string()
    kind = _string()
    method = _string()
    path = _string()
    contentMediaId = _string(required=False)
    livestreamId = _string(required=False)
    attempts = Whole(required=True)
    code = _string(required=False)
    detail = _string(required=False)
    firstFailedAt = Instant()


class DriftEvent(EnvelopeSchema):
    """AVOS shows something else than it should: an edit of somebody else (with requestId), or found by
    looking (with cause)."""

    contentMediaId = _string(required=False)
    requestId = _string(required=False)
    path = _string(required=False)
    cause = _one_of(("late_write", "audit"), required=False)
    members = List(ma.fields.Dict(), most=MAX_ITEMS, required=True)
    healed = Flag()


class DestinationEvent(EnvelopeSchema):
    """A destination's breaker has opened or closed."""

    destination = _string()
    code = _string(required=False)
    detail = _string(required=False)
    openedAt = Instant()


class ScheduleEvent(EnvelopeSchema):
    """What became of a start/stop workflow."""

    workflow_id = _string()
    job_id = _string(required=False)


class SubscriptionEvent(EnvelopeSchema):
    """How a subscription's deliveries go; a gap names what retention removed before it was delivered."""

    subscriptionId = _string()
    reason = _string(required=False)
    failures = Whole()
    failingSince = Instant()
    replayId = _string(required=False)
    topic = _string(required=False)
    first = Whole(data_key="from", metadata={"description": "The first sequence that was missed."})
    last = Whole(data_key="to", metadata={"description": "The last one."})


SCHEMAS: Final[Mapping[str, EnvelopeSchema]] = MappingProxyType(
    {
        "asset": AssetEvent(),
        "category": CategoryEvent(),
        "contentPanel": ContentPanelEvent(),
        "user": UserEvent(),
        "order": OrderEvent(),
        "capture": CaptureOrderEvent(),
        "ingestStarted": IngestStartedEvent(),
        "ingest": IngestEvent(),
        "upload": UploadEvent(),
        "livestream": LivestreamEvent(),
        "sync": SyncEvent(),
        "drift": DriftEvent(),
        "destination": DestinationEvent(),
        "schedule": ScheduleEvent(),
        "subscription": SubscriptionEvent(),
    }
)
