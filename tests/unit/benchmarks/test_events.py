"""The parts of the event stream's benchmark do what they are for. No test looks at a time."""

from __future__ import annotations

import itertools
import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import pytest

from app.events.catalogue import TOPICS
from app.events.envelope import Filling, complete
from benchmarks.events import SUBSCRIPTIONS, Arrived, Drained, Replayed
from benchmarks.events_far import Receivers
from benchmarks.events_load import KEYS, KINDS, Call, call, calls, publish, texts
from benchmarks.events_run import EventsSection, comparisons
from benchmarks.events_side import WORKERS
from benchmarks.listeners import Listeners
from benchmarks.load import Connection, request
from benchmarks.plan import FULL, QUICK, SECTIONS, Plan
from benchmarks.processes import Broken
from benchmarks.report import Report
from tests.support.receiver import Receiver, Reply

FILLING = Filling("default", "benchmark", "a-guid")


@pytest.fixture
def receivers(tmp_path: Path) -> Iterator[Receivers]:
    made = Receivers(tmp_path, "receivers")
    yield made
    made.stop()


def post(receivers: Receivers, path: str, guid: str) -> bytes:
    head = f"\r\nwebhook-id: {guid}\r\n".encode()
    return request("POST", path, {"some": "event"}).replace(b"\r\n", head, 1)


def test_receivers_note_what_has_come_and_from_when_on(receivers: Receivers) -> None:
    connection = Connection(receivers.port)
    assert connection.call(post(receivers, "/ok/1", "before"))[0] == 200
    receivers.forget()
    for path, guid in (("/ok/1", "a"), ("/ok/2", "a"), ("/ok/1", "b")):
        connection.call(post(receivers, path, guid))
    receivers.wait_for(3, timeout_s=10)
    assert [(got.path, got.guid) for got in receivers.receipts()] == [
        ("/ok/1", "a"),
        ("/ok/2", "a"),
        ("/ok/1", "b"),
    ]
    connection.close()
    with pytest.raises(Broken, match="4 deliveries reach"):
        receivers.wait_for(4, timeout_s=0.1)


def test_receivers_refuse_drip_and_hang(receivers: Receivers) -> None:
    refusing, hanging = Connection(receivers.port), Connection(receivers.port)
    assert refusing.call(post(receivers, "/refuse/1", "a"))[0] == 400
    status, body = refusing.call(post(receivers, "/drip/1", "a"))
    assert (status, len(body)) == (200, 20)
    hanging.send(post(receivers, "/hang/1", "a"))
    receivers.wait_for(3, timeout_s=10)
    hanging.socket.settimeout(0.1)
    with pytest.raises(TimeoutError):
        hanging.socket.recv(1)
    refusing.close()
    hanging.close()


@pytest.mark.parametrize(("topic", "name"), KINDS)
def test_what_is_published_fits_its_family(topic: str, name: str) -> None:
    first, second = texts(topic, name, 2)
    assert complete(TOPICS[topic], first, FILLING).guid != complete(TOPICS[topic], second, FILLING).guid


def test_there_is_a_kind_of_event_for_each_subscription() -> None:
    assert len(KINDS) == SUBSCRIPTIONS


def test_events_are_about_many_assets() -> None:
    found = {json.loads(text)["assetId"] for text in texts("asset-operations", "asset-updated", 500)}
    assert len(found) == 500
    assert max(found) < KEYS


def test_an_array_holds_so_many_events() -> None:
    one, many = (next(calls("asset-operations", "asset-updated", "t", count)) for count in (1, 3))
    assert isinstance(json.loads(one.partition(b"\r\n\r\n")[2]), dict)
    assert len(json.loads(many.partition(b"\r\n\r\n")[2])) == 3


def test_each_call_is_made_once_at_its_moment() -> None:
    with Receiver(lambda _: Reply(status=202)) as api:
        planned = [call(n / 100, "asset-operations", "asset-updated", "t") for n in range(12)]
        sent = publish(api.port, planned)
        assert list(sent) == [made.guid for made in planned] or sorted(sent) == [
            made.guid for made in planned
        ]
        assert sorted(json.loads(got.body)["guid"] for got in api.got) == sorted(sent)


def test_a_call_that_is_refused_breaks_the_measurement() -> None:
    with (
        Receiver(lambda _: Reply(status=400, body=b"why")) as api,
        pytest.raises(Broken, match="answered 400: b'why'"),
    ):
        publish(api.port, [call(0, "asset-operations", "asset-updated", "t")])


def test_an_api_that_is_gone_breaks_the_measurement() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with pytest.raises(Broken, match="Publishing failed"):
        publish(port, [Call(0, "a", b"")])


class Canned:
    """In place of `Events`: what it measures grows by 1 with every measurement."""

    def __init__(self) -> None:
        self._numbers = itertools.count(1)
        self.asked: list[str] = []

    def _arrived(self, what: str) -> Arrived:
        self.asked.append(what)
        took = next(self._numbers) / 1000
        return Arrived(
            [took] * 100,
            0,
            dict.fromkeys((*WORKERS, "redis", "api", "receivers", "others"), 0.1),
            0.0,
            0.0,
        )

    def to_all(self, rate: float, seconds: float, followers: int, topic: str = "") -> Arrived:
        return self._arrived(f"{followers} {topic}".strip())

    def to_one(self, rate: float, seconds: float) -> Arrived:
        return self._arrived("one")

    def followers(self, count: int, topic: str = "") -> Any:
        return nullcontext()

    specialists = bad_ones = lambda self: nullcontext()

    def drain(self, count: int, *, ordered: bool) -> Drained:
        return Drained(
            count,
            count / (6000 if ordered else 7000),
            dict.fromkeys((*WORKERS, "redis", "moto"), 0.1),
        )

    def fill(self, count: int) -> str:
        return "2026-11-21T18:00:00Z"

    @contextmanager
    def replaying(self, since: str, *, webhook: bool) -> Iterator[Any]:
        yield lambda: Replayed(1000, [(1.0, 500)], None if webhook else 2.0)

    def publishing(self, seconds: float, count: int) -> float:
        return 100.0 * count


def test_the_section_compares_what_the_goals_are_about() -> None:
    report = Report()
    section = EventsSection(QUICK, report, lambda _: None)
    events: Any = Canned()
    section.measure(events)
    rows = {what: (value, goal) for what, value, goal in comparisons(report)}
    assert rows == {
        "publish to receipt, each event to all 20: p99": ("2.00 ms", "< 100 ms"),
        "publish to receipt, each event to one of 20: p99": ("4.00 ms", "< 100 ms"),
        "p99 of seventeen, with the three : without the three": ("1.17", "≤ 1.5"),
        "drained to Kinesis, ordered": ("6,000/s", "≥ 5,000/s"),
        "drained to Kinesis, unordered, 4 in flight": ("7,000/s", "≥ 5,000/s"),
        "live p99, beside a replay to Kinesis : before it": ("1.11", ""),
        "live p99, beside a replay to a webhook : before it": ("1.09", ""),
    }
    figure = report.figure("Events: replay beside live delivery", "1,000 replayed to Kinesis")
    assert figure is not None
    assert figure.median == 2.0


def test_nothing_is_compared_that_was_not_measured() -> None:
    assert comparisons(Report()) == []


@pytest.mark.parametrize("plan", [FULL, QUICK], ids=["full", "quick"])
def test_a_plan_has_the_rate_of_the_goal(plan: Plan) -> None:
    assert "events" in SECTIONS
    assert plan.events.rate == 200


def test_listeners_are_woken_all_and_what_it_costs_is_shown(tmp_path: Path) -> None:
    listeners, report = Listeners(tmp_path), Report()
    section = EventsSection(QUICK, report, lambda _: None)
    try:
        for count, messages in ((10, 10), (100, 1)):
            woken = listeners.measure(count)
            assert (woken.woken, woken.messages) == (count, messages)
            assert min(woken.publish_ms, woken.figures_ms, woken.audit_ms) > 0
            section.woken(count, woken)
    finally:
        listeners.stop()
    shown = [what for what, _, _ in comparisons(report, (10, 100))]
    assert shown == ["publishing script, 100 listen", "publishing script, 100 listen : 10"]
    with pytest.raises(Broken):
        section.woken(7, woken)
