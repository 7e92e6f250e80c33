"""Events and jobs over HTTP. Ids may hold any character; slashes in them are part of the id."""

from __future__ import annotations

from typing import Any

from flask import Response, jsonify, request

from app.http.authentication import requires, service
from app.http.blueprints import Blueprint
from app.http.idempotency import idempotency
from app.outgoing.model import Idempotency
from app.planning.answers import as_json
from app.planning.presentation import ID_NAMES, shown_outcome, shown_record
from app.planning.records import ChangeOutcome, Kind, etag
from app.planning.schemas import (
    DeleteQuerySchema,
    EventAnswerSchema,
    EventGoneSchema,
    EventListSchema,
    EventSchema,
    JobAnswerSchema,
    JobGoneSchema,
    JobListSchema,
    JobSchema,
    MessagesSchema,
    PlanningListSchema,
    ResultsSchema,
    split_version,
)
from app.planning.service import PlanningService
from app.platform.etags import check_if_match
from app.platform.inputs import check_identifier

planning_blueprint = Blueprint(
    "planning", __name__, url_prefix="/api/custom", description="Events and jobs, as planning sends them."
)


@planning_blueprint.route("/events", methods=["GET"])
@requires("read")
@planning_blueprint.arguments(PlanningListSchema, location="query")
@planning_blueprint.response(200, EventListSchema)
def list_events(query: dict[str, Any]) -> Response:
    """Events in the order of their creation."""
    return _list("event", query)


@planning_blueprint.route("/jobs", methods=["GET"])
@requires("read")
@planning_blueprint.arguments(PlanningListSchema, location="query")
@planning_blueprint.response(200, JobListSchema)
def list_jobs(query: dict[str, Any]) -> Response:
    """Jobs in the order of their creation."""
    return _list("job", query)


@planning_blueprint.route("/events/<path:event_id>", methods=["PUT"], merge_slashes=False)
@requires("write")
@planning_blueprint.arguments(EventSchema)
@planning_blueprint.response(200, EventAnswerSchema)
@planning_blueprint.alt_response(201, schema=EventAnswerSchema, description="It wasn't known before.")
def put_event(body: dict[str, Any], event_id: str) -> Response:
    """Store an event; what it changes at AVOS is queued in the same step."""
    return _put("event", event_id, body)


@planning_blueprint.route("/jobs/<path:job_id>", methods=["PUT"], merge_slashes=False)
@requires("write")
@planning_blueprint.arguments(JobSchema)
@planning_blueprint.response(200, JobAnswerSchema)
@planning_blueprint.alt_response(201, schema=JobAnswerSchema, description="It wasn't known before.")
def put_job(body: dict[str, Any], job_id: str) -> Response:
    """Store a job. Its event may come later: `eventKnown` is false until then."""
    return _put("job", job_id, body)


@planning_blueprint.route("/events/<path:event_id>", methods=["GET"], merge_slashes=False)
@requires("read")
@planning_blueprint.response(200, EventAnswerSchema)
def get_event(event_id: str) -> Response:
    """One event, with its ETag."""
    return _get("event", event_id)


@planning_blueprint.route("/jobs/<path:job_id>", methods=["GET"], merge_slashes=False)
@requires("read")
@planning_blueprint.response(200, JobAnswerSchema)
def get_job(job_id: str) -> Response:
    """One job, with its ETag."""
    return _get("job", job_id)


@planning_blueprint.route("/events/<path:event_id>", methods=["DELETE"], merge_slashes=False)
@requires("write")
@planning_blueprint.arguments(DeleteQuerySchema, location="query")
@planning_blueprint.response(200, EventGoneSchema)
def delete_event(query: dict[str, Any], event_id: str) -> Response:
    """Forget an event. Registrations of its livestreams stay, orphaned."""
    return _delete("event", event_id, query)


@planning_blueprint.route("/jobs/<path:job_id>", methods=["DELETE"], merge_slashes=False)
@requires("write")
@planning_blueprint.arguments(DeleteQuerySchema, location="query")
@planning_blueprint.response(200, JobGoneSchema)
def delete_job(query: dict[str, Any], job_id: str) -> Response:
    """Forget a job; the event's job updated before it counts again, if there is one."""
    return _delete("job", job_id, query)


@planning_blueprint.route("/messages", methods=["POST"])
@requires("write")
@planning_blueprint.arguments(MessagesSchema)
@planning_blueprint.response(200, ResultsSchema)
def post_messages(body: dict[str, Any]) -> Response:
    """Many events and jobs in one call, each on its own: an answer per item, in their order."""
    results = service(PlanningService).messages(body["messages"], idempotency=_idempotency())
    return jsonify(results=[as_json(result) for result in results])


def _list(kind: Kind, query: dict[str, Any]) -> Response:
    page = service(PlanningService).page(kind, query["limit"], query.get("cursor"))
    items = [shown_record(kind, identifier, record) for identifier, record in page.items]
    return jsonify({f"{kind}s": items, "next": page.next})


def _put(kind: Kind, identifier: str, loaded: dict[str, Any]) -> Response:
    check_identifier(identifier, ID_NAMES[kind])
    body, version = split_version(loaded)
    outcome = service(PlanningService).put(
        kind,
        identifier,
        body,
        source_version=version,
        if_match=request.headers.get("If-Match"),
        idempotency=_idempotency(),
    )
    return _answer(kind, outcome)


def _get(kind: Kind, identifier: str) -> Response:
    check_identifier(identifier, ID_NAMES[kind])
    record = service(PlanningService).get(kind, identifier)
    current = etag(record)
    check_if_match(current, request.headers.get("If-Match"))
    answer = jsonify(shown_record(kind, identifier, record))
    answer.set_etag(current)
    if request.if_none_match.contains_weak(current):
        answer.status_code = 304
    return answer


def _delete(kind: Kind, identifier: str, query: dict[str, Any]) -> Response:
    check_identifier(identifier, ID_NAMES[kind])
    outcome = service(PlanningService).delete(
        kind,
        identifier,
        source_version=query.get("sourceVersion"),
        if_match=request.headers.get("If-Match"),
        idempotency=_idempotency(),
    )
    return _answer(kind, outcome)


def _answer(kind: Kind, outcome: ChangeOutcome) -> Response:
    answer = jsonify(shown_outcome(kind, outcome))
    answer.status_code = 201 if outcome.created else 200
    if outcome.record.exists:
        answer.set_etag(etag(outcome.record))
    return answer


def _idempotency() -> Idempotency | None:
    found = idempotency(request.get_data(cache=True))
    return Idempotency(*found) if found else None
