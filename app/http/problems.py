"""Every error's answer: `application/problem+json` (RFC 9457) that also carries `errors[{title, detail}]`,
which clients of this API are used to."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any, Final

from flask import Flask, Response, g
from werkzeug.exceptions import HTTPException, InternalServerError

from app.platform.errors import Forbidden, InvalidInput, MediaopsError, Unauthorized, Unavailable
from app.platform.log import get_logger
from app.platform.redis import RedisError, store_errors

MEDIA_TYPE: Final = "application/problem+json"
_log = get_logger()

# What werkzeug refuses by itself: a stable code, and a sentence where werkzeug's own doesn't fit this API.
_HTTP: Final[dict[int, tuple[str, str | None]]] = {
    400: ("bad_request", None),
    404: ("not_found", "There is nothing at this address."),
    405: ("method_not_allowed", "This address doesn't take this method."),
    408: ("request_timeout", None),
    413: ("too_large", "The body is larger than this address takes."),
    414: ("query_too_long", None),
    415: ("unsupported_media_type", "The body must be application/json."),
    429: ("rate_limited", None),
}
_UNEXPECTED: Final = "Something went wrong on our side; quote the call id (X-Request-ID) when you report it."


def problem(
    status: int,
    detail: str,
    *,
    code: str,
    title: str | None = None,
    details: Sequence[str] = (),
    field: str | None = None,
    headers: Mapping[str, str] | None = None,
    **more: Any,
) -> Response:
    """One problem answer. `details`: one sentence per wrong field where there are several."""
    shown = title or phrase(status)
    body: dict[str, Any] = {
        "type": f"urn:mediaops-sync:problem:{code}",
        "title": shown,
        "status": status,
        "detail": detail,
        "code": code,
    }
    if field:
        body["field"] = field
    body["callId"] = g.get("call_id")
    body["errors"] = [{"title": shown, "detail": text} for text in details or [detail]]
    response = Response(json.dumps(body | more), status=status, content_type=MEDIA_TYPE)
    response.headers.update(headers or {})
    return response


def register(app: Flask) -> None:
    """Let every exception of `app` end as a problem."""
    app.register_error_handler(MediaopsError, answer_error)
    app.register_error_handler(HTTPException, _answer_http)
    app.register_error_handler(RedisError, _answer_store)
    app.register_error_handler(Exception, _answer_unexpected)


def answer_error(error: MediaopsError) -> Response:
    """An error of our own."""
    return problem(
        error.status,
        error.detail,
        code=error.code,
        title=error.title,
        details=error.details if isinstance(error, InvalidInput) else (),
        field=error.field,
        headers=_headers(error),
    )


def _headers(error: MediaopsError) -> dict[str, str]:
    headers = {}
    if error.retry_after is not None:
        headers["Retry-After"] = str(max(1, math.ceil(error.retry_after)))
    if isinstance(error, Unauthorized):
        given = ', error="invalid_token"' if error.code == "token_invalid" else ""
        headers["WWW-Authenticate"] = f'Bearer realm="mediaops-sync"{given}'
    if isinstance(error, Forbidden) and error.code == "missing_scope":
        headers["WWW-Authenticate"] = 'Bearer realm="mediaops-sync", error="insufficient_scope"'
    return headers


def _answer_http(error: HTTPException) -> Any:
    status = error.code or 500
    if status < 400:  # a redirect to the same address in its proper spelling
        return error
    if isinstance(error, InternalServerError):
        return _answer_unexpected(error.original_exception or error)
    code, sentence = _HTTP.get(status, (phrase(status).lower().replace(" ", "_"), None))
    passed = {
        name: value
        for name, value in error.get_response().headers.items()
        if name in {"Allow", "Retry-After", "WWW-Authenticate"}
    }
    own_words = error.description != type(error).description and error.description
    return problem(
        status,
        own_words or sentence or error.description or phrase(status),
        code=code,
        headers=passed,
    )


def _answer_store(error: RedisError) -> Response:
    """An error of the Redis client that a package let through. That the store is away is no fault of ours."""
    try:
        with store_errors():
            raise error
    except Unavailable as unavailable:
        return answer_error(unavailable)
    except RedisError as fault:
        return _answer_unexpected(fault)


def _answer_unexpected(error: BaseException) -> Response:
    _log.error("request failed unexpectedly", exc_info=error)
    return problem(500, _UNEXPECTED, code="internal")


def phrase(status: int) -> str:
    """The title of a status, as RFC 9110 names it now."""
    names = {413: "Content Too Large", 414: "URI Too Long", 422: "Unprocessable Content"}
    try:
        return names.get(status) or HTTPStatus(status).phrase
    except ValueError:
        return "Error"
