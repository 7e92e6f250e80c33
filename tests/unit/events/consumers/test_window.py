"""What an ordered consumer has read: what goes into the next call, and how far it has come."""

from __future__ import annotations

from app.events.consumers.acknowledgement import Place
from app.events.consumers.model import Item
from app.events.consumers.window import Window
from app.events.sinks.base import Delivery, Limits

LIMITS = Limits(events=3, bytes=100, event_bytes=100, one_per_key=False)


def item(sequence: int, *, topic: str = "a", entity: str = "e", size: int = 1, at_ms: int = 0) -> Item:
    event = b"x" * size
    return Item(Delivery(topic, sequence, sequence - 1, "n", f"g{sequence}", entity, "tenant", event, at_ms))


def window(*items: Item, limits: Limits = LIMITS, ahead: frozenset[str] = frozenset()) -> Window:
    made = Window(limits, ahead)
    position = {one.delivery.topic: (one.delivery.sequence, one.delivery.sequence) for one in items}
    made.add(items, position)
    return made


def test_a_call_takes_what_the_sink_takes_in_order() -> None:
    items = [item(n) for n in range(1, 6)]
    assert window(*items).batch() == items[:3]
    large = [item(1, size=60), item(2, size=60)]
    assert window(*large).batch() == large[:1]
    assert window(item(1, size=200)).batch() == [item(1, size=200)], "one event at least"


def test_a_call_takes_one_of_an_entity_where_the_sink_wants_that() -> None:
    limits = Limits(events=3, bytes=100, event_bytes=100, one_per_key=True)
    first, second, other = item(1), item(2), item(3, entity="other")
    held = window(first, second, other, limits=limits)
    assert held.batch() == [first, other]
    held.finish([first, other])
    assert held.batch() == [second]


def test_topics_are_merged_by_time_and_each_stays_in_order() -> None:
    a1, a2, b1 = item(1, at_ms=5), item(2, at_ms=9), item(1, topic="b", at_ms=7)
    assert window(a1, a2, b1).batch() == [a1, b1, a2]


def test_the_place_stops_before_the_first_that_is_open_and_names_what_is_delivered_beyond() -> None:
    first, second, third, other = item(1), item(2), item(3), item(9, topic="b")
    held = window(first, second, third, other)
    held.finish([first, third, other])
    assert held.advance() == Place({"a": (1, 1), "b": (9, 9)}, ("a|3",))
    assert held.count == 2
    assert held.advance().ahead is None, "unchanged"
    held.finish([second])
    assert held.advance() == Place({"a": (3, 3), "b": (9, 9)}, ())
    assert (held.count, held.batch()) == (0, [])


def test_what_another_worker_has_delivered_beyond_the_cursor_is_not_sent_again() -> None:
    first, second = item(1), item(2)
    held = window(first, second, ahead=frozenset({"a|2", "a|7"}))
    assert held.batch() == [first]
    held.finish([first])
    assert held.advance() == Place({"a": (2, 2)}, ("a|7",))
