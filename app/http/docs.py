"""`/`: where things are. `/docs`: Swagger UI from files of our own; nothing is loaded from elsewhere."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from flask import Blueprint, Response, jsonify, request

STATIC: Final = Path(__file__).parent / "static"
# Swagger UI draws icons from data: URLs in its own style sheet.
_CSP: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)

LINKS: Final = {
    "documentation": "/docs",
    "description": "/openapi.json",
    "health": "/healthz",
    "readiness": "/readyz",
    "metrics": "/metrics",
}
docs_blueprint = Blueprint("docs", __name__, static_folder=STATIC, static_url_path="/docs/static")


@docs_blueprint.get("/")
def home() -> Response:
    """Where things are: a page for a browser, JSON for a program."""
    wanted = request.accept_mimetypes.best_match(["application/json", "text/html"], "application/json")
    if wanted == "text/html":
        response = Response((STATIC / "home.html").read_text(), mimetype="text/html")
    else:
        response = jsonify(name="mediaops-sync", links=LINKS)
    response.vary.add("Accept")
    return response


@docs_blueprint.get("/docs")
def docs() -> Response:
    response = Response((STATIC / "docs.html").read_text(), mimetype="text/html")
    response.headers["Content-Security-Policy"] = _CSP
    return response
