"""The event log is kept by age, on fakeredis and on a real server."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from app.events.catalogue import TOPICS
from app.events.retention import CHUNK, trim_logs
from app.outgoing.operations import Operations
from app.outgoing.service import RequestService
from app.outgoing.ticks import Ticks
from app.registrations.changes import TOPIC
from tests.support.outgoing import Bench

LOG = "sync-operations"


def write(bench: Bench, count: int) -> None:
    """As the scripts do: the id is a number of its own, the time stands in the entry."""
    pipe: Any = bench.client.pipeline()
    first = int(bench.client.xlen(bench.keys.log(LOG))) + 1
    for number in range(first, first + count):
        fields = {"event": "{}", "name": "x", "guid": "g", "at": int(bench.now.timestamp() * 1000)}
        pipe.xadd(bench.keys.log(LOG), fields, id=f"{number}-0")
    pipe.execute()


def ids(bench: Bench) -> list[int]:
    return [int(entry.split(b"-")[0]) for entry, _ in bench.client.xrange(bench.keys.log(LOG))]


def ticks(bench: Bench) -> Ticks:
    operations = Operations(bench.store, RequestService(bench.store))
    return Ticks(bench.store, operations, keep_log=timedelta(days=7))


def test_entries_are_removed_by_their_age_and_the_sequence_goes_on(bench: Bench) -> None:
    write(bench, 3)
    bench.pass_time(days=6)
    write(bench, 2)
    assert ticks(bench).trim() == 0
    bench.pass_time(days=1, seconds=1)
    assert ticks(bench).trim() == 3
    assert ids(bench) == [4, 5]
    bench.pass_time(days=7)
    assert ticks(bench).trim() == 2
    assert ids(bench) == []
    assert ticks(bench).trim() == 0


def test_more_than_a_chunk_is_removed_exactly(bench: Bench) -> None:
    write(bench, 2 * CHUNK + 5)
    bench.pass_time(days=8)
    write(bench, 3)
    assert ticks(bench).trim() == 2 * CHUNK + 5
    assert len(ids(bench)) == 3


def test_what_the_scripts_write_is_trimmed(bench: Bench) -> None:
    bench.accept(bench.patch())
    bench.run()
    assert ids(bench)
    bench.pass_time(days=8)
    assert ticks(bench).trim() > 0
    assert ids(bench) == []


def test_a_tick_removes_a_bounded_number(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.events.retention.STEPS", 2)
    write(bench, 2 * CHUNK + 5)
    bench.pass_time(days=8)
    before_ms = int(bench.now.timestamp() * 1000)
    assert trim_logs(bench.store.client, bench.keys, before_ms) == 2 * CHUNK
    assert len(ids(bench)) == 5


def test_every_topic_that_is_written_is_known() -> None:
    assert {TOPIC, LOG} <= set(TOPICS)
