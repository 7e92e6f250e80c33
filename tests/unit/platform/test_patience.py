"""One call waits a bounded time for a store that doesn't answer, whatever the number of its operations."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.platform.errors import Unavailable
from app.platform.redis import CALL_S, LEAST_S, connect, patience, store_errors


@pytest.fixture
def mute(tmp_path: Path) -> Iterator[str]:
    """The URL of a server that takes connections and never says a word."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "mute.sock"))
        listener.listen()
        yield f"unix://{tmp_path}/mute.sock"


def waited(url: str, timeout_s: float = 30.0) -> float:
    client = connect(url, timeout_s=timeout_s)
    started = time.monotonic()
    with pytest.raises(Unavailable), store_errors():
        client.get("anything")
    client.close()
    return time.monotonic() - started


def test_a_call_has_one_time_to_wait_and_no_operation_less_than_the_least(mute: str) -> None:
    with patience(1.0):
        first, second = waited(mute), waited(mute)
    assert 0.9 <= first < 20, "the whole time of the call, not the thirty seconds of the connection"
    assert LEAST_S * 0.9 <= second < 20, "the call's time is over; an operation always has the least"
    assert CALL_S + 0.1 < 1.5, "what the API promises, with a margin for answering"


def test_outside_of_a_call_the_connections_own_time_out_counts(mute: str) -> None:
    with patience(0.0):
        pass
    assert waited(mute, timeout_s=0.7) >= 0.65
