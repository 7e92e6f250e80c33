"""The OpenAPI description: flask-smorest's, with our problem answer and the bearer scheme in it."""

# ruff: noqa: N815 - members are named as the contract has them
from __future__ import annotations

from http import HTTPStatus
from typing import Any

import flask_smorest  # type: ignore[import-untyped]  # it ships no types
import marshmallow as ma
from flask import Flask

from app.http.problems import MEDIA_TYPE
from app.platform.inputs import Identifier, Instant, Schema, Text

DESCRIPTION = """\
Keeps AVOS in step with planning. Every call but health, metrics and these pages needs `Authorization: Bearer <token>`;
the scope it needs is named as `x-required-scope`. Errors are `application/problem+json` with a stable `code`.
Accepted work answers 202; follow it at `Location`.
"""


class ErrorItemSchema(Schema):
    title = ma.fields.String(required=True)
    detail = ma.fields.String(required=True)


class ProblemSchema(Schema):
    """RFC 9457, with `errors` for clients that read those."""

    class Meta:
        unknown = ma.INCLUDE

    type = ma.fields.String(required=True)
    title = ma.fields.String(required=True)
    status = ma.fields.Integer(required=True)
    detail = ma.fields.String(required=True)
    code = ma.fields.String(required=True, metadata={"description": "Stable; for programs."})
    field = ma.fields.String(metadata={"description": "What is wrong, such as livestreams[0].preKoUtc."})
    callId = ma.fields.String(required=True)
    errors = ma.fields.List(ma.fields.Nested(ErrorItemSchema), required=True)


class Api(flask_smorest.Api):  # type: ignore[misc]
    """flask-smorest's Api. It describes errors; `problems` answers them."""

    ERROR_SCHEMA = ProblemSchema

    def _register_error_handlers(self) -> None:
        """`problems.register` has done it, for more than HTTP exceptions."""

    def _register_responses(self) -> None:
        """flask-smorest refers to answers by the names of their status codes, and to one by default."""
        self.spec.components.schema("Problem", schema=ProblemSchema)
        content = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
        names = {status.name: status.phrase for status in HTTPStatus if status >= HTTPStatus.BAD_REQUEST}
        for name, phrase in {**names, self.DEFAULT_ERROR_RESPONSE_NAME: "A problem"}.items():
            self.spec.components.response(name, {"description": phrase, "content": content}, lazy=True)


def describe(app: Flask, version: str) -> Api:
    """The Api of this application; packages register their blueprints on it."""
    app.config.update(
        API_TITLE="mediaops-sync",
        API_VERSION=version,
        OPENAPI_VERSION="3.0.3",
        OPENAPI_URL_PREFIX="/",
        OPENAPI_JSON_PATH="openapi.json",
    )
    options: dict[str, Any] = {"info": {"description": DESCRIPTION}}
    api = Api(app, spec_kwargs=options)
    api.spec.components.security_scheme("bearer", {"type": "http", "scheme": "bearer"})
    api.register_field(Instant, "string", "date-time")
    api.register_field(Identifier, "string", None)
    api.register_field(Text, "string", None)
    return api
