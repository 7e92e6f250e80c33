"""`/v1/scheduler/jobstartstop`. Its callers know other errors than the rest of this API: `{"error": "…"}`, and
`{"message": "Unauthorized"}`."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import wraps
from typing import Any, Final, ParamSpec, TypeVar

from flask import Response, g, jsonify, request
from werkzeug.exceptions import HTTPException

from app.http.authentication import authenticate, principal, service
from app.http.blueprints import Blueprint
from app.http.idempotency import idempotency
from app.outgoing.model import Idempotency
from app.platform.cursors import decode_text, encode_text, no_cursor
from app.platform.errors import (
    BadRequest,
    Forbidden,
    InvalidInput,
    MediaopsError,
    Unauthorized,
    Unavailable,
)
from app.platform.guard import AddressGuard
from app.platform.inputs import check_identifier
from app.platform.rate import RateLimit
from app.platform.tokens import ACCOUNT_SCOPE, Principal, TokenStore
from app.schedules.records import Task, TaskName, Workflow, metadata_text, new_id, shown
from app.schedules.rules import TaskChange
from app.schedules.schemas import (
    AccountSchema,
    NewWorkflowSchema,
    WorkflowChangeSchema,
    WorkflowListSchema,
    WorkflowQuerySchema,
    WorkflowSchema,
)
from app.schedules.service import ScheduleService, WorkflowQuery

P = ParamSpec("P")
R = TypeVar("R")
_REFUSAL: Final = {
    "description": "Why not.",
    "content": {"application/json": {"schema": {"$ref": "#/components/schemas/ScheduleError"}}},
}
_INVALID: Final = "Invalid input value"
_PLACE: Final = re.compile(r"(\d{1,12}):([0-9a-f]{32})\Z", re.ASCII)

schedules_blueprint = Blueprint(
    "schedules",
    __name__,
    url_prefix="/v1/scheduler/jobstartstop",
    description="Live jobs that are activated and deactivated at their times. Errors are `{error}`, without a valid key"
    " `{message}`.",
)


# Who is calling -----------------------------------------------------------------------------------


def _caller() -> Principal:
    """By the account's key, or an operator's bearer token that names the account."""
    key = request.headers.get("X-API-KEY")
    if key is None and "Authorization" in request.headers:
        operator = authenticate()
        if "operate" not in operator.scopes:
            raise Forbidden("The token lacks the scope operate.")
        account = check_identifier(request.args.get("account_id", ""), "account_id")
        return Principal(operator.id, operator.name, operator.scopes, account=account)
    found = service(TokenStore).find(key) if key else None
    if found is None:
        raise Unauthorized("Unauthorized")
    if ACCOUNT_SCOPE not in found.scopes or found.account is None:
        raise Forbidden("The scheduler isn't enabled for this account.")
    if request.args.get("account_id", found.account) != found.account:
        raise Forbidden("The key belongs to another account.")
    return found


def _for_account(view: Callable[P, R]) -> Callable[P, R]:
    """Let only callers with an account through."""

    @wraps(view)
    def guarded(*args: P.args, **kwargs: P.kwargs) -> R:
        g.principal = _caller()
        service(RateLimit).count(g.principal.id)
        return view(*args, **kwargs)

    documented: dict[str, Any] = {**getattr(view, "_apidoc", {})}
    manual = {
        **documented.get("manual_doc", {}),
        "security": [{"account": []}, {"bearer": []}],
        "x-required-scope": ACCOUNT_SCOPE,
        "responses": dict.fromkeys(("400", "default"), _REFUSAL),
    }
    guarded.__dict__.update(_apidoc={**documented, "manual_doc": manual}, required_scope=ACCOUNT_SCOPE)
    return guarded


def _account() -> str:
    return principal().account or ""


# The calls ----------------------------------------------------------------------------------------


@schedules_blueprint.route("", methods=["POST"])
@_for_account
@schedules_blueprint.arguments(AccountSchema, location="query")
@schedules_blueprint.arguments(NewWorkflowSchema)
@schedules_blueprint.response(200, WorkflowSchema)
def create_workflow(_: dict[str, Any], body: dict[str, Any]) -> Response:
    """Have a job activated and deactivated at these times."""
    url = body.get("notification_url")
    if url is not None:
        service(AddressGuard).check_url(url, "notification_url")
    metadata = body.get("metadata_passthrough")
    wanted = Workflow(
        id=new_id(),
        account=_account(),
        job_id=body["job_id"],
        activation=_task(body["activation"]),
        deactivation=_task(body["deactivation"]),
        description=body.get("description"),
        notification_url=url,
        redundant_group=body["redundant_group"],
        metadata=None if metadata is None else metadata_text(metadata),
        catch_up=body["catchUp"],
    )
    found = idempotency(request.get_data(cache=True))
    return jsonify(shown(service(ScheduleService).create(wanted, Idempotency(*found) if found else None)))


@schedules_blueprint.route("", methods=["GET"])
@_for_account
@schedules_blueprint.arguments(WorkflowQuerySchema, location="query")
@schedules_blueprint.response(200, WorkflowListSchema)
def list_workflows(query: dict[str, Any]) -> Response:
    """Workflows by the time of their activation. A page may be short although there is a `next_token`."""
    page = service(ScheduleService).page(
        WorkflowQuery(
            account=_account(),
            limit=query["page_size"],
            state=query.get("state"),
            job_id=query.get("job_id"),
            after=_place(query["start_token"]) if "start_token" in query else None,
            **{name: query[name] for name in ("start", "end") if name in query},
        )
    )
    next_token = None if page.after is None else encode_text("{}:{}".format(*page.after))
    return jsonify(workflows=[shown(one) for one in page.workflows], next_token=next_token)


@schedules_blueprint.route("/<workflow_id>", methods=["GET"])
@_for_account
@schedules_blueprint.arguments(AccountSchema, location="query")
@schedules_blueprint.response(200, WorkflowSchema)
def get_workflow(_: dict[str, Any], workflow_id: str) -> Response:
    """One workflow as it is now."""
    return jsonify(shown(service(ScheduleService).get(_account(), workflow_id)))


@schedules_blueprint.route("/<workflow_id>", methods=["PUT"])
@_for_account
@schedules_blueprint.arguments(AccountSchema, location="query")
@schedules_blueprint.arguments(WorkflowChangeSchema)
@schedules_blueprint.response(200, WorkflowSchema)
def change_workflow(_: dict[str, Any], body: dict[str, Any], workflow_id: str) -> Response:
    """Move what is still pending: both tasks that are named, or none."""
    changes = {
        TaskName(name): TaskChange(change.get("time_utc"), change.get("notification"))
        for name, change in body.items()
    }
    return jsonify(shown(service(ScheduleService).change(_account(), workflow_id, changes)))


@schedules_blueprint.route("/<workflow_id>", methods=["DELETE"])
@_for_account
@schedules_blueprint.arguments(AccountSchema, location="query")
@schedules_blueprint.response(200, WorkflowSchema)
def cancel_workflow(_: dict[str, Any], workflow_id: str) -> Response:
    """Cancel what is still pending: both tasks, or after the activation the deactivation."""
    return jsonify(shown(service(ScheduleService).cancel(_account(), workflow_id)))


def _task(body: dict[str, Any]) -> Task:
    return Task(at=body["time_utc"], notification=body.get("notification"), timer=1)


def _place(token: str) -> tuple[int, str]:
    match = _PLACE.match(decode_text(token))
    if match is None:
        raise no_cursor()
    return int(match[1]), match[2]


# Errors -------------------------------------------------------------------------------------------


@schedules_blueprint.errorhandler(MediaopsError)
def answer_error(error: MediaopsError) -> Response:
    """In the shapes of the original."""
    if isinstance(error, Unauthorized):
        return _answer(error.status, message="Unauthorized")
    text = error.detail
    if isinstance(error, InvalidInput):
        text = f"{_INVALID}: {' '.join(error.details)}"
    elif isinstance(error, BadRequest) and error.field:
        text = f"{_INVALID}: {error.field}: {error.detail}"
    answer = _answer(error.status, error=text)
    if isinstance(error, Unavailable) and error.retry_after is not None:
        answer.headers["Retry-After"] = str(max(1, round(error.retry_after)))
    return answer


@schedules_blueprint.errorhandler(HTTPException)
def answer_http_error(error: HTTPException) -> Response:
    """What werkzeug refuses by itself."""
    return _answer(error.code or 500, error=error.description or "")


def _answer(status: int, **body: str) -> Response:
    answer = jsonify(body)
    answer.status_code = status
    return answer
