"""The event log on fakeredis and on a real server: publishing, reading on, and what is told of what is gone."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

import fakeredis
import pytest
from redis import Redis

from app.events.envelope import RefusedEvent
from app.events.log import (
    GUID_SPANS,
    PUBLISH_EVENTS,
    READ_LOOKED,
    SCRIPTS,
    EventLog,
    LogPage,
    Published,
    Repeatable,
)
from app.platform.clock import to_ms
from app.platform.errors import BadRequest, InvalidInput, Unavailable, Unprocessable
from app.platform.scripts import ScriptFolder
from tests.support.keys import AllKeys
from tests.support.published import SAMPLES, changed, with_type

ASSETS = "asset-operations"
DAY_MS = 86_400_000
START_MS = to_ms(datetime(2026, 11, 21, 12, 0, tzinfo=UTC))


class Desk:
    """A log, its clock, and short ways to say what these tests say often."""

    def __init__(self, client: Any, keys: AllKeys, *, flags: bool) -> None:
        self.client = client
        self.keys = keys
        self.now_ms = START_MS
        self.log = EventLog(
            client, keys, now_ms=lambda: self.now_ms, scripts=ScriptFolder(SCRIPTS, flags=flags)
        )

    def publish(self, *events: bytes, topic: str = ASSETS, **more: Any) -> list[Published | RefusedEvent]:
        return self.log.publish(topic, events, "tests", **more)

    def sequences(self, *events: bytes, topic: str = ASSETS) -> list[int]:
        answers = self.publish(*events, topic=topic)
        assert all(isinstance(answer, Published) for answer in answers), answers
        return [answer.sequence for answer in answers if isinstance(answer, Published)]

    def fill(self, count: int) -> None:
        """Created and updated by turns, a second apart."""
        for number in range(1, count + 1):
            self.sequences(event("asset-created" if number % 2 else "asset-updated", number))
            self.now_ms += 1000

    def take(self, **options: Any) -> tuple[list[int], LogPage]:
        page = self.log.read(ASSETS, **options)
        return [entry.sequence for entry in page.entries], page

    def drop_before(self, sequence: int) -> None:
        """As retention does."""
        self.client.xtrim(self.keys.log(ASSETS), minid=f"{sequence}-0", approximate=False)


def guid_keys(desk: Desk, topic: str) -> list[Any]:
    return list(desk.client.scan_iter(f"{desk.keys.log(topic)}:guids:*"))


def event(name: str, number: int, **more: Any) -> bytes:
    return json.dumps({"eventName": name, "assetId": number, **more}).encode()


@pytest.fixture(params=["fakeredis", "valkey"])
def desk(request: pytest.FixtureRequest, tenant: str) -> Desk:
    if request.param == "fakeredis":
        return Desk(fakeredis.FakeRedis(), AllKeys(tenant), flags=False)
    return Desk(request.getfixturevalue("redis_client"), AllKeys(tenant), flags=True)


# Publishing ---------------------------------------------------------------------------------------


def test_every_event_comes_back_byte_for_byte(desk: Desk) -> None:
    by_topic: dict[str, list[bytes]] = {}
    for (topic, _), raw in SAMPLES.items():
        by_topic.setdefault(topic, []).append(raw)
    for name in ("user-domain-event", "order-domain-event"):
        by_topic["user-service-domain-events"] += with_type(name)
    for topic, events in by_topic.items():
        assert desk.sequences(*events, topic=topic) == list(range(1, len(events) + 1))
        page = desk.log.read(topic)
        assert [entry.event for entry in page.entries] == events
        for entry in page.entries:
            told = json.loads(entry.event)
            assert (entry.topic, entry.name, entry.guid) == (topic, told["eventName"], told["guid"])
            assert entry.at_ms == START_MS


def test_each_topic_counts_for_itself_and_an_array_keeps_its_order(desk: Desk) -> None:
    assert desk.sequences(*(event("asset-created", n) for n in range(PUBLISH_EVENTS + 20))) == list(
        range(1, PUBLISH_EVENTS + 21)
    )
    assert desk.sequences(
        SAMPLES["category-operations", "category-created"], topic="category-operations"
    ) == [1]
    page = desk.log.read(ASSETS, limit=1000)
    assert [json.loads(entry.event)["assetId"] for entry in page.entries] == list(range(PUBLISH_EVENTS + 20))
    assert desk.log.last((ASSETS, "category-operations", "sync-operations")) == {
        ASSETS: PUBLISH_EVENTS + 20,
        "category-operations": 1,
        "sync-operations": 0,
    }


def test_a_bad_event_of_several_is_answered_at_its_place_and_the_others_are_taken(desk: Desk) -> None:
    first, bad, last = desk.publish(event("asset-created", 1), event("asset-created", 2, properties=[]), event("asset-created", 3))  # fmt: skip
    assert isinstance(first, Published)
    assert isinstance(last, Published)
    assert (first.sequence, last.sequence) == (1, 2)
    assert isinstance(bad, RefusedEvent)
    assert isinstance(bad.error, InvalidInput)
    assert (bad.index, bad.problems) == (1, [("properties", "Not a JSON object.")])
    assert desk.take()[0] == [1, 2]


def test_a_guid_that_comes_again_is_answered_as_the_first_time_for_a_day(desk: Desk) -> None:
    one = changed(SAMPLES[ASSETS, "asset-created"], guid="g:1")
    [first] = desk.publish(one)
    desk.sequences(event("asset-updated", 1))
    [again] = desk.publish(changed(one, assetId=99))
    assert isinstance(first, Published)
    assert again == Published("g:1", first.sequence, duplicate=True)
    assert desk.take()[0] == [1, 2]
    # Its own topic only; and once the server has forgotten it, it is an event like any other.
    elsewhere = changed(SAMPLES["category-operations", "category-created"], guid="g:1")
    assert desk.publish(elsewhere, topic="category-operations") == [Published("g:1", 1, duplicate=False)]
    [kept] = guid_keys(desk, ASSETS)
    assert DAY_MS < desk.client.pttl(kept) <= DAY_MS + DAY_MS // GUID_SPANS
    desk.now_ms += DAY_MS
    assert desk.publish(one) == [again]
    desk.now_ms += DAY_MS // GUID_SPANS
    assert desk.sequences(one) == [3]


def test_guids_of_a_part_of_the_day_are_kept_together_and_in_short(desk: Desk) -> None:
    for number in range(3):
        desk.sequences(*(event("asset-created", n, guid=f"{number}_{n}_{'x' * 200}") for n in range(50)))
    [key] = guid_keys(desk, ASSETS)
    assert desk.client.hlen(key) == 150
    assert {len(digest) for digest in desk.client.hkeys(key)} == {10}
    desk.now_ms += DAY_MS // GUID_SPANS
    desk.sequences(event("asset-created", 1))
    assert len(guid_keys(desk, ASSETS)) == 2


def test_a_guid_is_known_where_the_clock_was_set_back_since(desk: Desk) -> None:
    one = changed(SAMPLES[ASSETS, "asset-created"], guid="g:1")
    desk.now_ms = START_MS // DAY_MS * DAY_MS
    [first] = desk.publish(one)
    desk.now_ms -= 3_600_000
    assert isinstance(first, Published)
    assert desk.publish(one) == [Published("g:1", first.sequence, duplicate=True)]


def test_a_guid_that_the_release_before_has_noted_is_known_for_its_day(desk: Desk) -> None:
    one, other = (changed(SAMPLES[ASSETS, "asset-created"], guid=guid) for guid in ("g:1", "g:2"))
    for guid in ("g%3A1", "g%3A2"):
        desk.client.set(f"{desk.keys.log(ASSETS)}:guid:{guid}", "7", px=DAY_MS)
    assert desk.publish(one) == [Published("g:1", 7, duplicate=True)]
    desk.now_ms += DAY_MS + 1
    assert desk.sequences(other) == [1]


def test_no_more_is_published_than_there_is_room_for(desk: Desk) -> None:
    """What the memory tick has left; what comes again is answered only where it would have room too."""
    large = event("asset-created", 1, text="x" * 10_000)
    room = f"{desk.keys.prefix}store:events-room"
    desk.client.set(room, 30_000)
    assert desk.sequences(large, large) == [1, 2]
    assert 3_900 < int(desk.client.get(room)) < 4_100
    with pytest.raises(Unavailable) as refused:
        desk.publish(large)
    assert (refused.value.code, refused.value.retry_after) == ("store_full", 10)
    assert desk.sequences(event("asset-created", 2)) == [3], "a small one has room"
    desk.client.delete(room)
    assert desk.sequences(large) == [4]


def test_a_guid_twice_in_one_array_is_one_event(desk: Desk) -> None:
    one = changed(SAMPLES[ASSETS, "asset-created"], guid="same")
    assert desk.publish(one, event("asset-created", 5, guid="other"), one) == [
        Published("same", 1, duplicate=False),
        Published("other", 2, duplicate=False),
        Published("same", 1, duplicate=True),
    ]


def test_an_idempotency_key_gives_the_same_answer_and_refuses_another_body(desk: Desk) -> None:
    events = (event("asset-created", 1), event("asset-created", 2))
    first = desk.publish(*events, repeatable=Repeatable("key", "body"))
    again = desk.publish(*events, repeatable=Repeatable("key", "body"))
    assert [answer.guid for answer in first if isinstance(answer, Published)] == [
        answer.guid for answer in again if isinstance(answer, Published)
    ]
    assert desk.take()[0] == [1, 2]
    with pytest.raises(Unprocessable):
        desk.publish(event("asset-created", 3), repeatable=Repeatable("key", "other body"))
    assert desk.take()[0] == [1, 2]
    assert 86_000_000 < desk.client.pttl(desk.keys.idempotency("key")) <= 86_400_000


def test_a_full_store_takes_no_events(desk: Desk) -> None:
    desk.client.set(f"{desk.keys.prefix}store:full", "1")
    with pytest.raises(Unavailable) as refused:
        desk.publish(event("asset-created", 1))
    assert refused.value.code == "store_full"
    assert desk.log.last((ASSETS,)) == {ASSETS: 0}


def test_a_store_that_fills_up_midway_says_which_events_it_has_not(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    append: Callable[..., list[Published]] = desk.log._append

    def once(topic: str, events: Sequence[Any], repeatable: Repeatable | None) -> list[Published]:
        answers = append(topic, events, repeatable)
        desk.client.set(f"{desk.keys.prefix}store:full", "1")
        return answers

    monkeypatch.setattr(desk.log, "_append", once)
    answers = desk.publish(*(event("asset-created", n) for n in range(PUBLISH_EVENTS + 2)))
    assert [type(answer) for answer in answers] == [Published] * PUBLISH_EVENTS + [RefusedEvent] * 2
    late = answers[-1]
    assert isinstance(late, RefusedEvent)
    assert (late.index, late.error.status, late.error.retryable) == (PUBLISH_EVENTS + 1, 503, True)


def test_a_store_that_goes_away_for_a_moment_midway_keeps_the_order(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    append: Callable[..., list[Published]] = desk.log._append
    calls: list[int] = []

    def flaky(topic: str, events: Sequence[Any], repeatable: Repeatable | None) -> list[Published]:
        calls.append(len(events))
        if len(calls) == 2:
            raise Unavailable("away")
        return append(topic, events, repeatable)

    monkeypatch.setattr(desk.log, "_append", flaky)
    events = [event("asset-created", n, guid=f"g{n}") for n in range(3 * PUBLISH_EVENTS)]
    answers = desk.publish(*events)
    assert [type(one) for one in answers] == [Published] * PUBLISH_EVENTS + [
        RefusedEvent
    ] * 2 * PUBLISH_EVENTS
    assert len(calls) == 2
    again = desk.publish(*events)
    assert [one.sequence for one in again if isinstance(one, Published)] == [
        *range(1, 3 * PUBLISH_EVENTS + 1)
    ]


def test_there_must_be_such_a_topic(desk: Desk) -> None:
    with pytest.raises(BadRequest) as refused:
        desk.publish(event("asset-created", 1), topic="assets")
    assert refused.value.code == "unknown_topic"


# Reading ------------------------------------------------------------------------------------------


def test_reading_goes_on_from_a_sequence_a_page_at_a_time(desk: Desk) -> None:
    desk.fill(5)
    assert desk.take(limit=2)[0] == [1, 2]
    found, page = desk.take(after=2, limit=2)
    assert (found, page.next, page.last, page.missed) == ([3, 4], 4, 5, None)
    found, page = desk.take(after=4)
    assert (found, page.next) == ([5], 5)
    found, page = desk.take(after=5)
    assert (found, page.next, page.missed) == ([], 5, None)


def test_an_empty_log_is_read_from_its_beginning(desk: Desk) -> None:
    for after in (None, 0):
        assert desk.log.read(ASSETS, after) == LogPage((), 0, None, 0)
    assert desk.log.first_after(ASSETS, START_MS) == 0


def test_names_are_filtered_and_each_entry_knows_the_one_before_it(desk: Desk) -> None:
    desk.fill(7)
    page = desk.log.read(ASSETS, names={"asset-updated"}, limit=2)
    assert [(entry.sequence, entry.previous) for entry in page.entries] == [(2, 0), (4, 2)]
    assert page.next == 4
    page = desk.log.read(ASSETS, page.next, names={"asset-updated"}, previous=4)
    assert [(entry.sequence, entry.previous) for entry in page.entries] == [(6, 4)]
    assert (page.next, page.last) == (7, 7)
    page = desk.log.read(ASSETS, names={"asset-deleted"})
    assert (page.entries, page.next) == ((), 7)


def test_one_read_looks_at_a_bounded_number_and_says_how_far(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.events.log.READ_LOOKED", 20)
    desk.fill(50)
    found, page = desk.take(names={"asset-deleted"})
    assert (found, page.next, page.last) == ([], 20, 50)
    assert READ_LOOKED <= 500


def test_one_read_returns_a_bounded_number_of_bytes_but_one_entry_at_least(desk: Desk) -> None:
    large = [event("asset-created", n, text="x" * 1_000) for n in range(5)]
    desk.sequences(*large)
    found, page = desk.take(max_bytes=2_500)
    assert (found, page.next) == ([1, 2], 2)
    found, page = desk.take(after=2, max_bytes=10)
    assert (found, page.next) == ([3], 3)


def test_reading_since_a_time(desk: Desk) -> None:
    desk.fill(40)
    for number in (1, 2, 17, 40):
        published = START_MS + (number - 1) * 1000
        assert desk.log.first_after(ASSETS, published) == number - 1
        assert desk.log.first_after(ASSETS, published + 1) == number
        assert desk.take(since_ms=published, limit=1)[0] == ([number])
    assert desk.log.first_after(ASSETS, 0) == 0
    assert desk.take(since_ms=START_MS, after=30, limit=1)[0] == [31]
    assert desk.take(since_ms=desk.now_ms)[0] == []
    desk.drop_before(11)
    assert desk.log.first_after(ASSETS, 0) == 10
    found, page = desk.take(since_ms=0, limit=1)
    assert (found, page.missed) == ([11], None)


def test_what_retention_took_before_it_was_read_is_said(desk: Desk) -> None:
    desk.fill(10)
    desk.drop_before(7)
    found, page = desk.take(after=3)
    assert (found, page.missed, page.next) == ([7, 8, 9, 10], (4, 6), 10)
    assert desk.take(after=0)[1].missed == (1, 6)
    assert desk.take(after=6)[1].missed is None
    assert desk.take()[1].missed is None  # whoever asks for what there is misses nothing


def test_a_log_that_is_empty_again_says_what_was_missed(desk: Desk) -> None:
    desk.fill(3)
    desk.drop_before(100)
    found, page = desk.take(after=1)
    assert (found, page.missed, page.next, page.last) == ([], (2, 3), 3, 3)
    assert desk.log.first_after(ASSETS, 0) == 3
    desk.fill(1)
    assert desk.take(after=3)[0] == [4]


def test_a_place_of_a_later_life_goes_back_to_the_newest(desk: Desk) -> None:
    desk.fill(3)
    found, page = desk.take(after=9)
    assert (found, page.missed, page.next) == ([], None, 3)


def test_the_epoch_stays_until_whoever_restores_a_copy_removes_it(desk: Desk) -> None:
    epoch = desk.log.epoch()
    assert epoch
    assert desk.log.epoch() == epoch
    desk.client.delete(desk.keys.log_epoch)
    assert desk.log.epoch() not in ("", epoch)


def test_the_log_is_kept_to_its_length(redis_client: Redis, tenant: str) -> None:
    log = EventLog(redis_client, AllKeys(tenant), length=500)
    for _ in range(12):
        log.publish(ASSETS, [event("asset-created", n) for n in range(100)], "tests")
    assert 500 <= int(redis_client.xlen(AllKeys(tenant).log(ASSETS))) < 800
    page = log.read(ASSETS, 0, limit=1)
    assert page.missed == (1, page.entries[0].sequence - 1)
