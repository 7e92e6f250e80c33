"""The scheduler's endpoints: bodies, states, codes and errors as their callers know them."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

import fakeredis
import pytest
from flask.testing import FlaskClient

from app.http.factory import create_app
from app.outgoing.decision import AttemptError
from app.packages import PACKAGES
from app.platform.container import Container
from app.schedules.live_api import LiveApiClient, LiveJob
from app.settings import Settings
from tests.support.schedules import LiveApiTable
from tests.unit.http.conftest import BOOTSTRAP

KEY, OTHER, PLAIN = "k" * 32, "o" * 32, "p" * 32
URL = "/v1/scheduler/jobstartstop"
BEGINS, ENDS = 4_073_558_100, 4_073_565_600  # in 2099


@pytest.fixture
def live_api() -> LiveApiTable:
    return LiveApiTable()


@pytest.fixture
def system(live_api: LiveApiTable) -> Container:
    settings = Settings(
        redis_url="redis://unused",
        tenant="web",
        api_token=BOOTSTRAP,
        scheduler_keys=(("acc", KEY), ("other", OTHER)),
        allowed_cidrs=("127.0.0.0/8",),
    )
    given: dict[type, object] = {LiveApiClient: live_api}
    return Container(settings, PACKAGES, redis=fakeredis.FakeRedis(), script_flags=False, given=given)


@pytest.fixture
def client(system: Container) -> Iterator[FlaskClient]:
    app = create_app(system)
    app.testing = True
    with app.test_client() as client:
        yield client


class Account:
    """Calls with an account's key."""

    def __init__(self, client: FlaskClient, key: str = KEY) -> None:
        self._client = client
        self._headers = {"X-API-KEY": key}

    def __call__(self, method: str, path: str = "", body: Any = None, **headers: str) -> Any:
        options: dict[str, Any] = {} if body is None else {"json": body}
        if isinstance(body, bytes):
            options = {"data": body, "content_type": "application/json"}
        return self._client.open(URL + path, method=method, headers={**self._headers, **headers}, **options)

    def create(self, **members: Any) -> Any:
        return self("POST", body=wanted(**members))


@pytest.fixture
def account(client: FlaskClient) -> Account:
    return Account(client)


def wanted(**members: Any) -> dict[str, Any]:
    times = {"activation": {"time_utc": BEGINS}, "deactivation": {"time_utc": ENDS}}
    return {"job_id": "1234", **times, **members}


def keys(system: Container) -> list[Any]:
    return list(system.redis.keys("*"))


def test_a_workflow_from_its_creation_to_its_cancellation(account: Account) -> None:
    made = account.create(
        description="Derby",
        activation={"time_utc": float(BEGINS), "notification": 600},
        notification_url="http://127.0.0.1:9/hook",
        redundant_group=True,
        metadata_passthrough={"list": [], "large": 12345678901234567890},
    )
    assert made.status_code == 200, made.text
    workflow_id = made.json["workflow_id"]
    assert made.json == {
        "account_id": "acc",
        "activation": {"state": "pending", "time_utc": BEGINS, "notification": 600},
        "deactivation": {"state": "pending", "time_utc": ENDS},
        "description": "Derby",
        "job_id": "1234",
        "type": "jobstartstop",
        "workflow_id": workflow_id,
        "notification_url": "http://127.0.0.1:9/hook",
        "redundant_group": True,
        "metadata_passthrough": {"list": [], "large": 12345678901234567890},
    }
    assert len(workflow_id) == 32
    assert account("GET", f"/{workflow_id}").json == made.json
    moved = account("PUT", f"/{workflow_id}", {"deactivation": {"time_utc": ENDS + 60}})
    assert moved.status_code == 200
    assert moved.json["deactivation"] == {"state": "pending", "time_utc": ENDS + 60}
    assert account("GET", "?state=pending&job_id=1234").json["workflows"] == [moved.json]
    cancelled = account("DELETE", f"/{workflow_id}")
    assert cancelled.status_code == 200
    assert cancelled.json["activation"]["state"] == cancelled.json["deactivation"]["state"] == "cancelled"
    again = account("DELETE", f"/{workflow_id}")
    assert (again.status_code, again.json) == (
        400,
        {"error": "Nothing of this workflow is pending any more."},
    )


@pytest.mark.parametrize(
    ("members", "text"),
    [
        (
            {"activation": {"time_utc": 1_617_386_100}},
            "activation.time_utc: The activation lies in the past.",
        ),
        ({"deactivation": {"time_utc": BEGINS}}, "The deactivation must come after the activation."),
        ({"activation": {"time_utc": BEGINS * 1000}}, "looks like milliseconds"),
        (
            {"activation": {"time_utc": BEGINS + 0.5}},
            "activation.time_utc: Must be a whole number of seconds.",
        ),
        ({"activation": {"time_utc": -1}}, "activation.time_utc: Must lie between 0 and"),
        ({"activation": {"time_utc": "now"}}, "activation.time_utc: Must be a number of seconds."),
        ({"activation": {"time_utc": True}}, "activation.time_utc: Must be a number of seconds."),
        ({"activation": {}}, "activation.time_utc: Missing data"),
        ({"description": "x" * 10_000}, "description: Longer than maximum length"),
        (
            {"activation": {"time_utc": BEGINS, "notification": 60}},
            "A notification needs a notification_url.",
        ),
        (
            {"activation": {"time_utc": BEGINS, "notification": 0}},
            "activation.notification: Must lie between 1",
        ),
        ({"notification_url": "ftp://host/"}, "The notification target type is not supported currently"),
        ({"notification_url": "http://169.254.169.254/latest"}, "notification_url: "),
        (
            {
                "activation": {"time_utc": BEGINS, "notification": 30 * 86_400 + 1},
                "notification_url": "http://127.0.0.1/",
            },
            "activation.notification: Must lie between",
        ),
        ({"catchUp": "later"}, "catchUp: Must be until-deactivation, none, or a number"),
        ({"metadata_passthrough": "x" * 20_000}, "metadata_passthrough: Has at most"),
        ({"unknown": 1}, "unknown: Unknown field."),
        ({"job_id": ""}, "job_id: "),
    ],
)
def test_what_is_wrong_is_named_and_nothing_is_stored(
    account: Account, system: Container, members: dict[str, Any], text: str
) -> None:
    answer = account.create(**members)
    assert answer.status_code == 400
    assert list(answer.json) == ["error"]
    assert answer.json["error"].startswith("Invalid input value: ")
    assert text in answer.json["error"]
    assert keys(system) == []


def test_nan_is_no_time(account: Account, system: Container) -> None:
    body = json.dumps(wanted(activation={"time_utc": float("nan")})).encode()
    answer = account("POST", "", body)
    assert (answer.status_code, list(answer.json)) == (400, ["error"])
    assert keys(system) == []


def test_a_notification_that_would_be_too_late(account: Account, system: Container) -> None:
    soon = int(time.time()) + 600
    answer = account.create(
        activation={"time_utc": soon, "notification": 900},
        deactivation={"time_utc": soon + 60},
        notification_url="http://127.0.0.1/",
    )
    assert (answer.status_code, answer.json) == (
        400,
        {
            "error": "Invalid input value: activation.notification: The moment of this notification has passed already."
        },
    )
    assert keys(system) == []


def test_who_may_call(client: FlaskClient, system: Container) -> None:
    assert client.get(URL).json == {"message": "Unauthorized"}
    unknown = Account(client, "x" * 32)("GET")
    assert (unknown.status_code, unknown.json) == (401, {"message": "Unauthorized"})
    plain = client.post(
        "/api/tokens",
        json={"name": "x", "scopes": ["read"]},
        headers={"Authorization": f"Bearer {BOOTSTRAP}"},
    ).json
    assert plain is not None
    disabled = Account(client, plain["token"])("GET")
    assert (disabled.status_code, disabled.json) == (
        403,
        {"error": "The scheduler isn't enabled for this account."},
    )


def test_keys_are_made_and_ended_like_tokens(client: FlaskClient) -> None:
    bearer = {"Authorization": f"Bearer {BOOTSTRAP}"}
    body = {"name": "studio", "scopes": ["schedule"], "account": "acc"}
    made: Any = client.post("/api/tokens", json=body, headers=bearer).json
    assert made["account"] == "acc"
    studio = Account(client, made["token"])
    assert studio.create().json["account_id"] == "acc"
    assert client.delete(f"/api/tokens/{made['id']}", headers=bearer).status_code == 200
    assert studio("GET").status_code == 401
    for wrong in ({"scopes": ["schedule"]}, {"scopes": ["read"], "account": "acc"}):
        assert client.post("/api/tokens", json={"name": "x", **wrong}, headers=bearer).status_code == 400


def test_an_operator_names_the_account(client: FlaskClient, account: Account) -> None:
    made = account.create().json
    bearer = {"Authorization": f"Bearer {BOOTSTRAP}"}
    assert client.get(f"{URL}/{made['workflow_id']}?account_id=acc", headers=bearer).json == made
    assert client.get(f"{URL}/{made['workflow_id']}?account_id=other", headers=bearer).status_code == 404
    assert client.get(URL, headers=bearer).status_code == 400


def test_accounts_don_t_see_each_other(client: FlaskClient, account: Account) -> None:
    path = f"/{account.create().json['workflow_id']}"
    other = Account(client, OTHER)
    for method, body in (("GET", None), ("PUT", {"activation": {"time_utc": BEGINS + 1}}), ("DELETE", None)):
        answer = other(method, path, body)
        assert (answer.status_code, answer.json) == (404, {"error": "There is no such workflow."})
    assert other("GET").json == {"workflows": [], "next_token": None}
    assert other("GET", "?account_id=acc").status_code == 403


def test_pages(account: Account) -> None:
    made = [account.create(job_id=f"job{n}").json["workflow_id"] for n in range(5)]
    found, path = [], "?page_size=2"
    while True:
        page = account("GET", path).json
        found += [one["workflow_id"] for one in page["workflows"]]
        if page["next_token"] is None:
            break
        path = f"?page_size=2&start_token={page['next_token']}"
    assert found == sorted(made)
    for wrong in ("page_size=0", "page_size=1001", "start_token=x", "state=late", "start=soon", "other=1"):
        answer = account("GET", f"?{wrong}")
        assert (answer.status_code, list(answer.json)) == (400, ["error"]), wrong


def test_the_live_api_is_asked_first(account: Account, system: Container, live_api: LiveApiTable) -> None:
    live_api.error = AttemptError("timeout", "No whole answer came in time.")
    away = account.create()
    assert away.status_code == 503
    assert "No whole answer came in time" in away.json["error"]
    assert away.headers["Retry-After"]
    live_api.error = None
    live_api.jobs["1234"] = LiveJob(static=False, state="waiting", sep_state="none")
    dynamic = account.create()
    assert (dynamic.status_code, dynamic.json) == (
        400,
        {"error": "Invalid input value: job_id: The job isn't static: only static jobs can be scheduled."},
    )
    assert keys(system) == []


def test_a_create_under_the_same_key_is_made_once(account: Account) -> None:
    body = wanted()
    first, again = (account("POST", "", body, **{"Idempotency-Key": "k"}).json for _ in range(2))
    assert first == again
    other = account("POST", "", wanted(description="other"), **{"Idempotency-Key": "k"})
    assert (other.status_code, list(other.json)) == (422, ["error"])
    assert len(account("GET").json["workflows"]) == 1


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({}, "Name the activation, the deactivation or both"),
        ({"activation": {}}, "Name the activation, the deactivation or both"),
        ({"description": "new"}, "description: Unknown field."),
        ({"activation": {"time_utc": ENDS}}, "must come after"),
        ({"activation": {"time_utc": BEGINS + 1}, "deactivation": {"time_utc": BEGINS}}, "must come after"),
        ({"activation": {"notification": 60}}, "needs a notification_url"),
    ],
)
def test_a_change_that_can_t_be_made_changes_nothing(
    account: Account, change: dict[str, Any], text: str
) -> None:
    made = account.create().json
    answer = account("PUT", f"/{made['workflow_id']}", change)
    assert answer.status_code == 400
    assert text in answer.json["error"]
    assert account("GET", f"/{made['workflow_id']}").json == made


def test_unknown_and_malformed_ids(account: Account) -> None:
    for workflow_id in ("0" * 32, "x", "a:b"):
        assert account("GET", f"/{workflow_id}").status_code == 404
