"""The fleet at a glance, one content media's timeline, hold and release, and `why` for any id."""

from __future__ import annotations

from typing import Any

from flask import Response, jsonify

from app.fleet.presentation import shown_finding, shown_hold, shown_member
from app.fleet.schemas import (
    FleetQuerySchema,
    FleetSchema,
    HoldListSchema,
    HoldSchema,
    TimelineSchema,
    WhySchema,
)
from app.fleet.service import FleetFilter, FleetService, FleetState
from app.fleet.why import Why
from app.http.authentication import principal, requires, service
from app.http.blueprints import Blueprint
from app.outgoing.presentation import shown_timeline_entry
from app.outgoing.service import RequestService
from app.platform.inputs import PageSchema

fleet_blueprint = Blueprint(
    "contentmedia", __name__, url_prefix="/api/custom", description="Content media: in step or not, and why."
)


@fleet_blueprint.route("/contentmedia", methods=["GET"])
@requires("read")
@fleet_blueprint.arguments(FleetQuerySchema, location="query")
@fleet_blueprint.response(200, FleetSchema)
def list_content_media(query: dict[str, Any]) -> Response:
    """Every registered content media by id: in_step, behind, failing or orphaned."""
    state = query.get("state")
    wanted = FleetFilter(
        state=FleetState(state) if state else None,
        livestream_id=query.get("livestreamId"),
        event_id=query.get("eventId"),
        name=query.get("name"),
    )
    page = service(FleetService).page(wanted, query["limit"], query.get("cursor"))
    return jsonify(contentmedia=[shown_member(member) for member in page.items], next=page.next)


@fleet_blueprint.route("/holds", methods=["GET"])
@requires("read")
@fleet_blueprint.arguments(PageSchema, location="query")
@fleet_blueprint.response(200, HoldListSchema)
def list_holds(query: dict[str, Any]) -> Response:
    """What operators hold, since when and by whom, the longest held first; also what isn't registered any more."""
    page = service(FleetService).holds(query["limit"], query.get("cursor"))
    return jsonify(holds=[shown_hold(held) for held in page.items], next=page.next)


@fleet_blueprint.route("/contentmedia/<path:content_media_id>/timeline", methods=["GET"])
@requires("read")
@fleet_blueprint.arguments(PageSchema, location="query")
@fleet_blueprint.response(200, TimelineSchema)
def show_timeline(query: dict[str, Any], content_media_id: str) -> Response:
    """What happened to a content media, newest first."""
    page = service(RequestService).timeline(content_media_id, query["limit"], query.get("cursor"))
    if not page.items and "cursor" not in query:
        service(FleetService).check_known(content_media_id)
    return jsonify(timeline=[shown_timeline_entry(entry) for entry in page.items], next=page.next)


@fleet_blueprint.route("/contentmedia/<path:content_media_id>/hold", methods=["POST"])
@requires("operate")
@fleet_blueprint.response(200, HoldSchema)
def hold(content_media_id: str) -> Response:
    """Keep planning's changes waiting, losing none, until it is released."""
    service(FleetService).check_known(content_media_id)
    changed = service(RequestService).hold(content_media_id, principal().name)
    return jsonify(contentMediaId=content_media_id, held=True, changed=changed)


@fleet_blueprint.route("/contentmedia/<path:content_media_id>/release", methods=["POST"])
@requires("operate")
@fleet_blueprint.response(200, HoldSchema)
def release(content_media_id: str) -> Response:
    """Send what waited: of each field only the newest value."""
    service(FleetService).check_known(content_media_id)
    changed = service(RequestService).release(content_media_id, principal().name)
    return jsonify(contentMediaId=content_media_id, held=False, changed=changed)


@fleet_blueprint.route("/why/<path:identifier>", methods=["GET"])
@requires("read")
@fleet_blueprint.response(200, WhySchema)
def why(identifier: str) -> Response:
    """What is going on with whatever has this id, or has it in its name: what it is, and each cause of its not being in
    step, with since when, what happens next by itself, and what to do."""
    findings = service(Why).explain(identifier)
    return jsonify(id=identifier, findings=[shown_finding(finding) for finding in findings])
