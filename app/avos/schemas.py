"""What a generic outgoing request looks like."""

from __future__ import annotations

import marshmallow as ma

from app.outgoing.schemas import METHODS
from app.platform.inputs import Identifier, Instant, Schema, Text


class GenericRequestSchema(Schema):
    """A PATCH is preceded by a GET whose lastModified it is sent with; other methods are sent as they are."""

    method = ma.fields.String(required=True, validate=ma.validate.OneOf(METHODS))
    path = Text(
        required=True,
        longest=4096,
        validate=ma.validate.Length(min=1),
        metadata={
            "description": "One leading slash, under an allowed prefix; no scheme, host or dot segments."
        },
    )
    body = ma.fields.Raw(
        allow_none=True,
        metadata={
            "description": "JSON; an object for a PATCH, whose lastModified is replaced by a fresh one."
        },
    )
    lane = Identifier(
        metadata={
            "description": "Requests of one lane go one at a time, in order; without one, those of one path do."
        }
    )
    deadline = Instant(metadata={"description": "After it, a request that was tried and failed expires."})
