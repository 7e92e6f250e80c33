"""Following the log as server-sent events: resuming, gaps, heartbeats, and when a stream ends."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import fakeredis
import pytest
from flask import Flask
from redis.exceptions import ConnectionError as RedisConnectionError

from app.cli.event_stream import Message, messages
from app.events.catalogue import TOPICS
from app.events.log import SCRIPTS, EventLog
from app.events.streams import SLICE, Cursor, EventStream, EventStreams, StreamRequest
from app.events.watcher import LogWatcher
from app.platform.clock import to_ms, utcnow
from app.platform.errors import BadRequest, Unavailable
from app.platform.lifetime import Lifetime
from app.platform.scripts import ScriptFolder
from tests.support.keys import AllKeys
from tests.support.published import SAMPLES
from tests.support.wait import until
from tests.unit.http.conftest import BOOTSTRAP, Caller

ASSETS, CATEGORIES = "asset-operations", "category-operations"
_MOST_BEATS = 200  # without an event, until a test gives up
ALL: Mapping[str, frozenset[str]] = {ASSETS: frozenset(), CATEGORIES: frozenset()}


class Stage:
    """A log and its streams. Heartbeats come as often as nothing else does, so that no test waits long."""

    def __init__(self) -> None:
        self.redis = fakeredis.FakeRedis()
        self.keys = AllKeys("t")
        self.log = EventLog(self.redis, self.keys, scripts=ScriptFolder(SCRIPTS, flags=False))
        self.streams = EventStreams(
            self.log, heartbeat_s=0.05, watcher=LogWatcher(self.log, poll_s=0.005, places=3)
        )
        self.allowed = True
        self._started: list[EventStream] = []

    def publish(self, *names: str, topic: str = ASSETS) -> None:
        member = "assetId" if topic == ASSETS else "categoryId"
        self.log.publish(
            topic, [json.dumps({"eventName": name, member: 1}).encode() for name in names], "tests"
        )

    def follow(self, topics: Mapping[str, frozenset[str]] = ALL, **options: Any) -> Reading:
        stream = self.streams.begin(StreamRequest(topics, **options))
        self._started.append(stream)
        return Reading(stream.blocks(lambda: self.allowed))

    def end(self) -> None:
        for stream in self._started:
            stream.close()


class Reading:
    """A stream as a caller reads it."""

    def __init__(self, blocks: Iterator[bytes]) -> None:
        self.raw: list[bytes] = []
        self.last_id = ""
        self._messages = messages(self._lines(blocks))

    def _lines(self, blocks: Iterator[bytes]) -> Iterator[str]:
        for block in blocks:
            self.raw.append(block)
            yield from block.decode().split("\n")[:-1]

    def block(self) -> Message:
        message = next(self._messages)
        self.last_id = message.id or self.last_id
        return message

    def next(self) -> Any:
        """The next event or gap."""
        return json.loads(self._message().data)

    def places(self, count: int) -> list[tuple[str, int]]:
        return [(found["topic"], found["sequence"]) for found in (self.next() for _ in range(count))]

    def gap(self) -> Any:
        message = self._message()
        assert message.kind == "gap"
        return json.loads(message.data)

    def _message(self) -> Message:
        for _ in range(_MOST_BEATS):
            message = self.block()
            if message.data:
                return message
        raise AssertionError(f"nothing but {_MOST_BEATS} heartbeats")

    def ends(self) -> bool:
        return all(not message.data for message in self._messages)


@pytest.fixture
def stage() -> Iterator[Stage]:
    made = Stage()
    yield made
    made.end()
    until(
        lambda: not any(thread.name == "event-watcher" for thread in threading.enumerate()),
        what="the watcher to rest",
    )


def test_what_is_published_from_now_on_comes_as_it_was_written(stage: Stage) -> None:
    stage.publish("asset-created")
    reading = stage.follow()
    assert reading.block().data == ""  # it can go on from here even if nothing ever comes
    assert reading.last_id.endswith(f":{ASSETS}=1,{CATEGORIES}=0")
    raw = SAMPLES[ASSETS, "asset-updated"]
    stage.log.publish(ASSETS, [raw], "tests")
    assert reading.next() == {"topic": ASSETS, "sequence": 2, "event": json.loads(raw)}
    told = b"".join(reading.raw).replace(b"\ndata: ", b"\n")
    assert raw in told
    stage.publish("category-created", topic=CATEGORIES)
    assert reading.places(1) == [(CATEGORIES, 1)]


def test_a_stream_goes_on_after_its_last_id(stage: Stage) -> None:
    first = stage.follow()
    stage.publish(*["asset-created"] * 3)
    assert first.places(2) == [(ASSETS, 1), (ASSETS, 2)]
    stage.publish("category-created", topic=CATEGORIES)
    stage.publish(*["asset-updated"] * 250)
    again = stage.follow(resume=Cursor.read(first.last_id))
    found = again.places(252)
    assert [sequence for topic, sequence in found if topic == ASSETS] == list(range(3, 254))
    assert (CATEGORIES, 1) in found


def test_a_topic_that_the_last_id_does_not_know_is_followed_from_now_on(stage: Stage) -> None:
    stage.publish("asset-created")
    stage.publish("category-created", topic=CATEGORIES)
    resume = Cursor(stage.log.epoch(), {ASSETS: 0})
    reading = stage.follow(resume=resume)
    assert reading.places(1) == [(ASSETS, 1)]
    assert reading.last_id.endswith(f"{CATEGORIES}=1")


def test_only_the_names_that_are_wanted_come_and_the_id_moves_past_the_others(stage: Stage) -> None:
    reading = stage.follow({ASSETS: frozenset({"asset-deleted"})})
    stage.publish("asset-created", "asset-deleted", "asset-created")
    assert reading.places(1) == [(ASSETS, 2)]
    until(lambda: (reading.block(), reading.last_id.endswith("=3"))[1], what="a heartbeat with the new place")


def test_following_can_begin_at_a_time(stage: Stage) -> None:
    stage.publish("asset-created")
    reading = stage.follow(since_ms=to_ms(utcnow()) - 60_000)
    assert reading.places(1) == [(ASSETS, 1)]


def test_a_place_that_retention_has_passed_is_a_gap(stage: Stage) -> None:
    stage.publish(*["asset-created"] * 5)
    stage.redis.xtrim(stage.keys.log(ASSETS), minid="4-0", approximate=False)
    reading = stage.follow(resume=Cursor(stage.log.epoch(), {ASSETS: 1}))
    assert reading.gap() == {"topic": ASSETS, "reason": "fell_behind", "from": 2, "to": 3}
    assert reading.places(2) == [(ASSETS, 4), (ASSETS, 5)]


def test_another_life_of_the_log_is_a_gap(stage: Stage) -> None:
    stage.publish("asset-created", "asset-created")
    reading = stage.follow({ASSETS: frozenset()}, resume=Cursor("abc", {ASSETS: 7}))
    assert reading.gap() == {"topic": ASSETS, "reason": "restored"}
    stage.publish("asset-created")
    assert reading.places(1) == [(ASSETS, 3)]
    assert reading.last_id.startswith(stage.log.epoch())


def test_a_log_that_is_restored_meanwhile_is_a_gap(stage: Stage) -> None:
    stage.publish("asset-created", "asset-created")
    reading = stage.follow({ASSETS: frozenset()})
    reading.block()
    stage.redis.flushall()
    assert reading.gap() == {"topic": ASSETS, "reason": "restored"}
    stage.publish("asset-created")
    assert reading.places(1) == [(ASSETS, 1)]


def test_a_new_epoch_is_told_once_and_what_is_given_out_again_comes(stage: Stage) -> None:
    """Whoever restores a copy begins one; the sequences alone would not show it."""
    stage.publish(*["asset-created"] * 3)
    reading = stage.follow({ASSETS: frozenset()})
    reading.block()
    stage.redis.delete(stage.keys.log(ASSETS), stage.keys.log_sequence(ASSETS))
    stage.publish("asset-created")
    epoch = stage.log.begin_epoch()
    assert reading.gap() == {"topic": ASSETS, "reason": "restored"}
    stage.publish("asset-created")
    assert reading.places(1) == [(ASSETS, 2)]
    assert reading.last_id == f"{epoch}:{ASSETS}=2"
    for _ in range(3):  # heartbeats, each of which looks at the epoch
        assert not reading.block().data


def test_while_the_store_is_away_there_are_only_heartbeats(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    reading = stage.follow({ASSETS: frozenset()})
    reading.block()
    away = threading.Event()
    away.set()
    execute: Callable[..., Any] = stage.redis.execute_command

    def refuse(*args: Any, **options: Any) -> Any:
        if away.is_set():
            raise RedisConnectionError("away")
        return execute(*args, **options)

    monkeypatch.setattr(stage.redis, "execute_command", refuse)
    assert [reading.block().data for _ in range(3)] == ["", "", ""]
    away.clear()
    stage.publish("asset-created")
    assert reading.places(1) == [(ASSETS, 1)]


def test_a_caller_who_may_no_longer_read_is_left(stage: Stage) -> None:
    reading = stage.follow()
    reading.block()
    stage.allowed = False
    assert reading.ends()


def test_a_process_that_is_to_end_ends_its_streams(stage: Stage) -> None:
    stopping = threading.Event()
    stage.streams.end_when(stopping.is_set)
    reading = stage.follow()
    reading.block()
    stopping.set()
    assert reading.ends()


def test_there_are_only_so_many_places(stage: Stage) -> None:
    for _ in range(3):
        stage.follow()
    with pytest.raises(Unavailable) as refused:
        stage.follow()
    assert refused.value.code == "too_many_followers"
    stage._started[0].close()
    stage._started[0].close()
    stage.follow()
    with pytest.raises(Unavailable):
        stage.follow()


def test_a_reader_who_reads_nothing_costs_no_memory(stage: Stage) -> None:
    """A stream is only read from the log as far as its caller has taken it."""
    idle = stage.follow()
    idle.block()
    stage.publish(*["asset-created"] * 300)
    other = stage.follow(since_ms=0)
    assert len(other.places(300)) == 300
    assert len(idle.raw) == 1
    assert len(idle.places(300)) == 300


def test_followers_at_one_place_share_what_is_read(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second, other = (
        stage.follow(),
        stage.follow(),
        stage.follow({ASSETS: frozenset({"asset-deleted"})}),
    )
    for reading in (first, second, other):
        reading.block()
    asked: list[int] = []
    read = stage.log.read

    def counting(*args: Any, **more: Any) -> Any:
        asked.append(args[1])
        return read(*args, **more)

    monkeypatch.setattr(stage.log, "read", counting)
    monkeypatch.setattr("app.events.watcher._KEPT_S", 60)
    stage.publish(*["asset-created"] * 3, "asset-deleted")
    assert first.places(4) == second.places(4)
    assert other.places(1) == [(ASSETS, 4)]
    assert asked.count(0) == 2  # once for each choice of names


def test_a_caller_who_takes_nothing_is_cut_off(stage: Stage) -> None:
    stage.streams.watcher = LogWatcher(stage.log, poll_s=0.005, places=2, write_s=0.2)
    cut: list[str] = []
    idle = stage.streams.begin(StreamRequest(ALL), lambda: cut.append("idle"))
    stream = stage.streams.begin(StreamRequest(ALL), lambda: cut.append("reading"))
    next(idle.blocks(lambda: True))  # and the next is never asked for
    reading = Reading(stream.blocks(lambda: True))
    until(lambda: (reading.block(), cut)[1], what="the idle one to be cut off")
    stage.streams.begin(StreamRequest(ALL)).close()  # its place is free
    for _ in range(5):
        reading.block()
    assert cut == ["idle"]
    stream.close()
    idle.close()


def test_a_large_event_is_sent_in_slices(stage: Stage) -> None:
    reading = stage.follow({ASSETS: frozenset()})
    reading.block()
    large = {"eventName": "asset-created", "assetId": 1, "properties": {"text": "x" * (3 * SLICE)}}
    stage.log.publish(ASSETS, [json.dumps(large).encode()], "tests")
    stream = stage.streams.begin(StreamRequest({ASSETS: frozenset()}, since_ms=0))
    blocks = stream.blocks(lambda: True)
    got = b""
    while not got.endswith(b"}\n\n"):
        block = next(blocks)
        assert len(block) <= SLICE
        got += block
    stream.close()
    [event] = [json.loads(one.data) for one in messages(got.decode().split("\n")) if one.data]
    assert event["event"]["properties"] == large["properties"]


def test_no_look_at_the_store_without_a_follower(stage: Stage) -> None:
    stage.follow()
    assert any(thread.name == "event-watcher" for thread in threading.enumerate())
    stage.end()
    stage._started.clear()
    until(
        lambda: not any(thread.name == "event-watcher" for thread in threading.enumerate()),
        what="the watcher to end",
    )
    reading = stage.follow()
    stage.publish("asset-created")
    assert reading.places(1) == [(ASSETS, 1)]


@pytest.mark.parametrize("text", ["7", "abc", "abc:x", "abc:a=b", "abc:a=1,", "ABC:a=1", "a" * 40 + ":", "abc:a=" + "9" * 16])  # fmt: skip
def test_what_was_never_an_id_of_ours_is_refused(text: str) -> None:
    with pytest.raises(BadRequest):
        Cursor.read(text)


def test_an_id_is_read_as_it_was_written() -> None:
    for places in ({}, {ASSETS: 1}, dict.fromkeys(TOPICS, 10**14)):
        cursor = Cursor("0abc", places)
        assert Cursor.read(str(cursor)) == cursor


# Over HTTP ----------------------------------------------------------------------------------------


@pytest.fixture
def ending(app: Flask) -> None:
    """Streams end at once, so that a test client gets a whole answer."""
    app.extensions["container"][Lifetime].ends_when(lambda: True)


@pytest.mark.usefixtures("ending")
def test_the_stream_over_http(caller: Caller) -> None:
    answer = caller.get("/api/events/stream?topic=asset-operations&topic=category-operations")
    assert (answer.status_code, answer.mimetype) == (200, "text/event-stream")
    assert answer.headers["Cache-Control"] == "no-store"
    [block] = messages(answer.text.splitlines())
    assert block.id is not None
    assert set(Cursor.read(block.id).places) == {ASSETS, CATEGORIES}
    again = caller.get("/api/events/stream?topic=asset-operations", headers={"Last-Event-ID": block.id})
    assert again.status_code == 200
    everything = caller.get("/api/events/stream?eventName=asset-created,mce-ingest-failed")
    [block] = messages(everything.text.splitlines())
    assert block.id is not None
    assert set(Cursor.read(block.id).places) == {ASSETS, "media-content-events"}


@pytest.mark.usefixtures("ending")
@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("topic=nope", "unknown_topic"),
        ("topic=asset-operations,player-events", "gone"),
        ("topic=asset-operations&eventName=capture-order", "invalid_input"),
        ("since=x", "invalid_input"),
        ("after=1", "unknown_parameter"),
    ],
)
def test_a_stream_that_cannot_be_is_refused(caller: Caller, query: str, code: str) -> None:
    answer = caller.get(f"/api/events/stream?{query}")
    assert (answer.status_code, answer.json["code"]) == (400, code)


def test_a_bad_last_event_id_is_refused(caller: Caller) -> None:
    answer = caller.get("/api/events/stream", headers={"Last-Event-ID": "7"})
    assert (answer.status_code, answer.json["field"]) == (400, "Last-Event-ID")


def test_a_caller_who_goes_gives_the_place_free(app: Flask) -> None:
    began = time.monotonic()
    for _ in range(120):  # more than there are places
        client = app.test_client()
        answer = client.get("/api/events/stream", headers={"Authorization": f"Bearer {BOOTSTRAP}"})
        assert answer.status_code == 200
        assert next(iter(answer.response))
        answer.close()
    assert time.monotonic() - began < 60
