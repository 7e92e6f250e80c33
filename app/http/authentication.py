"""Who may call what, for Flask views: `@requires("write")`. The tokens are in `app.platform.tokens`.

A package's routes read:

    blueprint = Blueprint("planning", __name__, url_prefix="/api/custom")   # app.http.blueprints.Blueprint

    @blueprint.route("/events/<event_id>", methods=["PUT"])
    @requires("write")                           # directly below route: before any input is read
    @blueprint.arguments(EventSchema)
    @blueprint.response(200, EventAnswerSchema)
    def put_event(body: dict[str, Any], event_id: str) -> ...:
        return service(PlanningService).put_event(event_id, body)
"""

from __future__ import annotations

import re
from collections.abc import Callable
from copy import deepcopy
from functools import wraps
from typing import Any, Final, ParamSpec, TypeVar, cast

from flask import Flask, current_app, g, request

from app.platform.container import Container
from app.platform.errors import Forbidden, Unauthorized
from app.platform.rate import RateLimit
from app.platform.tokens import SCOPES, Principal, TokenStore

P = ParamSpec("P")
R = TypeVar("R")
S = TypeVar("S")

# domain A1: at least 32 characters of these; no token is longer than 512.
_BEARER: Final = re.compile(r"bearer +([A-Za-z0-9_\-.=+/]{32,512}) *\Z", re.IGNORECASE | re.ASCII)


def provide(container: Container, *, to: Flask) -> None:
    """Let `service` find the container's services; `create_app` calls this once."""
    to.extensions["container"] = container


def service(kind: type[S]) -> S:
    """The application's one service of this class."""
    container: Container = current_app.extensions["container"]
    return container[kind]


def authenticate() -> Principal:
    """Who sent this request. Raises Unauthorized, or Unavailable when the store can't be asked."""
    header = request.headers.get("Authorization")
    if not header:
        raise Unauthorized("A bearer token is needed.", code="token_missing")
    match = _BEARER.match(header)
    found = service(TokenStore).find(match[1]) if match else None
    if found is None:
        raise Unauthorized("The bearer token is not valid.", code="token_invalid")
    return found


def principal() -> Principal:
    """Who is calling; only inside a view that `requires` a scope."""
    return cast("Principal", g.principal)


def still_allowed() -> Callable[[], bool]:
    """For an answer that takes long: a function that says whether the caller's token is still valid. It may be called outside the
    request too. Raises Unavailable then."""
    match = _BEARER.match(request.headers.get("Authorization", ""))
    token, store = match[1] if match else "", service(TokenStore)
    return lambda: store.find(token) is not None


def requires(scope: str) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Let only callers with this scope through: 401 without a valid token, 403 `missing_scope` otherwise.

    Those that pass are counted against the caller's rate. It also says so in the OpenAPI description of the view.
    """
    if scope not in SCOPES:
        raise ValueError(f"no such scope: {scope}")

    def decorate(view: Callable[P, R]) -> Callable[P, R]:
        @wraps(view)
        def guarded(*args: P.args, **kwargs: P.kwargs) -> R:
            g.principal = authenticate()
            if scope not in g.principal.scopes:
                raise Forbidden(f"The token lacks the scope {scope}.", code="missing_scope")
            service(RateLimit).count(g.principal.id)
            return view(*args, **kwargs)

        documented: dict[str, Any] = deepcopy(getattr(view, "_apidoc", {}))
        documented.setdefault("manual_doc", {}).update(
            {"security": [{"bearer": []}], "x-required-scope": scope}
        )
        guarded.__dict__.update(_apidoc=documented, required_scope=scope)
        return guarded

    return decorate
