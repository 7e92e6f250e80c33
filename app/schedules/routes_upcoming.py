"""`/api/custom/schedules`: what fires next, of all accounts, and the secrets of their notices; for operators."""

from __future__ import annotations

from typing import Any

import marshmallow as ma
from flask import Response, jsonify

from app.http.authentication import principal, requires, service
from app.http.blueprints import Blueprint
from app.platform.audit import AuditTrail
from app.platform.clock import rfc3339
from app.platform.inputs import AnswerSchema, Instant, Schema, check_identifier
from app.schedules.records import shown
from app.schedules.schemas import WorkflowSchema
from app.schedules.secrets import NoticeSecrets
from app.schedules.store import ScheduleStore, Upcoming

upcoming_blueprint = Blueprint(
    "upcoming", __name__, url_prefix="/api/custom/schedules", description="What schedules do next."
)


class UpcomingQuerySchema(Schema):
    hours = ma.fields.Float(load_default=24.0, validate=ma.validate.Range(0, 24 * 366))
    limit = ma.fields.Integer(load_default=100, validate=ma.validate.Range(1, 1000))


class UpcomingSchema(AnswerSchema):
    at = Instant(required=True)
    what = ma.fields.String(required=True)
    workflow = ma.fields.Nested(WorkflowSchema, required=True)


class NoticeSecretSchema(Schema):
    account = ma.fields.String(required=True)
    secret = ma.fields.String(required=True, metadata={"description": "Shown this once."})


class UpcomingListSchema(Schema):
    upcoming = ma.fields.List(ma.fields.Nested(UpcomingSchema), required=True)


@upcoming_blueprint.route("/upcoming", methods=["GET"])
@requires("read")
@upcoming_blueprint.arguments(UpcomingQuerySchema, location="query")
@upcoming_blueprint.response(200, UpcomingListSchema)
def upcoming(query: dict[str, Any]) -> Response:
    """What fires within so many hours, the next first."""
    found = service(ScheduleStore).upcoming(query["hours"], query["limit"])
    return jsonify(upcoming=[_shown(one) for one in found])


@upcoming_blueprint.route("/accounts/<account>/secret/rotate", methods=["POST"])
@requires("admin")
@upcoming_blueprint.response(200, NoticeSecretSchema)
def rotate_secret(account: str) -> Response:
    """A new secret by which the account's notices are signed; the one before stays valid for a day."""
    secret = service(NoticeSecrets).rotate(check_identifier(account, "account"))
    service(AuditTrail).write_down(principal().name, "rotate secret of notices", account)
    return jsonify(account=account, secret=secret)


def _shown(one: Upcoming) -> dict[str, Any]:
    return {"at": rfc3339(one.at), "what": one.what, "workflow": shown(one.workflow)}
