"""The blueprint that every package's routes use: flask-smorest's, with stricter reading of the input.

Wrong content type 415, unreadable JSON 400, unknown or repeated query parameters 400; what doesn't fit the
schema raises InvalidInput with the path of each field.
"""

# ruff: noqa: ARG002 - the methods below have webargs' signatures
from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NoReturn, TypeVar, cast

import flask
import flask_smorest  # type: ignore[import-untyped]  # it ships no types
import marshmallow as ma
from webargs.flaskparser import FlaskParser
from werkzeug.exceptions import RequestEntityTooLarge, UnsupportedMediaType

from app.platform.errors import InvalidInput
from app.platform.inputs import invalid
from app.platform.json_text import MOST_VALUES, strict_json

View = TypeVar("View", bound=Callable[..., Any])
SchemaOrClass = ma.Schema | type[ma.Schema]


class StrictParser(FlaskParser):
    """Reads a request's input for a schema, or says exactly what is wrong with it.

    A schema class with `optional_body = True` may be sent no body at all; one with `most_values` takes bodies of so many
    JSON values; the query parameters that it names in `repeatable` may stand more than once.
    """

    DEFAULT_VALIDATION_STATUS = 400

    def load_json(self, req: flask.Request, schema: ma.Schema) -> Any:
        if getattr(schema, "optional_body", False) and _no_body(req):
            return ma.missing
        return strict_json(json_body(req), getattr(schema, "most_values", MOST_VALUES))

    def load_querystring(self, req: flask.Request, schema: ma.Schema) -> Any:
        for name, values in req.args.lists():
            if len(values) > 1 and name not in getattr(schema, "repeatable", ()):
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


def json_body(req: flask.Request) -> bytes:
    """The whole body of a call whose content type says JSON, unread. Raises UnsupportedMediaType, RequestEntityTooLarge."""
    if not req.is_json:
        raise UnsupportedMediaType("The body must be application/json.")
    raw = req.get_data(cache=True)
    limit = req.max_content_length
    # A body without a length is cut off at the limit, silently.
    if limit is not None and len(raw) >= limit and req.content_length is None:
        raise RequestEntityTooLarge(f"The body has more than {limit - 1} bytes.")
    return raw


def _no_body(req: flask.Request) -> bool:
    return not req.content_length and "Transfer-Encoding" not in req.headers


StrictParser.DEFAULT_UNKNOWN_BY_LOCATION = {
    **FlaskParser.DEFAULT_UNKNOWN_BY_LOCATION,
    "query": ma.RAISE,
    "json": ma.RAISE,
}


class Blueprint(flask_smorest.Blueprint):  # type: ignore[misc]
    """flask-smorest's blueprint with `StrictParser`, and with types on its decorators."""

    ARGUMENTS_PARSER = StrictParser()

    def route(self, rule: str, **options: Any) -> Callable[[View], View]:
        return cast("Callable[[View], View]", super().route(rule, **options))

    def arguments(self, schema: SchemaOrClass, **options: Any) -> Callable[[View], Callable[..., Any]]:
        # One instance for all calls: webargs would make a new one, with all that is nested in it, for each.
        made = schema() if isinstance(schema, type) else schema
        return cast("Callable[[View], Callable[..., Any]]", super().arguments(made, **options))

    def response(
        self, status_code: int, schema: SchemaOrClass | dict[str, Any] | None = None, **options: Any
    ) -> Callable[[View], Callable[..., Any]]:
        return cast("Callable[[View], Callable[..., Any]]", super().response(status_code, schema, **options))

    def alt_response(self, status_code: int, **options: Any) -> Callable[[View], View]:
        return cast("Callable[[View], View]", super().alt_response(status_code, **options))

    def errorhandler(self, kind: type[Exception]) -> Callable[[View], View]:
        return cast("Callable[[View], View]", super().errorhandler(kind))

    def doc(self, **described: Any) -> Callable[[View], View]:
        return cast("Callable[[View], View]", super().doc(**described))
