"""Callers who follow the event stream, against the API as it runs: who doesn't read, who may no longer, and how many there may be."""

from __future__ import annotations

import json
import select
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
import requests

from tests.integration.test_api_process import HEADERS, TOKEN, running, timed
from tests.support.api import ApiProcess
from tests.support.server import RealServer
from tests.support.wait import until

TOPIC = "asset-operations"
FOLLOWERS = 200
EVENTS, EVENT_BYTES = 5, 1_000_000


@pytest.fixture
def api(real_server: RealServer, tmp_path: Path) -> Iterator[ApiProcess]:
    yield from running(real_server, tmp_path, MAX_STREAMS=str(FOLLOWERS + 10))


def follow(api: ApiProcess, token: str = TOKEN) -> socket.socket:
    """A connection whose stream has begun, and of which nothing more is read."""
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    connection.settimeout(30)
    connection.connect(("127.0.0.1", api.port))
    ask = f"GET /api/events/stream?topic={TOPIC} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n\r\n"
    connection.sendall(ask.encode())
    got = b""
    while b"retry:" not in got and b"too_many" not in got:
        got += connection.recv(4096)
    if b"too_many" in got:
        connection.close()
        raise ConnectionRefusedError(got.decode())
    return connection


def ended(connection: socket.socket) -> bool:
    """Whether the other side has ended it; what it had sent before is read on the way."""
    connection.settimeout(0.01)
    try:
        while connection.recv(1_000_000):
            pass
    except TimeoutError:
        return False
    except OSError:
        return True
    return True


def cut_off(connections: list[socket.socket]) -> int:
    """How many the other side has reset, found out without reading."""
    watched = select.poll()
    for connection in connections:
        watched.register(connection, 0)
    return sum(bool(seen & (select.POLLERR | select.POLLHUP)) for _, seen in watched.poll(0))


@pytest.mark.processes
def test_followers_who_do_not_read_cost_nobody_anything_and_are_cut_off(api: ApiProcess) -> None:
    before = api.memory_mb()
    with ExitStack() as opened:
        idle = [opened.enter_context(follow(api)) for _ in range(FOLLOWERS)]
        asleep = api.memory_mb()
        reading = requests.get(
            f"{api.url}/api/events/stream?topic={TOPIC}", headers=HEADERS, stream=True, timeout=30
        )
        events = [
            {"eventName": "asset-created", "assetId": n, "properties": {"text": "x" * EVENT_BYTES}}
            for n in range(EVENTS)
        ]
        answer, took = timed("POST", f"{api.url}/api/events/{TOPIC}", json=events)
        assert answer.status_code == 202, answer.text
        assert took < 3
        lines = (line for line in reading.iter_lines(chunk_size=65536) if line.startswith(b"data: "))
        got = [json.loads(next(lines)[len(b"data: ") :])["sequence"] for _ in range(EVENTS)]
        assert got == list(range(got[0], got[0] + EVENTS))
        reading.close()
        held = api.memory_mb()
        until(lambda: cut_off(idle) == FOLLOWERS, timeout_s=60, what="all to be cut off")
        until(
            lambda: api.memory_mb() < asleep + 30, timeout_s=20, what=f"memory ({before}, {asleep}, {held})"
        )
        assert held < asleep + 90
    assert api.log.read_text().count("its reader takes nothing") == FOLLOWERS
    assert "Traceback" not in api.log.read_text()
    follow(api).close()


@pytest.mark.processes
def test_a_stream_ends_soon_after_its_token(api: ApiProcess) -> None:
    made = timed("POST", f"{api.url}/api/tokens", json={"name": "follower", "scopes": ["read"]})[0].json()
    with follow(api, made["token"]) as revoked, follow(api) as other:
        assert not ended(revoked)
        assert timed("DELETE", f"{api.url}/api/tokens/{made['id']}")[0].status_code == 200
        began = time.monotonic()
        until(lambda: ended(revoked), timeout_s=10, what="the stream to end")  # heartbeats come every 15 s
        assert time.monotonic() - began < 10
        assert not ended(other)


@pytest.mark.processes
def test_a_process_serves_as_many_streams_as_it_is_set_to(real_server: RealServer, tmp_path: Path) -> None:
    for api in running(real_server, tmp_path, MAX_STREAMS="2"):
        with ExitStack() as opened:
            refused: list[str] = []
            for _ in range(60):
                try:
                    opened.enter_context(follow(api))
                except ConnectionRefusedError as error:
                    refused.append(str(error))
            assert 60 - len(refused) <= 4  # of two processes
            assert all("503" in text and "Retry-After" in text for text in refused)
            assert timed("GET", f"{api.url}/readyz")[0].status_code == 200
