"""The checker of the event stream is checked: journals with one thing wrong in each, and it says which."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.chaos import stream_judge
from tests.chaos.stream_judge import (
    ANY,
    BY_KEY,
    BY_TOPIC,
    Excuse,
    Paused,
    Published,
    Receipt,
    Replayed,
    Subscribed,
    Told,
    Verdict,
    judge,
)

ASSETS, SYNC = "asset-operations", "sync-operations"
WHOLE = Subscribed("whole", {ASSETS: frozenset()})
NAMES = Subscribed("names", {ASSETS: frozenset({"asset-created"})})
ALL_NAMES = ("asset-created", "asset-updated", "asset-created", "asset-deleted", "asset-created")


def event(number: int) -> Published:
    name, guid = ALL_NAMES[number - 1], f"g{number}"
    body = json.dumps({"eventName": name, "guid": guid, "n": 0.0}).encode()
    return Published(ASSETS, name, guid, body, [number])


EVENTS = [event(number) for number in range(1, 6)]


def got(number: int, previous: int, subscription: str = "whole", **members: Any) -> Receipt:
    sent = EVENTS[number - 1]
    receipt = Receipt(subscription, 10.0 + number, ASSETS, number, previous, sent.guid, sent.body)
    return replace(receipt, **members)


def whole() -> list[Receipt]:
    return [got(number, number - 1) for number in range(1, 6)]


def names() -> list[Receipt]:
    return [got(number, previous, "names") for number, previous in ((1, 0), (3, 1), (5, 3))]


def judged(*receipts: Receipt, **more: Any) -> Verdict:
    options: dict[str, Any] = {"subscribed": [WHOLE], "published": EVENTS, **more}
    return judge(options.pop("subscribed"), receipts, options.pop("published"), **options)


def wrong(*receipts: Receipt, **more: Any) -> set[str]:
    return set(judged(*receipts, **more).wrong)


def test_what_came_whole_and_in_order_is_fine() -> None:
    verdict = judged(*whole(), *names(), subscribed=[WHOLE, NAMES])
    assert verdict.wrong == {}
    assert verdict.counted["whole: received"] == 5
    assert verdict.counted["names: received"] == 3


@pytest.mark.parametrize("lost", range(5))
def test_an_event_that_never_came_is_missing_and_leaves_a_gap(lost: int) -> None:
    receipts = whole()
    del receipts[lost]
    assert wrong(*receipts) == ({"missing", "gap"} if lost < 4 else {"missing"})


def test_a_gap_is_found_in_a_subscription_to_single_names_too() -> None:
    first, _, third = names()
    found = judged(first, third, subscribed=[NAMES])
    assert set(found.wrong) == {"missing", "gap"}
    assert found.wrong["gap"] == ["names: asset-operations 5 names 3 before it, not 1"]


def test_a_chain_that_hides_what_it_left_out_is_a_missing_event_all_the_same() -> None:
    first, _, third = names()
    assert wrong(first, replace(third, previous=1), subscribed=[NAMES]) == {"missing"}


def test_a_chain_that_passes_over_what_came_is_a_gap() -> None:
    receipts = whole()
    receipts[2] = got(3, 1)
    assert wrong(*receipts) == {"gap"}


def test_one_sequence_that_names_two_before_it_is_a_gap() -> None:
    assert wrong(*whole(), got(5, 3), excuses=[Excuse(0, 99)]) == {"gap"}


def test_a_swap_is_found_where_order_was_promised() -> None:
    one, two, three, four, five = whole()
    swapped = [one, three, two, four, five]
    assert wrong(*swapped) == {"disorder"}
    assert wrong(*swapped, subscribed=[replace(WHOLE, order=ANY)]) == set()


def test_order_by_key_is_order_within_each_key() -> None:
    keys = ["a", "b", "a", "b", "a"]
    one, two, three, four, five = (
        replace(receipt, key=key) for receipt, key in zip(whole(), keys, strict=True)
    )
    by_key = [replace(WHOLE, order=BY_KEY)]
    assert wrong(two, one, four, three, five, subscribed=by_key) == set()
    assert wrong(one, four, two, three, five, subscribed=by_key) == {"disorder"}
    assert wrong(two, one, four, three, five, subscribed=[replace(WHOLE, order=BY_TOPIC)]) == {"disorder"}


def test_a_changed_byte_is_found() -> None:
    receipts = whole()
    receipts[3] = got(4, 3, body=EVENTS[3].body.replace(b"0.0", b"0"))
    assert wrong(*receipts) == {"altered"}


def test_a_changed_byte_of_an_event_of_the_system_itself_is_found_by_comparison() -> None:
    own = Receipt("whole", 1.0, SYNC, 1, 0, "own", b'{"eventName":"sync-delivered","guid":"own"}')
    other = replace(own, subscription="names", body=b'{"guid":"own","eventName":"sync-delivered"}')
    both = [Subscribed("whole", {SYNC: frozenset()}), Subscribed("names", {SYNC: frozenset()})]
    assert wrong(own, replace(own, subscription="names"), subscribed=both, published=[], own=[SYNC]) == set()
    assert wrong(own, other, subscribed=both, published=[], own=[SYNC]) == {"altered"}


def test_another_guid_than_the_events_own_is_found() -> None:
    receipts = whole()
    receipts[1] = got(2, 1, guid="g3")
    assert "altered" in wrong(*receipts)


def test_what_nobody_published_or_asked_for_is_invented() -> None:
    assert wrong(*whole(), published=EVENTS[:4]) == {"invented"}
    assert wrong(*names(), got(4, 3, "names"), subscribed=[NAMES]) >= {"invented"}


def test_an_event_that_was_never_acknowledged_may_come_or_not() -> None:
    unheard = [*EVENTS[:4], replace(EVENTS[4], sequences=[])]
    assert wrong(*whole(), published=unheard) == set()
    assert wrong(*whole()[:4], published=unheard) == set()


def test_a_guid_with_two_places_was_published_twice() -> None:
    again = replace(got(5, 4), sequence=6, previous=5)
    assert wrong(*whole(), again) == {"published twice"}
    assert wrong(*whole(), published=[*EVENTS[:4], replace(EVENTS[4], sequences=[5, 6])]) == {
        "published twice"
    }
    assert wrong(*whole(), published=[*EVENTS[:4], replace(EVENTS[4], sequences=[6])]) == {"published twice"}


def test_what_comes_again_is_counted_where_a_fault_explains_it_and_wrong_elsewhere() -> None:
    receipts = [*whole(), got(5, 4, at=20.0)]  # it came at 15 first
    assert wrong(*receipts) == {"twice"}
    for fault in (Excuse(14, 15.5), Excuse(16, 17), Excuse(19, 30), Excuse(16, 17, "whole")):
        verdict = judged(*receipts, excuses=[fault])
        assert verdict.wrong == {}
        assert verdict.counted["whole: came again, by a fault"] == 1
    for fault in (Excuse(12, 14), Excuse(21, 22), Excuse(16, 17, "names")):
        assert wrong(*receipts, excuses=[fault]) == {"twice"}


def test_what_is_marked_as_redelivery_stands_outside_of_the_order_and_is_counted() -> None:
    one, two, three, four, five = whole()
    verdict = judged(one, three, four, five, replace(two, redelivery="parked", at=30.0))
    assert verdict.wrong == {}
    assert verdict.counted["whole: sent again by hand"] == 1


def test_what_the_system_did_and_never_told_is_missing() -> None:
    own = Receipt(
        "whole", 1.0, SYNC, 1, 0, "own", b'{"eventName":"sync-delivered","guid":"own","requestId":"r1"}'
    )
    subscribed = [Subscribed("whole", {SYNC: frozenset()})]
    options: dict[str, Any] = {"subscribed": subscribed, "published": [], "own": [SYNC]}
    assert wrong(own, told=[Told(SYNC, "sync-delivered", "requestId", "r1")], **options) == set()
    assert wrong(own, told=[Told(SYNC, "sync-delivered", "requestId", "r2")], **options) == {"missing"}
    assert wrong(own, told=[Told(SYNC, "sync-expired", "requestId", "r1")], **options) == {"missing"}
    elsewhere = Told("livestream-operations", "livestream-registered", "contentMediaId", "c")
    assert wrong(own, told=[elsewhere], **options) == set()


def replay(*numbers: int, at: float = 40.0) -> list[Receipt]:
    before = [0, *numbers]
    return [got(n, before[i], redelivery="r1", at=at + n) for i, n in enumerate(numbers)]


def test_a_replay_has_a_chain_of_its_own_without_a_hole() -> None:
    done = [Replayed("whole", "r1")]
    assert wrong(*whole(), *replay(1, 2, 3, 4, 5), replayed=done) == set()
    assert wrong(*whole(), *replay(2, 3)) == set()  # it wasn't waited for, or began later
    assert wrong(*whole(), *replay(2, 3, 4, 5), replayed=done) == {"replay"}
    one, two, *_ = replay(1, 2, 3)
    three = replay(1, 2, 3)[2]
    assert wrong(*whole(), one, three) == {"replay"}
    refused = got(2, 1, redelivery="parked", at=60.0)
    assert wrong(*whole(), one, three, refused) == set()
    assert wrong(*whole()[:2], one, two, three) == {"missing", "replay"}
    by_key = [replace(WHOLE, order=BY_KEY)]
    assert wrong(*whole(), one, three, subscribed=by_key) == set()
    assert wrong(*whole(), one, three, subscribed=by_key, replayed=done) == {"replay"}


def test_who_is_paused_gets_what_was_under_way_and_no_more() -> None:
    pause = Paused("whole", 2.0, 30.0)
    assert wrong(*whole(), paused=[pause]) == {"paused"}
    assert wrong(*whole(), paused=[replace(pause, since=10.5)]) == set()
    assert wrong(*whole(), paused=[replace(pause, subscription="names")]) == set()
    assert wrong(*whole(), paused=[replace(pause, until=9.0)]) == set()
    assert wrong(*whole(), paused=[pause], frozen=[Excuse(1.0, 3.0)]) == set()
    assert wrong(*whole(), paused=[pause], frozen=[Excuse(0.5, 1.5)]) == {"paused"}


def test_a_record_of_a_stream_is_the_event_with_what_was_added() -> None:
    told = b'{"a": [1] ,"sequence":7,"previousSequence":5'
    assert stream_judge.record(told + b"}") == (b'{"a": [1] }', 7, 5, None)
    assert stream_judge.record(told + b',"redelivery":"parked"}') == (b'{"a": [1] }', 7, 5, "parked")
    assert stream_judge.record(b'{"a": 1}') is None


def test_it_imports_nothing_of_the_product() -> None:
    source = Path(stream_judge.__file__).read_text()
    assert "import app" not in source
    assert "from app" not in source
