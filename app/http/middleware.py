"""What is done for every call: call id, size limits, refused query parameters, headers, one log line."""

from __future__ import annotations

import re
import time
import uuid
from typing import Any, Final
from urllib.parse import unquote_to_bytes

import structlog
from flask import Flask, Response, current_app, g, request
from werkzeug.exceptions import RequestEntityTooLarge, RequestURITooLarge

from app.platform.errors import BadRequest, InvalidInput
from app.platform.inputs import identifier_fault
from app.platform.log import get_logger
from app.platform.redis import patience
from app.settings import Settings

SMALL_BODY: Final = 1024 * 1024
LONGEST_QUERY: Final = 4_000
BULK_PATHS: Final = re.compile(r"/api/custom/messages|/api/events/[^/]+")
_CALL_ID: Final = re.compile(r"[A-Za-z0-9_.:-]{1,128}\Z", re.ASCII)
_CSP: Final = "default-src 'none'; frame-ancestors 'none'"
_log = get_logger()


def register(app: Flask, settings: Settings) -> None:
    """Put the middleware around every view of `app`."""

    def limit_body() -> None:
        limit = settings.max_body_bytes if BULK_PATHS.fullmatch(request.path) else SMALL_BODY
        # Bodies without a length (chunked) are cut off while they are read; one more byte shows that they were.
        request.max_content_length = limit + 1
        if (request.content_length or 0) > limit:
            raise RequestEntityTooLarge(f"The body has more than {limit} bytes.")

    app.before_request(_begin)
    app.teardown_request(_let_go)
    app.before_request(_check_query)
    app.before_request(limit_body)
    app.before_request(_check_path_ids)
    app.before_request(_check_query_names)
    app.after_request(_end)


def _begin() -> None:
    given = request.headers.get("X-Request-ID", "")
    g.call_id = given if _CALL_ID.match(given) else uuid.uuid4().hex
    g.began = time.monotonic()
    g.patience = patience()
    g.patience.__enter__()
    structlog.contextvars.clear_contextvars()
    structlog.contextvars.bind_contextvars(call_id=g.call_id)


def _let_go(error: BaseException | None) -> None:  # noqa: ARG001 - Flask's signature
    """The call is over; what is streamed after it may wait for the store as long as it needs."""
    if "patience" in g:
        g.pop("patience").__exit__(None, None, None)


def _check_query() -> None:
    if len(request.query_string) > LONGEST_QUERY:
        raise RequestURITooLarge(f"The query has more than {LONGEST_QUERY} bytes.")
    try:
        unquote_to_bytes(request.query_string).decode()
    except UnicodeDecodeError as error:  # werkzeug would leave such bytes as they are: %FF would mean %25FF
        raise BadRequest("The query is not UTF-8.", code="invalid_query") from error


def _check_path_ids() -> None:
    for name, value in (request.view_args or {}).items():
        if isinstance(value, str) and (fault := identifier_fault(value)):
            raise InvalidInput([(camel(name), fault)])


def _check_query_names() -> None:
    """Refuse query parameters that the view doesn't declare: a misspelt filter must not mean "all"."""
    view = current_app.view_functions.get(request.endpoint or "")
    if not request.args or not hasattr(view, "required_scope"):
        return
    known = _declared_query(view)
    for name in request.args:
        if name not in known:
            offered = f"known ones: {', '.join(sorted(known))}" if known else "this address takes none"
            raise BadRequest(
                f"Unknown query parameter {name[:80]!r}; {offered}.",
                code="unknown_parameter",
                field=name[:80],
            )


def _declared_query(view: Any) -> set[str]:
    names: set[str] = set()
    for parameter in getattr(view, "_apidoc", {}).get("arguments", {}).get("parameters", []):
        if parameter["in"] == "query":
            schema = parameter["schema"]
            fields = (schema() if isinstance(schema, type) else schema).fields
            names |= {field.data_key or name for name, field in fields.items()}
    return names


def _end(response: Response) -> Response:
    headers = response.headers
    headers["X-Request-ID"] = g.get("call_id", "")
    headers["X-Content-Type-Options"] = "nosniff"
    headers["X-Frame-Options"] = "DENY"
    headers["Referrer-Policy"] = "no-referrer"
    headers["Cross-Origin-Resource-Policy"] = "same-origin"
    headers.setdefault("Content-Security-Policy", _CSP)
    headers.setdefault("Cache-Control", "no-store")
    _log_call(response)
    return response


def _log_call(response: Response) -> None:
    """One line a call, with who called; never a header, a query or a body, which may contain secrets."""
    caller = g.get("principal")
    quiet = request.endpoint in {"health.healthz", "health.readyz", "metrics.metrics"}
    (_log.debug if quiet and response.status_code < 400 else _log.info)(
        "call",
        method=request.method,
        path=request.path[:300],
        status=response.status_code,
        ms=round((time.monotonic() - g.get("began", time.monotonic())) * 1000, 1),
        caller=caller.name if caller else None,
        caller_id=caller.id if caller else None,
    )


def camel(name: str) -> str:
    """`event_id` as callers write it: `eventId`."""
    head, *rest = name.split("_")
    return head + "".join(part.capitalize() for part in rest)
