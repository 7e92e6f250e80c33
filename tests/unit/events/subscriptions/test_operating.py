"""What operators see and do: pause, resume, test, replay, the delivery log, parked events."""

from __future__ import annotations

import json
from typing import Any

import pytest
from pytest_httpserver import HTTPServer
from standardwebhooks import Webhook
from werkzeug import Request, Response

from app.events.consumers.runner import Runner
from app.events.consumers.store import ConsumerStore
from app.outgoing.service import RequestService
from app.platform.container import Container
from tests.support.keys import AllKeys
from tests.unit.events.subscriptions.conftest import API, Desk
from tests.unit.http.conftest import Caller

TOPIC = "asset-operations"


class Receiver:
    """Answers each event with the next of `answers`, then with 204."""

    def __init__(self, server: HTTPServer) -> None:
        self.answers: list[int] = []
        self.got: list[Request] = []
        server.expect_request("/hook").respond_with_handler(self._take)

    def _take(self, request: Request) -> Response:
        request.get_data()
        self.got.append(request)
        return Response("what came back", self.answers.pop(0) if self.answers else 204)

    @property
    def sequences(self) -> list[int]:
        return [int(request.headers["X-Mediaops-Sequence"]) for request in self.got]


@pytest.fixture
def receiver(httpserver: HTTPServer) -> Receiver:
    return Receiver(httpserver)


def publish(caller: Caller, count: int = 1) -> None:
    events = [{"eventName": "asset-created", "assetId": number} for number in range(count)]
    answer = caller.post(f"/api/events/{TOPIC}", json=events)
    assert answer.status_code == 202, answer.text


def deliver(system: Container, *consumer_ids: str) -> None:
    """What workers do."""
    for consumer_id in consumer_ids:
        system[Runner].run(consumer_id)


def test_why_a_wake_up_has_not_delivered_is_known_as_long_as_that_holds(
    desk: Desk, system: Container, receiver: Receiver
) -> None:
    made = desk.create()
    receiver.answers = [500]
    publish(desk.caller)
    word = system[Runner].run(made["id"])
    trouble = system[ConsumerStore].trouble(made["id"], word)
    assert trouble is not None
    assert (word, trouble.final) == ("resting", False)
    assert "500" in trouble.text
    receiver.answers = [410]  # gone: nobody tries again
    desk.post(f"{made['id']}/pause")
    desk.post(f"{made['id']}/resume")
    word = system[Runner].run(made["id"])
    trouble = system[ConsumerStore].trouble(made["id"], word)
    assert trouble is not None
    assert (word, trouble.final) == ("stopped", True)
    assert "410" in trouble.text


def test_a_wake_up_that_delivers_is_in_no_trouble(desk: Desk, system: Container, receiver: Receiver) -> None:
    made = desk.create()
    publish(desk.caller)
    word = system[Runner].run(made["id"])
    assert (word, system[ConsumerStore].trouble(made["id"], word)) == ("listening", None)
    assert len(receiver.got) == 1


def test_what_is_published_is_delivered_signed_and_logged(
    desk: Desk, system: Container, receiver: Receiver
) -> None:
    made = desk.create()
    publish(desk.caller, 2)
    assert desk.get(made["id"])["lag"]["events"] == 2
    deliver(system, made["id"])
    assert receiver.sequences == [1, 2]
    for request in receiver.got:
        Webhook(made["secret"]).verify(request.data, dict(request.headers))
    shown = desk.get(made["id"])
    assert (shown["lag"]["events"], shown["counters"]["delivered"]) == (0, 2)
    newest, oldest = desk.get(made["id"], "deliveries")["deliveries"]
    assert (newest["sequence"], oldest["sequence"]) == (2, 1)
    assert newest["at"] >= oldest["at"]
    assert {name: newest[name] for name in ("outcome", "topic", "eventName", "attempt", "status")} == {
        "outcome": "delivered", "topic": TOPIC, "eventName": "asset-created", "attempt": 1, "status": 204,
    }  # fmt: skip
    assert newest["latencyMs"] >= 0
    assert newest["request"]["url"] == desk.url


def test_the_delivery_log_is_filtered_and_paged(desk: Desk, system: Container, receiver: Receiver) -> None:
    receiver.answers = [204, 400, 204, 400, 204]
    made = desk.create()
    publish(desk.caller, 5)
    deliver(system, made["id"])
    parked = desk.caller.get(f"{API}/{made['id']}/deliveries?outcome=parked&limit=1").json
    assert [one["sequence"] for one in parked["deliveries"]] == [4]
    path = f"{API}/{made['id']}/deliveries?outcome=parked&cursor={parked['next']}"
    rest = desk.caller.get(path).json
    assert ([one["sequence"] for one in rest["deliveries"]], rest["next"]) == ([2], None)
    assert desk.caller.get(f"{API}/{made['id']}/deliveries?outcome=lost").status_code == 400
    assert desk.caller.get(f"{API}/{made['id']}/deliveries?cursor=!").status_code == 400


def test_a_paused_one_delivers_nothing_and_goes_on_where_it_was(
    desk: Desk, system: Container, receiver: Receiver
) -> None:
    made = desk.create()
    assert desk.post(made["id"], "pause")["state"] == "paused"
    publish(desk.caller, 3)
    deliver(system, made["id"])
    assert (receiver.got, desk.get(made["id"])["lag"]["events"]) == ([], 3)
    assert desk.post(made["id"], "resume")["state"] == "active"
    deliver(system, made["id"])
    assert receiver.sequences == [1, 2, 3]


@pytest.mark.parametrize(("status", "delivered"), [(204, True), (500, False), (302, False)])
def test_a_test_event_tells_what_came_back(
    desk: Desk, receiver: Receiver, status: int, delivered: bool
) -> None:
    made = desk.create()
    receiver.answers = [status]
    result = desk.post(made["id"], "test")
    assert (result["delivered"], result["status"]) == (delivered, status)
    assert (result["error"] is None) is delivered
    (request,) = receiver.got
    Webhook(made["secret"]).verify(request.data, dict(request.headers))
    assert json.loads(request.data)["eventName"] == "subscription-test"
    shown = desk.get(made["id"])
    assert (shown["state"], shown["counters"].get("delivered", 0), shown["cursor"]) == (
        "active",
        0,
        made["cursor"],
    )


def test_a_replay_shows_how_far_it_is_and_leaves_the_live_delivery_alone(
    desk: Desk, system: Container, receiver: Receiver
) -> None:
    made = desk.create()
    publish(desk.caller, 3)
    deliver(system, made["id"])
    answer = desk.caller.post(f"{API}/{made['id']}/replay", json={"since": "2000-01-01T00:00:00Z"})
    operation = answer.json
    assert (answer.status_code, operation["state"], operation["total"]) == (202, "running", 3)
    busy = desk.caller.post(f"{API}/{made['id']}/replay", json={"since": "2000-01-01T00:00:00Z"})
    assert busy.status_code == 409
    publish(desk.caller, 1)
    deliver(system, f"{made['id']}.replay.{operation['id']}", made["id"])
    done = desk.caller.get(answer.headers["Location"]).json
    assert (done["state"], done["done"], done["total"]) == ("done", 3, 3)
    assert (done["missedEvents"], done["missed"], done["reachesBackTo"]) == (0, [], None)
    assert receiver.sequences == [1, 2, 3, 1, 2, 3, 4]
    marks = [request.headers.get("X-Mediaops-Redelivery") for request in receiver.got]
    assert marks == [None] * 3 + [operation["id"]] * 3 + [None]
    assert desk.get(made["id"])["replay"]["state"] == "done"


def test_a_replay_of_what_is_gone_says_so(desk: Desk, system: Container, receiver: Receiver) -> None:
    made = desk.create()
    publish(desk.caller, 5)
    deliver(system, made["id"])
    operation = desk.post(made["id"], "replay", status=202, json={"since": "2000-01-01T00:00:00Z"})
    topic = next(iter(made["cursor"]))
    system.redis.xtrim(AllKeys.of(system.keys).log(topic), minid="6-0", approximate=False)
    deliver(system, f"{made['id']}.replay.{operation['id']}")
    done = desk.caller.get(f"{API}/{made['id']}/replay/{operation['id']}").json
    assert (done["state"], done["done"], done["total"], done["missedEvents"]) == ("done", 0, 5, 5)
    assert receiver.sequences == [1, 2, 3, 4, 5]
    assert [(gap["topic"], gap["from"], gap["to"]) for gap in done["missed"]] == [(topic, 1, 5)]


def test_a_replay_is_cancelled(desk: Desk, system: Container, receiver: Receiver) -> None:
    made = desk.create()
    publish(desk.caller, 3)
    deliver(system, made["id"])
    operation = desk.post(made["id"], "replay", status=202, json={"since": "2000-01-01T00:00:00Z"})
    path = f"{API}/{made['id']}/replay/{operation['id']}"
    assert desk.caller.delete(path).json["state"] == "cancelled"
    deliver(system, f"{made['id']}.replay.{operation['id']}")
    assert receiver.sequences == [1, 2, 3]
    for wrong in (f"{API}/{made['id']}/replay/nothing", f"{API}/{'5' * 32}/replay/{operation['id']}"):
        assert desk.caller.get(wrong).status_code == 404
        assert desk.caller.delete(wrong).status_code == 404


def test_parked_events_are_seen_retried_and_given_up(
    desk: Desk, system: Container, receiver: Receiver
) -> None:
    receiver.answers = [400, 422, 400]
    made = desk.create()
    publish(desk.caller, 4)
    deliver(system, made["id"])
    assert receiver.sequences == [1, 2, 3, 4]
    page = desk.caller.get(f"{API}/{made['id']}/parked?limit=2").json
    rest = desk.caller.get(f"{API}/{made['id']}/parked?cursor={page['next']}").json
    found: list[dict[str, Any]] = page["parked"] + rest["parked"]
    assert [one["sequence"] for one in found] == [1, 2, 3]
    assert (found[0]["event"]["assetId"], found[0]["error"]["code"]) == (0, "refused")
    assert desk.get(made["id"])["parked"] == 3

    assert desk.post(made["id"], "parked", found[0]["id"], "retry") == {"changed": 1}
    assert desk.post(made["id"], "parked", found[1]["id"], "discard") == {"changed": 1}
    again = desk.caller.post(f"{API}/{made['id']}/parked/{found[1]['id']}/discard")
    assert (again.status_code, again.json["code"]) == (404, "parked_not_found")
    assert desk.post(made["id"], "parked", "retry") == {"changed": 1}
    deliver(system, made["id"])
    assert sorted(receiver.sequences[4:]) == [1, 3]
    assert {request.headers.get("X-Mediaops-Redelivery") for request in receiver.got[4:]} == {"parked"}
    assert desk.get(made["id"])["parked"] == 0


def test_410_disables_it_and_resume_enables_it_again(
    desk: Desk, system: Container, receiver: Receiver
) -> None:
    receiver.answers = [410]
    made = desk.create()
    publish(desk.caller)
    deliver(system, made["id"])
    shown = desk.get(made["id"])
    assert (shown["state"], shown["reason"], shown["lag"]["events"]) == ("disabled", "gone", 1)
    desk.post(made["id"], "resume")
    deliver(system, made["id"])
    assert receiver.sequences == [1, 1]


def test_every_operators_action_is_written_down(desk: Desk, system: Container, receiver: Receiver) -> None:
    made = desk.create()
    for verb in ("pause", "resume", "test"):
        desk.post(made["id"], verb)
    desk.post(made["id"], "secret", "rotate")
    desk.caller.put(f"{API}/{made['id']}", json=desk.body())
    desk.post(made["id"], "parked", "discard")
    desk.caller.delete(f"{API}/{made['id']}")
    trail = [one for one in system[RequestService].audit_trail(50) if made["id"] in one["target"]]
    assert [one["verb"] for one in reversed(trail)] == [
        "create subscription", "pause subscription", "resume subscription", "test subscription", "rotate secret",
        "change subscription", "discard parked", "delete subscription",
    ]  # fmt: skip


def test_metrics_of_all_subscriptions_and_of_those_that_are_behind(
    desk: Desk, system: Container, receiver: Receiver
) -> None:
    receiver.answers = [204, 400]
    made, well = desk.create(), desk.create(topics=[{"topic": "category-operations"}])
    publish(desk.caller, 3)
    deliver(system, made["id"])
    publish(desk.caller, 2)
    text = desk.caller.get("/metrics").text
    label = f'{{subscription="{made["id"]}"}}'
    for line in (
        'mediaops_subscriptions{state="active"} 2.0',
        "mediaops_subscriptions_lag_events 2.0",
        "mediaops_subscriptions_parked 1.0",
        "mediaops_subscriptions_delivered_total 2.0",
        'mediaops_subscriptions_delivery_seconds_bucket{le="+Inf"} 2.0',
        "mediaops_subscriptions_delivery_seconds_count 2.0",
        f"mediaops_subscription_lag_events{label} 2.0",
        f"mediaops_subscription_parked{label} 1.0",
        f'mediaops_subscription_state{{state="active",subscription="{made["id"]}"}} 1.0',
    ):
        assert line in text, line
    assert well["id"] not in text


def test_a_subscription_is_one_of_the_destinations(desk: Desk, system: Container, receiver: Receiver) -> None:
    made = desk.create()
    name = f"sub:{made['id']}"
    switch = f"/api/custom/destinations/{name}"
    assert desk.caller.post(f"{switch}/pause").json["state"] == "paused"
    publish(desk.caller, 2)
    listed = {one["name"]: one for one in desk.caller.get("/api/custom/destinations").json["destinations"]}
    assert set(listed) == {"avos", "live-api", name}
    assert set(listed[name]) >= {"name", "state", "reason", "runnable", "live", "failed", "maxInFlight"}
    assert (listed[name]["state"], listed[name]["runnable"]) == ("paused", 2)
    assert desk.caller.post(f"{switch}/resume").json["state"] == "closed"
    deliver(system, made["id"])
    assert receiver.sequences == [1, 2]
    for wrong in ("sub:", "sub:nothing", f"sub:{'5' * 32}"):
        assert desk.caller.post(f"/api/custom/destinations/{wrong}/pause").status_code == 404


def test_why_says_how_a_subscription_stands(desk: Desk, system: Container, receiver: Receiver) -> None:
    receiver.answers = [400, 410]
    made = desk.create(name="Newsroom", sink={"type": "webhook", "url": f"{desk.url}?key=inner"})
    publish(desk.caller, 2)
    deliver(system, made["id"])
    for identifier in (made["id"], f"sub:{made['id']}"):
        (finding,) = desk.caller.get(f"/api/custom/why/{identifier}").json["findings"]
        text = " ".join(finding["sentences"])
        for part in ("(Newsroom)", "disabled", "410", "1 events behind", "1 events were refused"):
            assert part in text
        assert "inner" not in text
        assert finding["see"] == f"/api/subscriptions/{made['id']}"


def test_changing_the_order_loses_and_doubles_nothing(
    desk: Desk, system: Container, receiver: Receiver
) -> None:
    made = desk.create()
    ways: list[dict[str, Any]] = [{"ordered": False, "inFlight": 4}, {}, {"ordered": False}]
    for number, changes in enumerate(ways):
        publish(desk.caller, 5)
        if number:
            deliver(system, made["id"])
        changed = desk.caller.put(f"{API}/{made['id']}", json=desk.body(**changes))
        assert changed.status_code == 200, changed.text
    publish(desk.caller, 5)
    deliver(system, made["id"])
    assert sorted(receiver.sequences) == list(range(1, 21))
    assert desk.get(made["id"])["inFlight"] == 10
