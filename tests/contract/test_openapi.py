"""The API does what its description says, whatever is sent: no 5xx, answers as described, problems as problems."""

from __future__ import annotations

import contextlib
from typing import Any

import fakeredis
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from app.events.consumers.runner import Runner
from app.http.factory import create_app
from app.platform.container import Container
from app.platform.lifetime import Lifetime
from tests.support.receiver import Receiver, Reply
from tests.unit.http.conftest import BOOTSTRAP, Caller, build_system
from tests.unit.http.plan import deliver_all, plan_and_register

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]


@pytest.fixture(scope="module")
def described_api() -> Any:
    """The API over a plan that has something in every list."""
    system = build_system(fakeredis.FakeRedis(), "openapi", allowed_cidrs=("127.0.0.0/8",))
    app = create_app(system)
    system[Lifetime].ends_when(lambda: True)  # a stream ends at once
    caller = Caller(app, BOOTSTRAP)
    request_id, _ = plan_and_register(caller, 1)
    deliver_all(system)
    plan_and_register(caller, 2)
    operation = caller.post("/api/custom/requests/retry?state=failed").json["id"]
    token = caller.post("/api/tokens", json={"name": "x", "scopes": ["read"]}).json["id"]
    subscription, parked = subscribe(system, caller)
    known = {
        "content_media_id": "CM1",
        "event_id": "ev-1",
        "identifier": "CM1",
        "job_id": "j-1",
        "name": "avos",
        "operation_id": operation,
        "parked_id": parked,
        "replay_id": caller.get(f"/api/subscriptions/{subscription}").json["replay"]["id"],
        "request_id": request_id,
        "subscription_id": subscription,
        "token_id": token,
        "topic": "asset-operations",
    }
    return schemathesis.openapi.from_wsgi("/openapi.json", app), known


def subscribe(system: Container, caller: Caller) -> tuple[str, str]:
    """A subscription that has something in each of its lists, and the id of what is parked. Its receiver refuses all."""
    topics = [{"topic": "asset-operations"}]
    with Receiver(lambda _: Reply(400)) as receiver:
        sink = {"type": "webhook", "url": receiver.url, "headers": {"X-Key": "v"}}
        made = caller.post("/api/subscriptions", json={"topics": topics, "sink": sink}).json["id"]
        events = [{"eventName": "asset-created", "assetId": number} for number in range(3)]
        assert caller.post("/api/events/asset-operations", json=events).status_code == 202
        system[Runner].run(made)
    since = {"since": "2000-01-01T00:00:00Z"}
    assert caller.post(f"/api/subscriptions/{made}/replay", json=since).status_code == 202
    return made, caller.get(f"/api/subscriptions/{made}/parked").json["parked"][0]["id"]


def test_every_operation_keeps_to_its_description(described_api: Any, subtests: pytest.Subtests) -> None:
    description, known = described_api
    operations = [result.ok() for result in description.get_all_operations()]
    assert len(operations) > 30
    for operation in operations:
        with subtests.test(operation.label):
            explore(operation, known)


def explore(operation: Any, known: dict[str, str]) -> None:
    """Send what fits the description and what doesn't, to ids that are there and that aren't; the same each time."""
    modes = [schemathesis.GenerationMode.POSITIVE, schemathesis.GenerationMode.NEGATIVE]
    for mode in modes:

        @settings(
            max_examples=15,
            derandomize=True,
            deadline=None,
            database=None,
            phases=[Phase.explicit, Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(case=operation.as_strategy(generation_mode=mode))
        def check(case: schemathesis.Case[Any]) -> None:
            send(case)
            if case.path_parameters:
                case.path_parameters = {
                    name: known.get(name, value) for name, value in case.path_parameters.items()
                }
                send(case)

        with contextlib.suppress(Unsatisfiable):  # an operation without any input has no wrong input
            check()


def send(case: schemathesis.Case[Any]) -> None:
    if case.query and "wait" in case.query:
        case.query["wait"] = 0  # waiting out its time is tested elsewhere
    if case.path.startswith("/v1/scheduler"):
        case.query = {**(case.query or {}), "account_id": "acc"}
    answer = case.call_and_validate(headers={"Authorization": f"Bearer {BOOTSTRAP}"}, checks=CHECKS)
    assert answer.headers["x-request-id"]
    if answer.status_code >= 400 and not case.path.startswith("/v1/scheduler"):
        assert answer.headers["content-type"] == ["application/problem+json"]
        body = answer.json()
        assert body["detail"] == body["errors"][0]["detail"]
