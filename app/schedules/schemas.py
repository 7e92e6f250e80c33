"""What the scheduler reads, and how its answers look."""

# ruff: noqa: ARG002, N815 - marshmallow's signatures; members are named as on the wire
from __future__ import annotations

import json
import math
from typing import Any, Final
from urllib.parse import urlsplit

import marshmallow as ma

from app.platform.inputs import AnswerSchema, Flag, Identifier, Schema, Text
from app.schedules.records import NO_CATCH_UP, UNTIL_DEACTIVATION, TaskState

LAST: Final = 32_472_144_000  # the year 2999
LONGEST_CATCH_UP: Final = 7 * 86_400
LONGEST_NOTICE: Final = 30 * 86_400
METADATA_BYTES: Final = 16 * 1024
_LOOKS_LIKE_MS: Final = 100_000_000_000  # as seconds, the year 5138
BAD_TARGET: Final = "The notification target type is not supported currently"


class Seconds(ma.fields.Field[int]):
    """A whole number of seconds, written as a JSON integer or as a float such as 1617386100.0."""

    def __init__(self, *, least: int = 0, most: int = LAST, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._least, self._most = least, most

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> int:
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
            raise ma.ValidationError("Must be a number of seconds.")
        if value != int(value):
            raise ma.ValidationError("Must be a whole number of seconds.")
        if value >= _LOOKS_LIKE_MS:
            raise ma.ValidationError("This looks like milliseconds; seconds are wanted: divide it by 1000.")
        if not self._least <= value <= self._most:
            raise ma.ValidationError(f"Must lie between {self._least} and {self._most}.")
        return int(value)


class CatchUp(ma.fields.Field[str]):
    """What becomes of an activation whose time was missed: `until-deactivation`, `none`, or so many seconds."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> str:
        if value in (UNTIL_DEACTIVATION, NO_CATCH_UP) and isinstance(value, str):
            return value
        if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= LONGEST_CATCH_UP:
            return str(value)
        raise ma.ValidationError(
            f"Must be {UNTIL_DEACTIVATION}, {NO_CATCH_UP}, or a number of seconds up to {LONGEST_CATCH_UP}."
        )


class TaskSchema(Schema):
    time_utc = Seconds(required=True, metadata={"description": "Seconds since 1970, UTC."})
    notification = Seconds(least=1, most=LONGEST_NOTICE, metadata={"description": "Seconds before it."})


class NewWorkflowSchema(Schema):
    job_id = Identifier(required=True)
    activation = ma.fields.Nested(TaskSchema, required=True)
    deactivation = ma.fields.Nested(TaskSchema, required=True)
    description = Text()
    notification_url = Text(longest=2_000)
    redundant_group = Flag(load_default=False)
    metadata_passthrough = ma.fields.Raw()
    catchUp = CatchUp(load_default=UNTIL_DEACTIVATION)

    @ma.validates("notification_url")
    def check_url(self, value: str, **_: Any) -> None:
        try:
            parts = urlsplit(value)
        except ValueError:
            raise ma.ValidationError(BAD_TARGET) from None
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ma.ValidationError(BAD_TARGET)

    @ma.validates("metadata_passthrough")
    def check_metadata(self, value: Any, **_: Any) -> None:
        if len(json.dumps(value)) > METADATA_BYTES:
            raise ma.ValidationError(f"Has at most {METADATA_BYTES} bytes.")


class TaskChangeSchema(TaskSchema):
    time_utc = Seconds()


class WorkflowChangeSchema(Schema):
    activation = ma.fields.Nested(TaskChangeSchema)
    deactivation = ma.fields.Nested(TaskChangeSchema)

    @ma.validates_schema
    def check_something(self, data: dict[str, Any], **_: Any) -> None:
        if not any(data.values()):
            raise ma.ValidationError("Name the activation, the deactivation or both, with what is to change.")


class WorkflowQuerySchema(Schema):
    state = ma.fields.Enum(TaskState, by_value=True)
    job_id = Identifier()
    start = ma.fields.Integer(validate=ma.validate.Range(0, LAST))
    end = ma.fields.Integer(validate=ma.validate.Range(0, LAST))
    page_size = ma.fields.Integer(load_default=100, validate=ma.validate.Range(1, 1000))
    start_token = Text(longest=200)
    account_id = Identifier(metadata={"description": "For callers with a bearer token."})


class AccountSchema(Schema):
    account_id = Identifier(metadata={"description": "For callers with a bearer token."})


class TaskShownSchema(AnswerSchema):
    state = ma.fields.Enum(TaskState, by_value=True, required=True)
    time_utc = ma.fields.Integer(required=True)
    notification = ma.fields.Integer()
    reason = ma.fields.String()


class WorkflowSchema(AnswerSchema):
    account_id = ma.fields.String(required=True)
    activation = ma.fields.Nested(TaskShownSchema, required=True)
    deactivation = ma.fields.Nested(TaskShownSchema, required=True)
    description = ma.fields.String()
    job_id = ma.fields.String(required=True)
    type = ma.fields.String(required=True)
    workflow_id = ma.fields.String(required=True)
    notification_url = ma.fields.String()
    redundant_group = ma.fields.Boolean()
    metadata_passthrough = ma.fields.Raw()
    catchUp = ma.fields.Raw()
    entry_point = ma.fields.String(
        metadata={"description": "Seen since the activation: ready, switched_itself_off, switched_off."}
    )


class WorkflowListSchema(Schema):
    workflows = ma.fields.List(ma.fields.Nested(WorkflowSchema), required=True)
    next_token = ma.fields.String(required=True, allow_none=True)


class ScheduleErrorSchema(Schema):
    error = ma.fields.String()
    message = ma.fields.String(metadata={"description": "Without a valid key: Unauthorized."})
