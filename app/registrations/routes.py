"""The four registration endpoints."""

from __future__ import annotations

from typing import Any

from flask import Response, jsonify, request
from werkzeug.exceptions import MethodNotAllowed

from app.http.authentication import requires, service
from app.http.blueprints import Blueprint
from app.http.idempotency import idempotency
from app.outgoing.model import Idempotency
from app.registrations.records import Pair
from app.registrations.schemas import (
    ActiveSchema,
    ContentMediaSchema,
    LivestreamQuerySchema,
    PairQuerySchema,
    QueuedSchema,
    RegistrationSchema,
    shown_outcome,
)
from app.registrations.service import RegistrationService

registrations_blueprint = Blueprint(
    "registrations",
    __name__,
    url_prefix="/api/custom/livestreams",
    description="Which livestream is shown as which content media.",
)


@registrations_blueprint.route("/registrations", methods=["POST"])
@requires("write")
@registrations_blueprint.arguments(LivestreamQuerySchema, location="query")
@registrations_blueprint.arguments(ContentMediaSchema)
@registrations_blueprint.response(200, RegistrationSchema)
@registrations_blueprint.alt_response(201, schema=RegistrationSchema, description="Created or reactivated.")
def register(query: dict[str, Any], body: dict[str, Any]) -> Response:
    """Link a livestream to a content media; its update is queued too."""
    pair = Pair(query["livestreamId"], body["contentMediaId"])
    outcome = service(RegistrationService).register(pair, _idempotency())
    answer = jsonify(shown_outcome(outcome))
    answer.status_code = 201 if outcome.created else 200
    return answer


@registrations_blueprint.route("/registrations", methods=["DELETE"])
@requires("write")
@registrations_blueprint.arguments(PairQuerySchema, location="query")
@registrations_blueprint.response(200, RegistrationSchema)
def unregister(query: dict[str, Any]) -> Response:
    """End the link and its open requests; the record stays with `deletedAt`."""
    pair = Pair(query["livestreamId"], query["contentMediaId"])
    return jsonify(shown_outcome(service(RegistrationService).unregister(pair, _idempotency())))


@registrations_blueprint.route("/registrations/active", methods=["GET"])
@requires("read")
@registrations_blueprint.response(200, ActiveSchema)
def active() -> Response:
    """All links that aren't deleted, by livestream."""
    pairs = service(RegistrationService).active()
    return jsonify(
        activeLivestreams=[
            {"livestreamId": pair.livestream_id, "contentMediaId": pair.content_media_id} for pair in pairs
        ]
    )


@registrations_blueprint.route("/update", methods=["GET"])
@requires("write")
@registrations_blueprint.arguments(ContentMediaSchema, location="query")
@registrations_blueprint.response(202, QueuedSchema)
def force_update(query: dict[str, Any]) -> Response:
    """Queue both PATCHes of a content media, changed or not. `Location` is the one that is sent last."""
    if request.method == "HEAD":  # Flask lets HEAD into every GET, and this one writes
        raise MethodNotAllowed(["GET"])
    request_ids = service(RegistrationService).force_update(query["contentMediaId"])
    answer = jsonify(contentMediaId=query["contentMediaId"], requestIds=request_ids)
    answer.status_code = 202
    answer.headers["Location"] = f"/api/custom/requests/{request_ids[-1]}"
    answer.headers["Cache-Control"] = "no-store"
    return answer


def _idempotency() -> Idempotency | None:
    found = idempotency(request.get_data(cache=True))
    return Idempotency(*found) if found else None
