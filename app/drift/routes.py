"""What the audit has found, a check on demand, and the preview of one content media."""

from __future__ import annotations

from typing import Any

from flask import Response, jsonify

from app.avos.drift import DriftState
from app.drift.presentation import shown_preview, shown_result, shown_round
from app.drift.schemas import CheckQuerySchema, DriftListSchema, DriftQuerySchema, DriftSchema, PreviewSchema
from app.drift.service import DriftService
from app.http.authentication import principal, requires, service
from app.http.blueprints import Blueprint
from app.outgoing.attempts import CallFailed
from app.outgoing.service import RequestService
from app.platform.errors import Unavailable

drift_blueprint = Blueprint(
    "drift", __name__, url_prefix="/api/custom", description="What AVOS shows, beside what planning wants."
)


@drift_blueprint.route("/drift", methods=["GET"])
@requires("read")
@drift_blueprint.arguments(DriftQuerySchema, location="query")
@drift_blueprint.response(200, DriftListSchema)
def list_drift(query: dict[str, Any]) -> Response:
    """What was found last at each content media near its event: in_step, drifted, not_observable, unreadable."""
    state = query.get("state")
    page = service(DriftService).page(
        DriftState(state) if state else None, query["limit"], query.get("cursor")
    )
    now = service(DriftService).results.round()
    return jsonify(
        drift=[shown_result(result) for result in page.items], next=page.next, round=shown_round(now)
    )


@drift_blueprint.route("/drift/check", methods=["POST"])
@requires("operate")
@drift_blueprint.arguments(CheckQuerySchema, location="query")
@drift_blueprint.response(200, DriftSchema)
def check_drift(query: dict[str, Any]) -> Response:
    """Compare one content media now. 409 while something of it is on its way; 503 while AVOS is away."""
    media = query["contentMediaId"]
    try:
        result = service(DriftService).check(media)
    except CallFailed as failed:
        raise Unavailable(
            f"AVOS can't be read now ({failed.error.code}): {failed.error.detail}", code="avos_unavailable"
        ) from failed
    service(RequestService).write_down(principal().name, "check drift", media)
    return jsonify(shown_result(result))


@drift_blueprint.route("/contentmedia/<path:content_media_id>/preview", methods=["GET"])
@requires("read")
@drift_blueprint.response(200, PreviewSchema)
def show_preview(content_media_id: str) -> Response:
    """Both PATCHes as an update would send them now, each member beside what AVOS shows."""
    answer = jsonify(shown_preview(service(DriftService).preview(content_media_id)))
    answer.headers["Cache-Control"] = "no-store"
    return answer
