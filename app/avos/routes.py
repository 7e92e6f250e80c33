"""`POST /api/custom/requests`: a generic outgoing request."""

from __future__ import annotations

from typing import Any

from flask import Response, jsonify, request

from app.avos.generic import GenericCall, accept_generic
from app.avos.schemas import GenericRequestSchema
from app.http.authentication import requires, service
from app.http.blueprints import Blueprint
from app.http.idempotency import idempotency
from app.outgoing.model import Idempotency
from app.outgoing.schemas import AcceptedSchema
from app.outgoing.store import OutgoingStore
from app.settings import Settings

generic_blueprint = Blueprint(
    "generic", __name__, url_prefix="/api/custom", description="Requests of callers' own to AVOS."
)


@generic_blueprint.route("/requests", methods=["POST"])
@requires("requests")
@generic_blueprint.arguments(GenericRequestSchema)
@generic_blueprint.response(202, AcceptedSchema)
def create_request(body: dict[str, Any]) -> tuple[Response, int, dict[str, str]]:
    """Queue a request to AVOS. Repeat a call whose answer was lost with the same Idempotency-Key."""
    call = GenericCall(
        method=body["method"],
        path=body["path"],
        body=body.get("body"),
        has_body="body" in body,
        lane=body.get("lane"),
        deadline=body.get("deadline"),
    )
    prefixes = service(Settings).request_prefixes
    key = idempotency(request.get_data(cache=True))
    accepted = accept_generic(service(OutgoingStore), call, prefixes, Idempotency(*key) if key else None)
    location = f"/api/custom/requests/{accepted.request_ids[0]}"
    return jsonify(requestIds=list(accepted.request_ids)), 202, {"Location": location}
