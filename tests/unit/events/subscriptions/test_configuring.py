"""Making, changing and deleting subscriptions over HTTP."""

from __future__ import annotations

from typing import Any

import fakeredis
import pytest
from structlog.testing import capture_logs

from app.events.sinks.factory import Sinks
from app.http.factory import create_app
from app.outgoing.service import RequestService
from app.platform.container import Container
from tests.support.keys import AllKeys
from tests.unit.events.subscriptions.conftest import API, Desk
from tests.unit.http.conftest import BOOTSTRAP, Caller, build_system

EVENT = {"eventName": "asset-created", "assetId": 1}


def written(system: Container) -> set[bytes]:
    """Every key of Redis."""
    keys: Any = system.redis.keys()
    return set(keys)


def test_a_subscription_is_made_shown_listed_and_deleted(desk: Desk, caller: Caller) -> None:
    answer = caller.post(API, json=desk.body(name="Newsroom", start="beginning"))
    made = answer.json
    assert (answer.status_code, answer.headers["Location"]) == (201, f"{API}/{made['id']}")
    assert made["secret"].startswith("whsec_")
    assert (made["state"], made["lag"], made["start"]) == (
        "active",
        {"events": 0, "seconds": 0},
        "beginning",
    )
    shown = desk.get(made["id"])
    assert shown == {name: value for name, value in made.items() if name != "secret"}
    assert caller.get(API).json == {"subscriptions": [shown], "next": None}
    assert caller.delete(f"{API}/{made['id']}").status_code == 200
    for method, path in (
        ("GET", ""),
        ("DELETE", ""),
        ("POST", "/pause"),
        ("GET", "/deliveries"),
        ("GET", "/parked"),
    ):
        gone = caller(method, f"{API}/{made['id']}{path}")
        assert (gone.status_code, gone.json["code"]) == (404, "subscription_not_found")
    assert caller.get(API).json["subscriptions"] == []


def test_deleting_leaves_nothing_behind(desk: Desk, system: Container) -> None:
    before = written(system)
    made = desk.create()
    desk.caller.post("/api/events/asset-operations", json=EVENT)
    desk.caller.delete(f"{API}/{made['id']}")
    left = {key for key in written(system) - before if made["id"].encode() in key}
    assert left == set()


@pytest.mark.parametrize(
    "sink",
    [
        {"type": "webhook", "url": "http://169.254.169.254/latest/meta-data"},
        {"type": "webhook", "url": "http://10.0.0.1/"},
        {"type": "webhook", "url": "http://[::1]/"},
        {"type": "webhook", "url": "http://2852039166/"},
        {"type": "webhook", "url": "file:///etc/passwd"},
        {"type": "webhook", "url": "gopher://example.com/"},
        {"type": "webhook", "url": "https://user:password@example.com/"},
        {"type": "webhook", "url": "example.com"},
        {"type": "webhook", "url": "https://1.1.1.1/", "headers": {"Host": "elsewhere"}},
        {"type": "webhook", "url": "https://1.1.1.1/", "headers": {"webhook-id": "1"}},
        {"type": "webhook", "url": "https://1.1.1.1/", "headers": {"X-Key": "a\r\nX-Other: b"}},
        {"type": "webhook", "url": "https://1.1.1.1/", "headers": {"X-Key": None}},
        {"type": "sns", "topicArn": "not-an-arn"},
        {"type": "kinesis", "streamName": "a stream"},
    ],
)
def test_a_wrong_sink_is_refused_and_nothing_is_written(
    desk: Desk, caller: Caller, system: Container, sink: dict[str, Any]
) -> None:
    before = written(system)
    answer = caller.post(API, json=desk.body(sink=sink))
    assert answer.status_code == 400, answer.text
    assert answer.json["field"].startswith("sink.")
    made = desk.create()
    revision = desk.get(made["id"])["revision"]
    assert caller.put(f"{API}/{made['id']}", json=desk.body(sink=sink)).status_code == 400
    assert desk.get(made["id"])["revision"] == revision
    caller.delete(f"{API}/{made['id']}")
    assert {key for key in written(system) - before if b"subscription" in key or b"feed:" in key} == set()


def test_localhost_by_name_is_refused(caller: Caller, desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    public = {"type": "webhook", "url": "https://looks-public.example/hook"}
    found = [(2, 1, 6, "", ("10.0.0.1", 0))]
    monkeypatch.setattr("socket.getaddrinfo", lambda *_args, **_options: found)
    answer = caller.post(API, json=desk.body(sink=public))
    assert (answer.status_code, answer.json["field"]) == (400, "sink.url")
    assert "10.0.0.1" not in answer.text  # what a name resolves to here is nobody's business


def test_header_values_and_secrets_are_never_shown(desk: Desk, caller: Caller, system: Container) -> None:
    value = "Bearer value-of-the-header"
    with capture_logs() as logs:
        made = desk.create(
            sink={"type": "webhook", "url": f"{desk.url}?key=inner", "headers": {"X-Key": value}}
        )
        path = f"{API}/{made['id']}"
        rotated = desk.post(made["id"], "secret", "rotate")
        shown = caller.get(path)
        answers = [
            shown,
            caller.get(API),
            caller.put(path, json=desk.body(sink=shown.json["sink"])),
            caller.post(f"{path}/pause"),
            caller.post(f"{path}/test"),
            caller.get(f"{path}/deliveries"),
            caller.get("/metrics"),
        ]
    for answer in answers:
        assert answer.status_code == 200, answer.text
    texts = [answer.text for answer in answers] + [str(logs), str(system[RequestService].audit_trail(50))]
    for secret in (value, made["secret"], rotated["secret"]):
        assert not any(secret in text for text in texts)
    assert shown.json["sink"]["headers"] == {"X-Key": None}


def test_a_urls_query_is_for_those_who_may_change_it(desk: Desk, caller: Caller) -> None:
    made = desk.create(sink={"type": "webhook", "url": f"{desk.url}?key=inner"})
    token = caller.post("/api/tokens", json={"name": "reader", "scopes": ["read"]}).json["token"]
    for path in (API, f"{API}/{made['id']}"):
        seen = caller.get(path, headers={"Authorization": f"Bearer {token}"})
        assert "key=inner" not in seen.text
        assert "key=inner" in caller.get(path).text


def test_a_configuration_is_replaced_whole_and_keeps_its_place(desk: Desk, caller: Caller) -> None:
    made = desk.create(sink={"type": "webhook", "url": desk.url, "headers": {"X-Key": "v"}})
    path = f"{API}/{made['id']}"
    caller.post("/api/events/asset-operations", json=[EVENT, EVENT])
    caller.post("/api/events/category-operations", json={"eventName": "category-created", "categoryId": 1})
    shown = caller.get(path)
    topics = [
        {"topic": "asset-operations", "eventNames": ["asset-created"]},
        {"topic": "category-operations"},
    ]
    body = {"name": "Desk", "topics": topics, "sink": shown.json["sink"], "start": "beginning"}
    changed = caller.put(path, json=body, headers={"If-Match": shown.headers["ETag"]})
    assert changed.status_code == 200, changed.text
    assert (changed.json["name"], changed.json["topics"], changed.json["revision"]) == ("Desk", topics, 2)
    assert changed.json["cursor"] == {"asset-operations": 0, "category-operations": 0}
    assert changed.json["sink"]["headers"] == {"X-Key": None}
    assert "secret" not in changed.json
    late = caller.put(path, json=body, headers={"If-Match": shown.headers["ETag"]})
    assert (late.status_code, desk.get(made["id"])["revision"]) == (412, 2)
    assert caller.delete(path, headers={"If-Match": '"1"'}).status_code == 412


def test_another_kind_of_sink_comes_with_what_it_needs(desk: Desk, caller: Caller) -> None:
    queue = {"type": "sns", "topicArn": "arn:aws:sns:eu-west-1:123456789012:events"}
    made = desk.create(sink=queue)
    assert "secret" not in made
    refused = caller.post(f"{API}/{made['id']}/secret/rotate")
    assert (refused.status_code, refused.json["code"]) == (409, "no_secret")
    changed = caller.put(f"{API}/{made['id']}", json=desk.body())
    assert changed.json["secret"].startswith("whsec_")


def test_where_it_begins(desk: Desk, caller: Caller) -> None:
    caller.post("/api/events/asset-operations", json=[EVENT, EVENT])
    lags = {start: desk.create(start=start)["lag"]["events"] for start in ("now", "beginning")}
    lags["1999"] = desk.create(start="1999-11-21T19:30:00Z")["lag"]["events"]
    lags["2999"] = desk.create(start="2999-11-21T19:30:00Z")["lag"]["events"]
    assert lags == {"now": 0, "beginning": 2, "1999": 2, "2999": 0}


def test_a_create_whose_answer_was_lost_is_answered_again_without_its_secret(
    desk: Desk, caller: Caller
) -> None:
    key = {"Idempotency-Key": "create-1"}
    first = caller.post(API, json=desk.body(), headers=key)
    again = caller.post(API, json=desk.body(), headers=key)
    assert first.json["secret"].startswith("whsec_")
    assert (again.status_code, again.json["id"], again.headers["ETag"]) == (201, first.json["id"], '"1"')
    assert "secret" not in again.json
    rotated = desk.post(first.json["id"], "secret", "rotate")
    later = caller.post(API, json=desk.body(), headers=key)
    assert later.status_code == 201
    assert rotated["secret"] not in later.text
    assert first.json["secret"] not in later.text
    other = caller.post(API, json=desk.body(name="other"), headers=key)
    assert (other.status_code, other.json["code"]) == (422, "idempotency_key_reused")
    assert len(caller.get(API).json["subscriptions"]) == 1


def test_the_same_create_twice_at_once_makes_one(
    desk: Desk, caller: Caller, system: Container, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = {"Idempotency-Key": "create-1"}
    check, answers = Sinks.check, list[Any]()

    def meanwhile(sinks: Sinks, sink: Any) -> None:
        monkeypatch.setattr(Sinks, "check", check)
        answers.append(caller.post(API, json=desk.body(), headers=key))
        check(sinks, sink)

    monkeypatch.setattr(Sinks, "check", meanwhile)
    answers.append(caller.post(API, json=desk.body(), headers=key))
    assert [answer.status_code for answer in answers] == [201, 201]
    assert ["secret" in answer.json for answer in answers] == [True, False]
    assert len(caller.get(API).json["subscriptions"]) == 1


def test_two_secrets_are_valid_while_one_takes_over(desk: Desk, caller: Caller) -> None:
    made = desk.create()
    key = {"Idempotency-Key": "rotate-1"}
    first = desk.post(made["id"], "secret", "rotate", json={"overlapSeconds": 60}, headers=key)
    assert desk.post(made["id"], "secret", "rotate", json={"overlapSeconds": 60}, headers=key) == first
    assert first["secret"] != made["secret"]
    now = desk.post(made["id"], "secret", "rotate", json={"overlapSeconds": 0})
    assert now["secret"] not in (made["secret"], first["secret"])


def test_the_listing_goes_page_by_page_from_the_newest(desk: Desk, caller: Caller) -> None:
    ids = [desk.create()["id"] for _ in range(5)]
    desk.post(ids[2], "pause")
    seen, cursor = list[str](), None
    while True:
        page = caller.get(f"{API}?limit=2" + (f"&cursor={cursor}" if cursor else "")).json
        seen += [one["id"] for one in page["subscriptions"]]
        cursor = page["next"]
        if cursor is None:
            break
    assert sorted(seen) == sorted(ids)
    paused = caller.get(f"{API}?state=paused").json["subscriptions"]
    assert [one["id"] for one in paused] == [ids[2]]
    assert caller.get(f"{API}?cursor=nonsense").status_code == 400
    assert caller.get(f"{API}?state=sleeping").status_code == 400


@pytest.mark.parametrize(
    "identifier", ["x" * 32, "5" * 31, f"{'5' * 32}.replay.1", f"{'5' * 32}:deliveries", "*"]
)
def test_an_id_that_was_never_one_of_ours_is_not_found(caller: Caller, identifier: str) -> None:
    assert caller.get(f"{API}/{identifier}").status_code == 404
    assert caller.delete(f"{API}/{identifier}").status_code == 404


def test_without_an_allowance_this_machine_is_refused_under_every_name(desk: Desk) -> None:
    strict = Caller(create_app(build_system(fakeredis.FakeRedis(), "strict")), BOOTSTRAP)
    for host in ("localhost", "127.0.0.1", "127.1", "0x7f000001", "[::ffff:127.0.0.1]", "0"):
        answer = strict.post(API, json=desk.body(sink={"type": "webhook", "url": f"http://{host}/hook"}))
        assert (answer.status_code, answer.json["field"]) == (400, "sink.url"), host


def test_two_changes_never_meet(desk: Desk, caller: Caller, system: Container) -> None:
    made = desk.create()
    lock = f"{AllKeys.of(system.keys).subscription(made['id'])}:changing"
    system.redis.set(lock, "somebody else")
    path = f"{API}/{made['id']}"
    for answer in (
        caller.put(path, json=desk.body()),
        caller.post(f"{path}/secret/rotate"),
        caller.delete(path),
    ):
        assert (answer.status_code, answer.json["code"]) == (409, "being_changed")
    assert system.redis.get(lock) == b"somebody else"
    system.redis.delete(lock)
    assert caller.put(path, json=desk.body(sink={"type": "ftp"})).status_code == 400
    assert caller.delete(path).status_code == 200
