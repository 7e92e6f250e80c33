"""Publishing to the event log, reading it, following it, and what there is to publish."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import flask
from flask import Response, jsonify, request

from app.events.catalogue import TOPICS, Topic, check_names, publishable, topic_of
from app.events.descriptions import described
from app.events.envelope import RefusedEvent, split
from app.events.families import SCHEMAS
from app.events.log import Entry, EventLog, LogPage, Published, Repeatable
from app.events.schemas import (
    CatalogueSchema,
    EntryListSchema,
    EpochSchema,
    ReadQuerySchema,
    ResultListSchema,
    StreamQuerySchema,
)
from app.events.streams import Cursor, EventStreams, StreamRequest
from app.http.authentication import principal, requires, service, still_allowed
from app.http.blueprints import Blueprint, json_body
from app.http.idempotency import idempotency
from app.platform.audit import AuditTrail
from app.platform.clock import from_ms, rfc3339, to_ms
from app.platform.connections import hold_little
from app.platform.errors import InvalidInput, MediaopsError, TooLarge

events_blueprint = Blueprint(
    "event-log",
    __name__,
    url_prefix="/api/events",
    description="What happens, by topic: publish, read, follow.",
)
Answer = tuple[Response, int, dict[str, str]]
_SHOWN_PROBLEMS: Final = 20
_ONE: Final[Mapping[str, Any]] = {"oneOf": [type(schema) for schema in SCHEMAS.values()]}
_BODY: Final = {
    "required": True,
    "content": {"application/json": {"schema": {"oneOf": [_ONE, {"type": "array", "items": _ONE}]}}},
}


@events_blueprint.route("/catalogue", methods=["GET"])
@requires("read")
@events_blueprint.response(200, CatalogueSchema)
def catalogue() -> Response:
    """Every topic, event name and family, and what is gone since 2.x."""
    return jsonify(described())


@events_blueprint.route("/epoch", methods=["POST"])
@requires("admin")
@events_blueprint.response(200, EpochSchema)
def begin_epoch() -> Response:
    """Say that the store was restored from a copy: sequences that were given out since the copy are given
    out again, so that those who follow the log learn that they have to look back."""
    epoch = service(EventLog).begin_epoch()
    service(AuditTrail).write_down(principal().name, "begin epoch", epoch)
    return jsonify(epoch=epoch)


@events_blueprint.route("/<topic>", methods=["POST"])
@requires("write")
@events_blueprint.doc(requestBody=_BODY)
@events_blueprint.response(202, ResultListSchema)
def publish(topic: str) -> Answer:
    """One event or an array of at most 1,000, of at most 1 MiB each. What the envelope lacks is filled in;
    everything else is passed on byte for byte. A guid that comes again within 24 hours is answered as the
    first time."""
    publishable(topic)
    body = json_body(request)
    events, several = split(body)
    key = idempotency(body)
    answers = service(EventLog).publish(topic, events, principal().name, Repeatable(*key) if key else None)
    refused = [answer for answer in answers if isinstance(answer, RefusedEvent)]
    if len(refused) == len(answers):
        raise _all_refused(refused) if several else refused[0].error
    first = min(answer.sequence for answer in answers if isinstance(answer, Published))
    location = f"/api/events/{topic}?after={first - 1}"
    return jsonify(results=[_result(answer) for answer in answers]), 202, {"Location": location}


def _result(answer: Published | RefusedEvent) -> Mapping[str, Any]:
    if isinstance(answer, Published):
        return {"guid": answer.guid, "sequence": answer.sequence}
    error = answer.error
    texts = [f"{field}: {text}" if field else text for field, text in answer.problems]
    return {
        "index": answer.index,
        "status": error.status,
        "code": error.code,
        "errors": [{"title": error.title, "detail": text} for text in texts[:_SHOWN_PROBLEMS]],
    }


def _all_refused(refused: list[RefusedEvent]) -> MediaopsError:
    """One problem that names each item's fields."""
    if all(isinstance(one.error, TooLarge) for one in refused):
        return refused[0].error
    problems = [
        (f"[{one.index}].{field}" if field else f"[{one.index}]", text)
        for one in refused
        for field, text in one.problems
    ]
    error = InvalidInput([*problems[:_SHOWN_PROBLEMS]])
    codes = {one.error.code for one in refused}
    error.code = codes.pop() if len(codes) == 1 else error.code
    return error


@events_blueprint.route("/<topic>", methods=["GET"])
@requires("read")
@events_blueprint.arguments(ReadQuerySchema, location="query")
@events_blueprint.response(200, EntryListSchema)
def read(query: Mapping[str, Any], topic: str) -> Response:
    """A page of the topic's log, oldest first. Ask again with `after` = `next`; nothing new leaves `events`
    empty."""
    names = check_names(topic_of(topic), query["eventName"], "eventName")
    since = query.get("since")
    log = service(EventLog)
    page = log.read(
        topic,
        query.get("after"),
        since_ms=to_ms(since) if since else None,
        names=names,
        limit=query["limit"],
    )
    return Response(_page(page, log.epoch()), mimetype="application/json")


def _page(page: LogPage, epoch: str) -> bytes:
    """By hand: the events go out as they came in."""
    missed = flask.json.dumps({"from": page.missed[0], "to": page.missed[1]} if page.missed else None)
    tail = f'],"next":{page.next},"last":{page.last},"missed":{missed},"epoch":"{epoch}"}}\n'
    return b'{"events":[' + b",".join(map(_entry, page.entries)) + tail.encode()


def _entry(entry: Entry) -> bytes:
    head = f'{{"sequence":{entry.sequence},"publishedAt":"{rfc3339(from_ms(entry.at_ms))}","event":'
    return head.encode() + entry.event + b"}"


@events_blueprint.route("/stream", methods=["GET"])
@requires("read")
@events_blueprint.arguments(StreamQuerySchema, location="query")
@events_blueprint.response(
    200,
    {"type": "string"},
    content_type="text/event-stream",
    description="Server-sent events, without an end.",
)
def stream(query: Mapping[str, Any]) -> Response:
    """Follow topics as server-sent events. Each has `{"topic", "sequence", "event"}` as data and an `id`
    with which the stream goes on (`Last-Event-ID`); `event: gap`: something was missed."""
    resume = request.headers.get("Last-Event-ID")
    since = query.get("since")
    wanted = StreamRequest(
        _chosen(query["topic"], query["eventName"]),
        Cursor.read(resume) if resume else None,
        to_ms(since) if since else None,
    )
    started = service(EventStreams).begin(wanted, hold_little(request.environ))
    response = Response(started.blocks(still_allowed()), mimetype="text/event-stream")
    response.headers["X-Accel-Buffering"] = "no"  # proxies that hold answers back until they are whole
    response.call_on_close(started.close)
    return response


def _chosen(topics: list[str], names: list[str]) -> dict[str, frozenset[str]]:
    """Topics to follow, with the names wanted of each. Raises BadRequest for a topic or a name that there
    isn't."""
    chosen: list[Topic] = [topic_of(name) for name in topics] or list(TOPICS.values())
    if not names:
        return {topic.name: frozenset() for topic in chosen}
    wanted = {topic.name: frozenset(names) & frozenset(topic.events) for topic in chosen}
    unknown = [name for name in names if not any(name in found for found in wanted.values())]
    if unknown:
        raise InvalidInput([("eventName", f"None of these topics has an event {unknown[0][:100]!r}.")])
    return {topic: found for topic, found in wanted.items() if found}
