"""What the drift addresses read and answer."""

# ruff: noqa: N815 - members are named as on the wire
from __future__ import annotations

import marshmallow as ma

from app.avos.comparison import Match
from app.avos.drift import DriftState
from app.platform.inputs import AnswerSchema, Identifier, PageSchema, Schema

STATES = tuple(state.value for state in DriftState)
VERDICTS = tuple(verdict.value for verdict in Match)


class DriftQuerySchema(PageSchema):
    state = ma.fields.String(validate=ma.validate.OneOf(STATES))


class CheckQuerySchema(Schema):
    contentMediaId = Identifier(required=True)


class DriftErrorSchema(AnswerSchema):
    code = ma.fields.String(required=True)
    detail = ma.fields.String(required=True)


class DifferenceSchema(AnswerSchema):
    kind = ma.fields.String(required=True)
    member = ma.fields.String(required=True)
    wanted = ma.fields.Raw(required=True, allow_none=True)
    shown = ma.fields.Raw(required=True, allow_none=True)


class DriftSchema(AnswerSchema):
    """What was found at a content media when it was last compared."""

    contentMediaId = ma.fields.String(required=True)
    livestreamId = ma.fields.String(required=True, allow_none=True)
    eventId = ma.fields.String(required=True, allow_none=True)
    state = ma.fields.String(required=True, validate=ma.validate.OneOf(STATES))
    checkedAt = ma.fields.String(required=True)
    since = ma.fields.String(required=True, metadata={"description": "Since when it is in this state."})
    members = ma.fields.List(ma.fields.Nested(DifferenceSchema), required=True)
    notShown = ma.fields.List(ma.fields.String(), required=True)
    error = ma.fields.Nested(DriftErrorSchema, required=True, allow_none=True)
    healing = ma.fields.List(
        ma.fields.String(), required=True, metadata={"description": "Requests queued to heal it."}
    )


class RoundSchema(AnswerSchema):
    startedAt = ma.fields.String(required=True, allow_none=True)
    endedAt = ma.fields.String(required=True, allow_none=True)
    underWay = ma.fields.Boolean(required=True)
    compared = ma.fields.Integer(required=True)
    skipped = ma.fields.Integer(required=True)


class DriftListSchema(AnswerSchema):
    drift = ma.fields.List(ma.fields.Nested(DriftSchema), required=True)
    next = ma.fields.String(required=True, allow_none=True)
    round = ma.fields.Nested(RoundSchema, required=True)


class PreviewedMemberSchema(DifferenceSchema):
    """`verdict` is null where AVOS could not be read."""

    class Meta(AnswerSchema.Meta):
        exclude = ("kind",)

    verdict = ma.fields.String(required=True, allow_none=True, validate=ma.validate.OneOf((*VERDICTS, None)))


class PreviewedSchema(AnswerSchema):
    kind = ma.fields.String(required=True)
    method = ma.fields.String(required=True)
    path = ma.fields.String(required=True)
    rejected = ma.fields.Nested(DriftErrorSchema, required=True, allow_none=True)
    members = ma.fields.List(ma.fields.Nested(PreviewedMemberSchema), required=True)
    absent = ma.fields.List(
        ma.fields.String(), required=True, metadata={"description": "Planning has no value: not sent."}
    )


class AvosSchema(AnswerSchema):
    status = ma.fields.Integer(required=True, allow_none=True)
    latencyMs = ma.fields.Float(required=True, allow_none=True)
    lastModified = ma.fields.String(required=True, allow_none=True)
    error = ma.fields.Nested(DriftErrorSchema, required=True, allow_none=True)


class PreviewSchema(AnswerSchema):
    """What an update would send now, beside what AVOS shows."""

    contentMediaId = ma.fields.String(required=True)
    livestreamId = ma.fields.String(required=True, allow_none=True)
    eventId = ma.fields.String(required=True, allow_none=True)
    jobId = ma.fields.String(required=True, allow_none=True)
    requests = ma.fields.List(ma.fields.Nested(PreviewedSchema), required=True)
    avos = ma.fields.Nested(AvosSchema, required=True)
    behind = ma.fields.Boolean(required=True)
    failing = ma.fields.Boolean(required=True)
    held = ma.fields.Boolean(required=True)
