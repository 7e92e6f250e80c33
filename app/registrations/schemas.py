"""What the registration endpoints read and answer."""

# ruff: noqa: N815 - members are named as on the wire
from __future__ import annotations

from typing import Any

import marshmallow as ma

from app.platform.clock import rfc3339
from app.platform.inputs import Identifier, Instant, Schema
from app.registrations.records import RegistrationOutcome


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


def shown_outcome(outcome: RegistrationOutcome) -> dict[str, Any]:
    """As the API shows it."""
    registration = outcome.registration
    deleted_at = registration.deleted_at
    return {
        "livestreamId": registration.livestream_id,
        "contentMediaId": registration.content_media_id,
        "createdAt": rfc3339(registration.created_at),
        "updatedAt": rfc3339(registration.updated_at),
        "deletedAt": None if deleted_at is None else rfc3339(deleted_at),
        "requestIds": list(outcome.request_ids),
    }
