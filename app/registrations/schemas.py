"""What the registration endpoints read and answer (domain A2)."""

# ruff: noqa: N815 - members are named as on the wire
from __future__ import annotations

import marshmallow as ma

from app.platform.inputs import Identifier, Instant, Schema


class LivestreamQuerySchema(Schema):
    livestreamId = Identifier(required=True)


class ContentMediaSchema(Schema):
    contentMediaId = Identifier(required=True)


class PairQuerySchema(LivestreamQuerySchema, ContentMediaSchema):
    pass


class RegistrationSchema(PairQuerySchema):
    """A registration; `contentMediaId` in its first spelling."""

    createdAt = Instant()
    updatedAt = Instant()
    deletedAt = Instant(allow_none=True)
    requestIds = ma.fields.List(ma.fields.String(), metadata={"description": "What the call queued."})


class ActiveSchema(Schema):
    activeLivestreams = ma.fields.List(ma.fields.Nested(PairQuerySchema))


class QueuedSchema(Schema):
    contentMediaId = Identifier()
    requestIds = ma.fields.List(ma.fields.String())
