"""Looking at outgoing requests and acting on them, one or all that match."""

from __future__ import annotations

from typing import Any, Literal

from flask import Response, jsonify

from app.events.subscriptions import destinations as subscribed
from app.events.subscriptions.service import SubscriptionService
from app.http.authentication import principal, requires, service
from app.http.blueprints import Blueprint
from app.outgoing.long_poll import wait_for_end
from app.outgoing.model import State
from app.outgoing.operations import Operations
from app.outgoing.presentation import shown_destination, shown_operation, shown_request
from app.outgoing.records import RequestFilter
from app.outgoing.schemas import (
    BulkFilterSchema,
    DestinationListSchema,
    DestinationSchema,
    FilterSchema,
    OperationSchema,
    RecordListSchema,
    RecordSchema,
    RequestListSchema,
    WaitQuerySchema,
)
from app.outgoing.service import RequestService
from app.platform.errors import InvalidInput

requests_blueprint = Blueprint(
    "requests", __name__, url_prefix="/api/custom", description="Outgoing requests and destinations."
)
Answer = tuple[Response, int, dict[str, str]]


@requests_blueprint.route("/requests", methods=["GET"])
@requires("read")
@requests_blueprint.arguments(RequestListSchema, location="query")
@requests_blueprint.response(200, RecordListSchema)
def list_requests(query: dict[str, Any]) -> Response:
    """Newest first. A page may be shorter than its limit and have a next one all the same."""
    limit, cursor = query.pop("limit"), query.pop("cursor", None)
    page = service(RequestService).search(_filter(query), limit, cursor)
    return jsonify(requests=[shown_request(record) for record in page.items], next=page.next)


@requests_blueprint.route("/requests/<request_id>", methods=["GET"])
@requires("read")
@requests_blueprint.arguments(WaitQuerySchema, location="query")
@requests_blueprint.response(200, RecordSchema)
def get_request(query: dict[str, Any], request_id: str) -> Response:
    """One record with every attempt; with `wait` once its state is final, or as it is then."""
    requests = service(RequestService)
    wait_for_end(lambda: requests.state(request_id), query["wait"])
    return jsonify(shown_request(requests.get(request_id)))


@requests_blueprint.route("/requests/<request_id>/retry", methods=["POST"])
@requires("operate")
@requests_blueprint.response(202, RecordSchema)
def retry_request(request_id: str) -> Answer:
    """Try it again: its age starts anew and its deadline is waived."""
    record = service(RequestService).retry(request_id, principal().name)
    return jsonify(shown_request(record)), 202, {"Location": f"/api/custom/requests/{request_id}"}


@requests_blueprint.route("/requests/<request_id>/discard", methods=["POST"])
@requires("operate")
@requests_blueprint.response(200, RecordSchema)
def discard_request(request_id: str) -> Response:
    """Never send it; the record stays in the history."""
    return jsonify(shown_request(service(RequestService).discard(request_id, principal().name)))


@requests_blueprint.route("/requests/<any(retry, discard):verb>", methods=["POST"])
@requires("operate")
@requests_blueprint.arguments(BulkFilterSchema)
@requests_blueprint.arguments(FilterSchema, location="query")
@requests_blueprint.response(202, OperationSchema)
def start_operation(body: dict[str, Any], query: dict[str, Any], verb: str) -> Answer:
    """Retry or discard all that match the list's filter, given in the query or as a JSON body."""
    if body and query:
        raise InvalidInput([(next(iter(query)), "Give the filter in the query or in the body, not in both.")])
    wanted = body or query
    if verb == "discard" and not wanted:
        raise InvalidInput([(None, "Discarding everything is refused: name a state or another criterion.")])
    operation = service(Operations).start(verb, _filter(wanted), principal().name)
    return jsonify(shown_operation(operation)), 202, {"Location": f"/api/custom/operations/{operation.id}"}


@requests_blueprint.route("/operations/<operation_id>", methods=["GET"])
@requires("read")
@requests_blueprint.response(200, OperationSchema)
def get_operation(operation_id: str) -> Response:
    """How far a verb on all that match has come."""
    return jsonify(shown_operation(service(Operations).get(operation_id)))


@requests_blueprint.route("/destinations", methods=["GET"])
@requires("read")
@requests_blueprint.response(200, DestinationListSchema)
def list_destinations() -> Response:
    """Each destination: paused or not, what waits, is live and has failed. Subscriptions are `sub:{id}`."""
    own = [shown_destination(status) for status in service(RequestService).destinations()]
    subscriptions = subscribed.destinations(service(SubscriptionService))
    return jsonify(destinations=[*own, *subscriptions], next=None)


@requests_blueprint.route("/destinations/<name>/pause", methods=["POST"])
@requires("operate")
@requests_blueprint.response(200, DestinationSchema)
def pause_destination(name: str) -> Response:
    """Send nothing more to it until it is resumed; nothing is lost or grows old."""
    return _switch(name, "pause")


@requests_blueprint.route("/destinations/<name>/resume", methods=["POST"])
@requires("operate")
@requests_blueprint.response(200, DestinationSchema)
def resume_destination(name: str) -> Response:
    """Go on with what waited."""
    return _switch(name, "resume")


def _switch(name: str, verb: Literal["pause", "resume"]) -> Response:
    actor = principal().name
    if name.startswith(subscribed.PREFIX):
        return jsonify(subscribed.switch(service(SubscriptionService), name, verb, actor))
    requests = service(RequestService)
    return jsonify(shown_destination((requests.pause if verb == "pause" else requests.resume)(name, actor)))


def _filter(wanted: dict[str, Any]) -> RequestFilter:
    state = wanted.get("state")
    return RequestFilter(
        state=State(state) if state else None,
        content_media_id=wanted.get("contentMediaId"),
        method=wanted.get("method"),
        error=wanted.get("error"),
        created_after=wanted.get("createdAfter"),
    )
