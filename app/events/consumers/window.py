"""What an ordered consumer has read and not handled yet: which events go into the next call, and how far it
has come."""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from itertools import groupby
from typing import Final

from app.events.consumers.acknowledgement import Place
from app.events.consumers.model import Item, Position
from app.events.sinks.base import Limits

_LEAST_WINDOW: Final = 50  # events read ahead of one-by-one calls
_CALLS_AHEAD: Final = 2  # of sinks that take many at once


class Window:
    """Events in order, and the `position` up to which the log was read. `ahead`: keys of events that
    another worker has delivered beyond the cursor, and that weren't read yet."""

    def __init__(self, limits: Limits, ahead: frozenset[str]) -> None:
        self._limits = limits
        self._items: list[Item] = []
        self._finished: set[str] = set()
        self._ahead = set(ahead)
        self._ahead_stored: set[str] = set(ahead)
        self.position: dict[str, tuple[int, int]] = {}

    @property
    def size(self) -> int:
        return max(_LEAST_WINDOW, self._limits.events * _CALLS_AHEAD)

    @property
    def count(self) -> int:
        return len(self._items)

    @property
    def bytes(self) -> int:
        return sum(len(item.delivery.event) for item in self._items)

    def add(self, items: Sequence[Item], position: Position) -> None:
        for item in _merged(items):
            self._items.append(item)
            if item.key in self._ahead:
                self._ahead.discard(item.key)
                self._finished.add(item.key)
        self.position.update(position)

    def batch(self) -> list[Item]:
        """The next call: in order, within the sink's limits, at most one of an entity where it wants that."""
        found: list[Item] = []
        entities: set[tuple[str, str]] = set()
        room = self._limits.bytes
        for item in self._items:
            if item.key in self._finished:
                continue
            entity = (item.delivery.topic, item.delivery.entity)
            if self._limits.one_per_key and entity in entities:
                continue
            room -= len(item.delivery.event)
            if found and (room < 0 or len(found) >= self._limits.events):
                break
            found.append(item)
            entities.add(entity)
        return found

    def finish(self, items: Sequence[Item]) -> None:
        self._finished.update(item.key for item in items)

    def advance(self) -> Place:
        """Let go of what is handled without a gap; how far each topic is handled, and what was delivered
        beyond that."""
        first_open: dict[str, Item] = {}
        kept: list[Item] = []
        for item in self._items:
            if item.key not in self._finished:
                first_open.setdefault(item.delivery.topic, item)
            if item.delivery.topic in first_open:
                kept.append(item)
        self._items = kept
        self._finished &= {item.key for item in kept}
        stopped = {topic: _before(item) for topic, item in first_open.items()}
        return Place(self.position | stopped, self._new_ahead())

    def _new_ahead(self) -> tuple[str, ...] | None:
        ahead = self._finished | self._ahead
        if ahead == self._ahead_stored:
            return None
        self._ahead_stored = ahead
        return tuple(sorted(ahead))


def _before(item: Item) -> tuple[int, int]:
    """The place before an event that isn't handled yet."""
    return item.delivery.sequence - 1, item.delivery.previous


def _merged(items: Sequence[Item]) -> list[Item]:
    """Events of several topics by the time of their publishing; each topic's stay in their order."""
    topics = [list(some) for _, some in groupby(items, key=lambda item: item.delivery.topic)]
    if len(topics) == 1:
        return topics[0]
    return list(heapq.merge(*topics, key=lambda item: item.delivery.at_ms))
