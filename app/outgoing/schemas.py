"""What the HTTP side of outgoing requests reads and answers."""

# ruff: noqa: N815 - members are named as the contract has them
from __future__ import annotations

from typing import Any

import marshmallow as ma

from app.outgoing.model import State
from app.platform.inputs import AnswerSchema, Identifier, Instant, PageSchema, Schema, Text

STATES = tuple(state.value for state in State)
METHODS = ("POST", "PUT", "PATCH", "DELETE")
LONGEST_WAIT_S = 30


class FilterSchema(Schema):
    """Which requests: what isn't named isn't asked about."""

    state = ma.fields.String(validate=ma.validate.OneOf(STATES))
    contentMediaId = Identifier()
    method = ma.fields.String(validate=ma.validate.OneOf(METHODS))
    error = Text(longest=100, metadata={"description": "An error code, such as timeout or server_error."})
    createdAfter = Instant()


class BulkFilterSchema(FilterSchema):
    """The same as a JSON body, which may be left out."""

    optional_body = True


class RequestListSchema(FilterSchema, PageSchema):
    pass


class WaitQuerySchema(Schema):
    wait = ma.fields.Float(
        load_default=0.0,
        allow_nan=False,
        validate=ma.validate.Range(min=0, max=LONGEST_WAIT_S),
        metadata={"description": "Wait up to so many seconds for a final state."},
    )


def _time() -> ma.fields.Field[Any]:
    return Instant(allow_none=True)


class RecordSchema(AnswerSchema):
    """An outgoing request (contract, "An outgoing record")."""

    id = ma.fields.String(required=True)
    lane = ma.fields.String(required=True)
    contentMediaId = ma.fields.String(allow_none=True)
    kind = ma.fields.String(required=True)
    method = ma.fields.String(required=True)
    path = ma.fields.String(required=True)
    body = ma.fields.Raw(allow_none=True)
    state = ma.fields.String(required=True, validate=ma.validate.OneOf(STATES))
    deadline = _time()
    createdAt = _time()
    firstFailedAt = _time()
    finishedAt = _time()
    nextTryAt = _time()
    attemptCount = ma.fields.Integer()
    attempts = ma.fields.List(ma.fields.Dict())
    supersededBy = ma.fields.String(allow_none=True)


class RecordListSchema(AnswerSchema):
    requests = ma.fields.List(ma.fields.Nested(RecordSchema), required=True)
    next = ma.fields.String(required=True, allow_none=True)


class OperationSchema(AnswerSchema):
    """A verb on all that match, worked off in the background."""

    id = ma.fields.String(required=True)
    state = ma.fields.String(required=True)


class DestinationSchema(AnswerSchema):
    name = ma.fields.String(required=True)


class DestinationListSchema(AnswerSchema):
    destinations = ma.fields.List(ma.fields.Nested(DestinationSchema), required=True)
    next = ma.fields.String(required=True, allow_none=True)


class AcceptedSchema(AnswerSchema):
    """Accepted work: the ids of the requests that it queued."""

    requestIds = ma.fields.List(ma.fields.String(), required=True)
