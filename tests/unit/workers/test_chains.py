"""The chain GET → PATCH with a real worker, both ways: handed over in the worker, and through the broker."""

from __future__ import annotations

import ast
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from redis import Redis

from app.platform.dispatch import TEMPLATES, Envelope, fill
from app.platform.redis import connect
from tests.support.events import EventLog
from tests.support.server import RealServer
from tests.support.wait import until
from tests.support.worker import WorkerProcess

pytestmark = pytest.mark.processes
LINE = "booking of Home - Away (PATCH CM-1)"
WHOLE = ["task-received", "task-started", "task-succeeded"]


@dataclass
class Bench:
    """One worker, and somebody who listens to its events."""

    inline: bool
    client: Redis
    envelope: Envelope
    events: EventLog

    def push(self, kind: str, argument: str, queue: str = "live") -> tuple[str, str]:
        """A message as a script pushes it; the ids of its first and second task."""
        first, second, tag = (str(uuid.uuid4()) for _ in range(3))
        template = TEMPLATES[kind]
        message = fill(
            template, task_id=first, link_id=second, delivery_tag=tag, argument=argument, line=LINE
        )
        self.client.lpush(self.envelope.queue_key(queue), message)
        return first, second

    def result(self, task_id: str) -> dict[str, Any]:
        """What a task returned, by its event."""
        until(lambda: "task-succeeded" in self.events.kinds(task_id), what=f"{task_id} to succeed")
        (text,) = [event["result"] for event in self.events.of(task_id) if event["type"] == "task-succeeded"]
        value: dict[str, Any] = ast.literal_eval(text)
        return value

    def settle(self) -> None:
        """Until the worker has done what was pushed before, seen by one more task that has gone all the way."""
        _, second = self.push("patch", "a" * 32)
        until(lambda: self.events.kinds(second) == WHOLE, what="the worker to come to the last message")


@pytest.fixture(scope="module", params=[True, False], ids=["inline", "broker"])
def bench(
    request: pytest.FixtureRequest, real_server: RealServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Bench]:
    folder: Path = tmp_path_factory.mktemp("chains")
    tenant = f"t{uuid.uuid4().hex[:12]}"
    environ = {
        "MEDIAOPS_REDIS_URL": real_server.url,
        "MEDIAOPS_TENANT": tenant,
        "MEDIAOPS_DATA_DIR": str(folder),
        "MEDIAOPS_INLINE_CHAIN": str(request.param),
    }
    envelope = Envelope(tenant)
    events = EventLog(real_server.broker_url, envelope.prefix).start()
    worker = WorkerProcess(
        "tests.support.chain_app", "live1@test", "pending,live", environ, folder / "worker.log"
    ).start()
    yield Bench(request.param, connect(real_server.url), envelope, events)
    worker.stop()
    events.stop()
    log = worker.log()
    assert log.count("Traceback") == log.count("\nValueError: the"), log


def test_both_links_are_tasks_of_their_own(bench: Bench) -> None:
    first, second = bench.push("patch", "a" * 32)
    result = bench.result(second)
    assert (result["first"]["id"], result["second"]["id"]) == (first, second)
    assert (result["first"]["task"], result["second"]["task"]) == (
        "live.get_last_modified",
        "live.send_patch",
    )
    assert (result["second"]["root"], result["second"]["parent"]) == (first, first)
    until(lambda: bench.events.kinds(first) == WHOLE and bench.events.kinds(second) == WHOLE)
    if bench.inline:  # by the broker the second may be received before the first has been reported done
        order = [(e["uuid"], e["type"]) for e in bench.events.all() if e.get("uuid") in {first, second}]
        assert order == [(task_id, kind) for task_id in (first, second) for kind in WHOLE]


def test_events_say_what_flower_shows(bench: Bench) -> None:
    first, second = bench.push("patch", "a" * 32)
    until(lambda: bench.events.kinds(second) == WHOLE)
    got, patched = bench.events.of(first)[0], bench.events.of(second)[0]
    assert (got["name"], got["args"], got["root_id"], got["parent_id"]) == (
        "live.get_last_modified",
        LINE,
        first,
        None,
    )
    assert (patched["name"], patched["root_id"], patched["parent_id"]) == ("live.send_patch", first, first)
    assert patched["args"] == LINE
    done = bench.events.of(first)[-1]
    assert (done["type"], done["result"]) == ("task-succeeded", f"handed on: {LINE}")
    assert {e["hostname"] for e in bench.events.of(first) + bench.events.of(second)} == {"live1@test"}


def test_only_the_inline_chain_stays_in_its_thread(bench: Bench) -> None:
    _, second = bench.push("patch", "a" * 32)
    result = bench.result(second)
    if bench.inline:
        assert result["first"]["thread"] == result["second"]["thread"]
    assert bench.client.llen(bench.envelope.queue_key("live")) == 0


@pytest.mark.parametrize("argument", ["dead", "bad"], ids=["returns None", "fails"])
def test_a_link_that_hands_nothing_on_ends_the_chain(bench: Bench, argument: str) -> None:
    first, second = bench.push("patch", argument)
    bench.settle()
    ending = "task-succeeded" if argument == "dead" else "task-failed"
    until(lambda: bench.events.kinds(first)[-1:] == [ending])
    assert bench.events.of(second) == []


def test_a_second_link_that_fails_is_seen_to_fail(bench: Bench) -> None:
    first, second = bench.push("patch", "fade")
    until(lambda: bench.events.kinds(second)[-1:] == ["task-failed"])
    until(lambda: bench.events.kinds(first) == WHOLE)
    bench.settle()


@pytest.mark.parametrize(("kind", "queue"), [("send", "live"), ("promote", "pending")])
def test_other_messages_are_single_tasks(bench: Bench, kind: str, queue: str) -> None:
    first, second = bench.push(kind, "avos", queue)
    assert bench.result(first)["only"]["id"] == first
    bench.settle()
    assert bench.events.of(second) == []


def test_nothing_is_left_unacknowledged(bench: Bench) -> None:
    bench.settle()
    until(lambda: bench.client.hlen(f"{bench.envelope.prefix}unacked") == 0)
