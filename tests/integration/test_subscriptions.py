"""A subscription's life with real processes: API, a worker of the events' queues, a receiver that verifies signatures."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import requests
from standardwebhooks import Webhook

from app.local.layout import new_key
from tests.support.api import ApiProcess
from tests.support.receiver import Got, Receiver, Reply
from tests.support.server import RealServer
from tests.support.wait import until
from tests.support.worker import WorkerProcess

pytestmark = pytest.mark.processes

TOKEN = "integration-token-" + "0" * 32
TOPIC = "asset-operations"


@dataclass
class Stream:
    """Who publishes, subscribes and receives."""

    api: ApiProcess
    receiver: Receiver
    logs: tuple[Path, ...]
    stored: Path  # what the server keeps on the disk
    key: str

    def call(self, method: str, path: str, status: int, **options: Any) -> Any:
        headers = {"Authorization": f"Bearer {TOKEN}"}
        answer = requests.request(method, f"{self.api.url}{path}", headers=headers, timeout=20, **options)
        assert answer.status_code == status, answer.text
        return answer.json()

    def subscribe(self, **more: Any) -> dict[str, Any]:
        sink = {"type": "webhook", "url": self.receiver.url, "headers": {"X-Key": "value-of-the-header"}}
        body = {"topics": [{"topic": TOPIC}], "sink": sink, **more}
        made: dict[str, Any] = self.call("POST", "/api/subscriptions", 201, json=body)
        return made

    def publish(self, count: int, name: str = "asset-created") -> None:
        events = [{"eventName": name, "assetId": number, "extra": {"kept": 0.0}} for number in range(count)]
        self.call("POST", f"/api/events/{TOPIC}", 202, json=events)

    def shows(self, path: str, wanted: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """What is shown at an address, once it is as wanted."""
        found: list[dict[str, Any]] = []

        def look() -> bool:
            found.append(self.call("GET", path, 200))
            return wanted(found[-1])

        until(look, what=f"{path} to show it")
        return found[-1]

    def wait_for(self, count: int) -> list[Got]:
        until(lambda: len(self.receiver.got) >= count, what=f"{count} deliveries")
        return list(self.receiver.got)


@pytest.fixture
def stream(real_server: RealServer, tmp_path: Path) -> Iterator[Stream]:
    key_file = tmp_path / "secrets-key"
    key_file.write_text(f"{new_key()}\n")
    environ = {
        "MEDIAOPS_SECRETS_KEY_FILE": str(key_file),
        "MEDIAOPS_REDIS_URL": real_server.url,
        "MEDIAOPS_TENANT": f"t{uuid.uuid4().hex[:12]}",
        "MEDIAOPS_API_TOKEN": TOKEN,
        "MEDIAOPS_DATA_DIR": str(tmp_path / "data"),
        "MEDIAOPS_ALLOWED_CIDRS": "127.0.0.0/8",
    }
    logs = (tmp_path / "api.log", tmp_path / "worker.log")
    api = ApiProcess(environ, logs[0])
    worker = WorkerProcess("workers.app", "events@test", "deliveries,deliveries-slow", environ, logs[1])
    with Receiver() as receiver:
        try:
            worker.start()
            yield Stream(
                api.start(), receiver, logs, real_server.layout.directory, key_file.read_text().strip()
            )
        finally:
            worker.stop()
            api.stop()


def sequences(got: list[Got]) -> list[int]:
    return [int(one.headers["x-mediaops-sequence"]) for one in got]


def verified(secret: str, got: Got) -> bool:
    """Whether a delivery is signed with this secret (among others)."""
    Webhook(secret).verify(got.body, dict(got.headers))
    return True


def test_the_life_of_a_subscription(stream: Stream) -> None:
    made = stream.subscribe()
    path = f"/api/subscriptions/{made['id']}"
    assert stream.call("POST", f"{path}/test", 200)["delivered"]
    (tested,) = stream.wait_for(1)
    assert verified(made["secret"], tested)
    stream.receiver.got.clear()

    stream.publish(3)
    got = stream.wait_for(3)
    assert sequences(got) == [1, 2, 3]
    assert [int(one.headers["x-mediaops-previous-sequence"]) for one in got] == [0, 1, 2]
    assert all(verified(made["secret"], one) for one in got)
    assert json.loads(got[0].body)["extra"] == {"kept": 0.0}
    assert b'"kept": 0.0' in got[0].body, "as it was published, byte for byte"
    assert got[0].headers["x-key"] == "value-of-the-header"

    stream.call("POST", f"{path}/pause", 200)
    stream.publish(2)
    assert stream.call("GET", path, 200)["lag"]["events"] == 2
    stream.call("POST", f"{path}/resume", 200)
    assert sequences(stream.wait_for(5)) == [1, 2, 3, 4, 5]

    rotated = stream.call("POST", f"{path}/secret/rotate", 200)
    stream.publish(1)
    sixth = stream.wait_for(6)[5]
    assert verified(made["secret"], sixth)
    assert verified(rotated["secret"], sixth)

    operation = stream.call("POST", f"{path}/replay", 202, json={"since": "2000-01-01T00:00:00Z"})
    replayed = stream.wait_for(12)[6:]
    assert sequences(replayed) == [1, 2, 3, 4, 5, 6]
    assert {one.headers["x-mediaops-redelivery"] for one in replayed} == {operation["id"]}
    progress = stream.shows(f"{path}/replay/{operation['id']}", lambda found: found["state"] == "done")
    assert (progress["done"], progress["total"]) == (6, 6)

    log = stream.call("GET", f"{path}/deliveries?limit=1000", 200)["deliveries"]
    assert [one["outcome"] for one in log] == ["delivered"] * 12
    stream.call("DELETE", path, 200)
    stream.publish(1)
    assert stream.call("GET", f"/api/events/{TOPIC}?after=6", 200)["events"]
    assert len(stream.receiver.got) == 12
    for text in (log_file.read_text() for log_file in stream.logs):
        for secret in (made["secret"], rotated["secret"], "value-of-the-header", TOKEN, stream.key):
            assert secret not in text
    kept = b"".join(file.read_bytes() for file in stream.stored.rglob("*") if file.is_file())
    assert made["id"].encode() in kept
    for secret in (made["secret"], rotated["secret"], "value-of-the-header", TOKEN, stream.key):
        assert secret.encode() not in kept


def test_what_is_refused_is_parked_and_can_be_sent_again(stream: Stream) -> None:
    refusing = True

    def answer(got: Got) -> Reply:
        wrong = refusing and json.loads(got.body)["assetId"] == 1
        return Reply(422 if wrong else 200)

    stream.receiver.answer = answer
    made = stream.subscribe(topics=[{"topic": TOPIC, "eventNames": ["asset-created"]}])
    path = f"/api/subscriptions/{made['id']}"
    stream.publish(3)
    stream.publish(1, "asset-deleted")
    assert sequences(stream.wait_for(3)) == [1, 2, 3]
    (parked,) = until(lambda: stream.call("GET", f"{path}/parked", 200)["parked"])
    assert (parked["sequence"], parked["event"]["assetId"]) == (2, 1)
    refusing = False
    stream.call("POST", f"{path}/parked/{parked['id']}/retry", 200)
    again = stream.wait_for(4)[3]
    assert (int(again.headers["x-mediaops-sequence"]), again.headers["x-mediaops-redelivery"]) == (
        2,
        "parked",
    )
    until(lambda: stream.call("GET", path, 200)["counters"]["delivered"] == 3)


def test_a_redirect_is_a_failure_and_is_never_followed(stream: Stream) -> None:
    with Receiver() as elsewhere:
        stream.receiver.answer = lambda _: Reply(302, {"Location": elsewhere.url})
        made = stream.subscribe()
        stream.publish(1)
        path = f"/api/subscriptions/{made['id']}"
        shown = stream.shows(path, lambda found: found["lastError"] is not None)
        assert shown["lastError"]["code"] == "redirected"
        assert (shown["lag"]["events"], elsewhere.got) == (1, [])
