"""Server-sent events over the API as it runs: gunicorn with its settings, on a real server."""

from __future__ import annotations

import json
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Self

import pytest
import requests

from app.cli.event_stream import Message, messages
from app.client import ApiClient, Unreachable
from tests.support.api import ApiProcess
from tests.support.published import SAMPLES, changed
from tests.support.server import RealServer
from tests.support.wait import until

TOKEN = "integration-token-" + "0" * 32
ASSETS = "/api/events/asset-operations"
SAMPLE = SAMPLES["asset-operations", "asset-created"]


class Reader:
    """An EventSource: reads in a thread, and connects again with the last id it has seen."""

    def __init__(self, url: str, **params: str) -> None:
        self.messages: list[Message] = []
        self.last_id: str | None = None
        self.connected = 0
        self._client = ApiClient(url, TOKEN, answer_s=20)
        self._params = params
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._read, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        until(lambda: self.last_id, what="the stream to begin")
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._client.close()

    def _read(self) -> None:
        while not self._stop.is_set():
            try:
                lines = self._client.lines("/api/events/stream", self._params, self.last_id)
                self.connected += 1
                for message in messages(lines):
                    self.last_id = message.id or self.last_id
                    if message.data:
                        self.messages.append(message)
                    if self._stop.is_set():
                        return
            except Unreachable:
                self._stop.wait(0.05)

    @property
    def sequences(self) -> list[int]:
        return [
            json.loads(message.data)["sequence"] for message in self.messages if message.kind == "message"
        ]


@pytest.fixture
def api(own_server: RealServer, tmp_path: Path) -> Iterator[ApiProcess]:
    environ = {
        "MEDIAOPS_REDIS_URL": own_server.url,
        "MEDIAOPS_TENANT": f"t{uuid.uuid4().hex[:12]}",
        "MEDIAOPS_API_TOKEN": TOKEN,
        "MEDIAOPS_DATA_DIR": str(tmp_path / "data"),
    }
    process = ApiProcess(environ, tmp_path / "api.log").start()
    yield process
    process.stop()


def publish(api: ApiProcess, *events: bytes) -> list[dict[str, Any]]:
    headers = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"}
    body = b"[" + b",".join(events) + b"]"
    answer = requests.post(api.url + ASSETS, data=body, headers=headers, timeout=10)
    assert answer.status_code == 202, answer.text
    results: list[dict[str, Any]] = answer.json()["results"]
    return results


def some(count: int) -> list[bytes]:
    return [changed(SAMPLE, guid=...) for _ in range(count)]


@pytest.mark.processes
def test_events_reach_every_follower_at_once_while_the_api_answers(api: ApiProcess) -> None:
    with ExitStack() as stack:
        readers = [stack.enter_context(Reader(api.url, topic="asset-operations")) for _ in range(30)]
        publish(api, SAMPLE)
        began = time.monotonic()
        until(lambda: all(reader.sequences == [1] for reader in readers), timeout_s=10, what="every follower")
        assert time.monotonic() - began < 5  # on a busy machine; POLL_S where it has nothing else to do
        assert all(json.loads(reader.messages[0].data)["event"] == json.loads(SAMPLE) for reader in readers)
        publish(api, *some(500))
        until(
            lambda: all(reader.sequences == list(range(1, 502)) for reader in readers),
            what="all of them, in order",
        )
        assert requests.get(f"{api.url}/healthz", timeout=5).ok


@pytest.mark.processes
def test_a_stop_ends_the_streams_and_they_go_on_at_the_next_process(api: ApiProcess) -> None:
    with Reader(api.url, topic="asset-operations") as reader:
        publish(api, *some(3))
        until(lambda: reader.sequences == [1, 2, 3], what="three events")
        began = time.monotonic()
        api.stop()
        assert time.monotonic() - began < 8  # not the 15 s that calls under way may take
        api.start()
        publish(api, *some(3))
        until(lambda: len(reader.sequences) >= 6, what="three more")
        assert reader.sequences == [1, 2, 3, 4, 5, 6]
        assert reader.connected > 1
        assert all(message.kind == "message" for message in reader.messages)


@pytest.mark.processes
def test_a_stream_outlives_a_store_that_is_killed(api: ApiProcess, own_server: RealServer) -> None:
    with Reader(api.url, topic="asset-operations") as reader:
        publish(api, *some(2))
        until(lambda: reader.sequences == [1, 2], what="two events")
        own_server.kill()
        own_server.start()

        def published() -> bool:
            try:
                publish(api, *some(1))
            except AssertionError:  # 503 while the connections are found to be dead
                return False
            return True

        until(published, what="the API to publish again")
        until(lambda: reader.sequences[-1:] == [3], what="the event after the restart")
        assert reader.sequences == [1, 2, 3]
        assert reader.connected == 1
