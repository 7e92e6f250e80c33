"""What the fleet's addresses read and answer."""

# ruff: noqa: N815 - members are named as the contract has them
from __future__ import annotations

import marshmallow as ma

from app.fleet.service import FleetState
from app.platform.inputs import AnswerSchema, Identifier, PageSchema, Text

STATES = tuple(state.value for state in FleetState)


class FleetQuerySchema(PageSchema):
    state = ma.fields.String(validate=ma.validate.OneOf(STATES))
    livestreamId = Identifier()
    eventId = Identifier()
    name = Text(longest=200, metadata={"description": "A part of the event's name, whatever its case."})


class MemberSchema(AnswerSchema):
    contentMediaId = ma.fields.String(required=True)
    state = ma.fields.String(required=True, validate=ma.validate.OneOf(STATES))
    held = ma.fields.Boolean(required=True)
    missing = ma.fields.String(required=True, allow_none=True)
    livestreamId = ma.fields.String(required=True)
    eventId = ma.fields.String(required=True, allow_none=True)
    eventName = ma.fields.String(required=True, allow_none=True)
    jobId = ma.fields.String(required=True, allow_none=True)
    preKoUtc = ma.fields.String(required=True, allow_none=True)
    eventEnd = ma.fields.String(required=True, allow_none=True)


class FleetSchema(AnswerSchema):
    contentmedia = ma.fields.List(ma.fields.Nested(MemberSchema), required=True)
    next = ma.fields.String(required=True, allow_none=True)


class TimelineEntrySchema(AnswerSchema):
    at = ma.fields.String(required=True)
    what = ma.fields.String(required=True)
    detail = ma.fields.Dict(required=True)


class TimelineSchema(AnswerSchema):
    timeline = ma.fields.List(ma.fields.Nested(TimelineEntrySchema), required=True)
    next = ma.fields.String(required=True, allow_none=True)


class HoldSchema(AnswerSchema):
    contentMediaId = ma.fields.String(required=True)
    held = ma.fields.Boolean(required=True)
    changed = ma.fields.Boolean(required=True)


class HeldSchema(AnswerSchema):
    contentMediaId = ma.fields.String(required=True)
    livestreamId = ma.fields.String(required=True, allow_none=True)
    since = ma.fields.String(required=True)
    by = ma.fields.String(required=True, allow_none=True)


class HoldListSchema(AnswerSchema):
    holds = ma.fields.List(ma.fields.Nested(HeldSchema), required=True)
    next = ma.fields.String(required=True, allow_none=True)


class CauseSchema(AnswerSchema):
    code = ma.fields.String(required=True, metadata={"description": "Stable; for programs."})
    says = ma.fields.String(required=True)
    since = ma.fields.String(required=True, allow_none=True)
    next = ma.fields.String(required=True, metadata={"description": "What happens by itself."})
    todo = ma.fields.String(required=True, metadata={"description": "What a person can do."})
    requestId = ma.fields.String(required=True, allow_none=True)


class FindingSchema(AnswerSchema):
    kind = ma.fields.String(required=True)
    about = ma.fields.List(ma.fields.String(), required=True)
    causes = ma.fields.List(ma.fields.Nested(CauseSchema), required=True)
    sentences = ma.fields.List(
        ma.fields.String(), required=True, metadata={"description": "`about` and `causes` as text."}
    )
    see = ma.fields.String(required=True)


class WhySchema(AnswerSchema):
    id = ma.fields.String(required=True)
    findings = ma.fields.List(ma.fields.Nested(FindingSchema), required=True)
