"""The blueprint that every room's routes use: flask-smorest's, with stricter reading of the input.

Wrong content type 415, unreadable JSON 400, unknown or repeated query parameters 400; what doesn't fit the
schema raises InvalidInput with the path of each field.
"""

# ruff: noqa: ARG002 - the methods below have webargs' signatures
from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NoReturn

import flask
import flask_smorest  # type: ignore[import-untyped]  # it ships no types
import marshmallow as ma
from webargs.flaskparser import FlaskParser
from werkzeug.exceptions import UnsupportedMediaType

from app.platform.errors import InvalidInput
from app.platform.inputs import invalid, strict_json


class StrictParser(FlaskParser):
    """Reads a request's input for a schema, or says exactly what is wrong with it."""

    DEFAULT_VALIDATION_STATUS = 400

    def _raw_load_json(self, req: flask.Request) -> Any:
        if not req.is_json:
            raise UnsupportedMediaType("The body must be application/json.")
        return strict_json(req.get_data(cache=True))

    def load_querystring(self, req: flask.Request, schema: ma.Schema) -> Any:
        for name, values in req.args.lists():
            if len(values) > 1:
                raise InvalidInput([(name, "The query parameter stands more than once.")])
        return super().load_querystring(req, schema)

    def handle_error(
        self,
        error: ma.ValidationError,
        req: flask.Request,
        schema: ma.Schema,
        *,
        error_status_code: int | None,
        error_headers: Mapping[str, str] | None,
    ) -> NoReturn:
        # webargs puts the location ("json", "query") around the messages; callers know where they wrote it.
        messages = error.messages
        inner = ma.ValidationError(next(iter(messages.values())) if isinstance(messages, dict) else messages)
        raise invalid(inner) from error


StrictParser.DEFAULT_UNKNOWN_BY_LOCATION = {
    **FlaskParser.DEFAULT_UNKNOWN_BY_LOCATION,
    "query": ma.RAISE,
    "json": ma.RAISE,
}


class Blueprint(flask_smorest.Blueprint):  # type: ignore[misc]
    """flask-smorest's blueprint with `StrictParser`."""

    ARGUMENTS_PARSER = StrictParser()
