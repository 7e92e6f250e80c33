"""Subscriptions over HTTP: who gets which events, where to, and what became of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flask import Response, jsonify, request

from app.events.consumers.model import Parked, ReplayProgress
from app.events.subscriptions.answers import (
    ChangedSchema,
    CreatedSchema,
    DeletedSchema,
    DeliveryListSchema,
    ParkedListSchema,
    ReencryptedSchema,
    ReplayProgressSchema,
    RotatedSchema,
    SubscriptionListSchema,
    SubscriptionSchema,
    TestedSchema,
)
from app.events.subscriptions.model import (
    LoggedDelivery,
    MadeSubscription,
    Reencryption,
    RotatedSecret,
    SinkTest,
    SubscriptionView,
)
from app.events.subscriptions.schemas import (
    ConfigSchema,
    DeliveriesQuerySchema,
    ReplaySchema,
    RotateSchema,
    SubscriptionQuerySchema,
)
from app.events.subscriptions.service import SubscriptionService
from app.http.authentication import principal, requires, service
from app.http.blueprints import Blueprint
from app.http.idempotency import idempotency
from app.platform.cursors import Page
from app.platform.inputs import PageSchema

subscriptions_blueprint = Blueprint(
    "subscriptions",
    __name__,
    url_prefix="/api/subscriptions",
    description="Who gets which events: webhooks, SNS topics, Kinesis streams.",
)
_ONE = "/<subscription_id>"
_SHOWN = SubscriptionSchema()
Given = Mapping[str, Any]  # as a schema has read it


@subscriptions_blueprint.route("", methods=["POST"])
@requires("admin")
@subscriptions_blueprint.arguments(ConfigSchema)
@subscriptions_blueprint.response(201, CreatedSchema)
def create_subscription(body: Given) -> Response:
    """Make a subscription. A webhook's signing secret is in this answer and in no other, that to a repeated
    call with the same Idempotency-Key included: whose answer was lost rotates it."""
    key = idempotency(request.get_data(cache=True))
    return _answer(service(SubscriptionService).create(body, principal().name, key), 201)


@subscriptions_blueprint.route("/reencrypt", methods=["POST"])
@requires("admin")
@subscriptions_blueprint.response(200, ReencryptedSchema)
def reencrypt_secrets() -> Reencryption:
    """Store the secrets of all subscriptions under the first key of MEDIAOPS_SECRETS_KEY_FILE."""
    return service(SubscriptionService).reencrypt(principal().name)


@subscriptions_blueprint.route("", methods=["GET"])
@requires("read")
@subscriptions_blueprint.arguments(SubscriptionQuerySchema, location="query")
@subscriptions_blueprint.response(200, SubscriptionListSchema)
def list_subscriptions(query: Given) -> Page[SubscriptionView]:
    """The newest first, each with its state, lag and counters."""
    return service(SubscriptionService).page(
        query["limit"], query.get("cursor"), query.get("state"), whole=_whole()
    )


@subscriptions_blueprint.route(_ONE, methods=["GET"])
@requires("read")
@subscriptions_blueprint.response(200, SubscriptionSchema)
def get_subscription(subscription_id: str) -> Response:
    """One subscription; its ETag is the revision of its configuration."""
    return _shown(subscription_id)


@subscriptions_blueprint.route(_ONE, methods=["PUT"])
@requires("admin")
@subscriptions_blueprint.arguments(ConfigSchema)
@subscriptions_blueprint.response(200, CreatedSchema)
def replace_subscription(body: Given, subscription_id: str) -> Response:
    """Replace its configuration; it goes on where it was. `start` is for topics that it didn't have before,
    and a header whose value is null keeps the one that is stored. Honours If-Match."""
    made = service(SubscriptionService).replace(
        subscription_id, body, principal().name, request.headers.get("If-Match")
    )
    return _answer(made, 200)


@subscriptions_blueprint.route(_ONE, methods=["DELETE"])
@requires("admin")
@subscriptions_blueprint.response(200, DeletedSchema)
def delete_subscription(subscription_id: str) -> Response:
    """End it. Its place, its replays, what is parked and its delivery log go with it. Honours If-Match."""
    service(SubscriptionService).delete(subscription_id, principal().name, request.headers.get("If-Match"))
    return jsonify(id=subscription_id, deleted=True)


@subscriptions_blueprint.route(f"{_ONE}/pause", methods=["POST"])
@requires("operate")
@subscriptions_blueprint.response(200, SubscriptionSchema)
def pause_subscription(subscription_id: str) -> Response:
    """Deliver nothing until it is resumed; it loses nothing within the log's retention."""
    service(SubscriptionService).pause(subscription_id, principal().name)
    return _shown(subscription_id)


@subscriptions_blueprint.route(f"{_ONE}/resume", methods=["POST"])
@requires("operate")
@subscriptions_blueprint.response(200, SubscriptionSchema)
def resume_subscription(subscription_id: str) -> Response:
    """Go on where it stopped, paused or disabled."""
    service(SubscriptionService).resume(subscription_id, principal().name)
    return _shown(subscription_id)


@subscriptions_blueprint.route(f"{_ONE}/test", methods=["POST"])
@requires("operate")
@subscriptions_blueprint.response(200, TestedSchema)
def test_subscription(subscription_id: str) -> SinkTest:
    """Send a `subscription-test` event now, whatever its state; the answer says what came back."""
    return service(SubscriptionService).test(subscription_id, principal().name)


@subscriptions_blueprint.route(f"{_ONE}/replay", methods=["POST"])
@requires("operate")
@subscriptions_blueprint.arguments(ReplaySchema)
@subscriptions_blueprint.response(202, ReplayProgressSchema)
def replay_subscription(body: Given, subscription_id: str) -> tuple[ReplayProgress, dict[str, str]]:
    """Deliver once more what was published since a time, marked as redelivery, beside the live delivery.
    One replay of a subscription at a time; progress at `Location`."""
    progress = service(SubscriptionService).replay(subscription_id, body["since"], principal().name)
    return progress, {"Location": f"/api/subscriptions/{subscription_id}/replay/{progress.id}"}


@subscriptions_blueprint.route(f"{_ONE}/replay/<replay_id>", methods=["GET"])
@requires("read")
@subscriptions_blueprint.response(200, ReplayProgressSchema)
def get_replay(subscription_id: str, replay_id: str) -> ReplayProgress:
    """How far a replay is."""
    return service(SubscriptionService).replay_progress(subscription_id, replay_id)


@subscriptions_blueprint.route(f"{_ONE}/replay/<replay_id>", methods=["DELETE"])
@requires("operate")
@subscriptions_blueprint.response(200, ReplayProgressSchema)
def cancel_replay(subscription_id: str, replay_id: str) -> ReplayProgress:
    """End a replay; what it has delivered stays delivered."""
    return service(SubscriptionService).cancel_replay(subscription_id, replay_id, principal().name)


@subscriptions_blueprint.route(f"{_ONE}/secret/rotate", methods=["POST"])
@requires("admin")
@subscriptions_blueprint.arguments(RotateSchema)
@subscriptions_blueprint.response(200, RotatedSchema)
def rotate_secret(body: Given, subscription_id: str) -> RotatedSecret:
    """A new signing secret, in this answer and in no other. Until the one before ends, both sign every
    delivery."""
    key = idempotency(request.get_data(cache=True))
    return service(SubscriptionService).rotate(subscription_id, body["overlapSeconds"], principal().name, key)


@subscriptions_blueprint.route(f"{_ONE}/deliveries", methods=["GET"])
@requires("read")
@subscriptions_blueprint.arguments(DeliveriesQuerySchema, location="query")
@subscriptions_blueprint.response(200, DeliveryListSchema)
def list_deliveries(query: Given, subscription_id: str) -> Page[LoggedDelivery]:
    """The last thousand or so attempts, the newest first: request, response, latency, attempt. No secrets."""
    return service(SubscriptionService).deliveries(
        subscription_id, query["limit"], query.get("cursor"), query.get("outcome")
    )


@subscriptions_blueprint.route(f"{_ONE}/parked", methods=["GET"])
@requires("read")
@subscriptions_blueprint.arguments(PageSchema, location="query")
@subscriptions_blueprint.response(200, ParkedListSchema)
def list_parked(query: Given, subscription_id: str) -> Page[Parked]:
    """Events that the destination has refused for good, the oldest first."""
    return service(SubscriptionService).parked(subscription_id, query["limit"], query.get("cursor"))


@subscriptions_blueprint.route(f"{_ONE}/parked/<any(retry, discard):verb>", methods=["POST"])
@requires("operate")
@subscriptions_blueprint.response(200, ChangedSchema)
def act_on_all_parked(subscription_id: str, verb: str) -> Response:
    """Deliver everything that is parked once more, marked as redelivery, or give it up."""
    changed = service(SubscriptionService).act_on_parked(subscription_id, verb, None, principal().name)
    return jsonify(changed=changed)


@subscriptions_blueprint.route(f"{_ONE}/parked/<parked_id>/<any(retry, discard):verb>", methods=["POST"])
@requires("operate")
@subscriptions_blueprint.response(200, ChangedSchema)
def act_on_parked(subscription_id: str, parked_id: str, verb: str) -> Response:
    """Deliver one parked event once more, marked as redelivery, or give it up."""
    changed = service(SubscriptionService).act_on_parked(subscription_id, verb, parked_id, principal().name)
    return jsonify(changed=changed)


def _whole() -> bool:
    """Whether the caller may see what only those need who change subscriptions."""
    return "admin" in principal().scopes


def _shown(subscription_id: str) -> Response:
    return _answer(MadeSubscription(service(SubscriptionService).get(subscription_id, whole=_whole())), 200)


def _answer(made: MadeSubscription, status: int) -> Response:
    shown = _SHOWN.dump(made.view)
    answer = jsonify(shown | ({"secret": made.secret} if made.secret else {}))
    answer.status_code = status
    answer.set_etag(str(made.view.config.revision))
    if status == 201:
        answer.headers["Location"] = f"/api/subscriptions/{made.view.id}"
    return answer
