"""Following the log as server-sent events: a stream that goes on where the caller's `Last-Event-ID` left it.

One thread a process looks for something new while anybody follows, and wakes the followers; each of them reads the log for
itself, a bounded page at a time, so that a slow reader costs nobody else anything.
"""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from app.events.catalogue import TOPICS
from app.events.log import Entry, EventLog
from app.platform.errors import BadRequest, Unavailable

POLL_S: Final = 0.05
HEARTBEAT_S: Final = 15.0
PLACES: Final = 100  # followers of one process: more would leave too few connections for calls
_PAGE: Final = 100
_PAGE_BYTES: Final = 1024 * 1024
_RETRY_MS: Final = 2000  # how long an EventSource waits before it connects again
_LINES: Final = re.compile(rb"\r\n|\r|\n")
_CURSOR: Final = re.compile(
    r"(?P<epoch>[0-9a-f]{1,32}):(?P<places>([\w-]+=\d{1,15}(,[\w-]+=\d{1,15})*)?)\Z", re.ASCII
)


@dataclass(frozen=True, slots=True)
class Cursor:
    """How far each topic was followed, in which life of the log: the `id:` of every event sent."""

    epoch: str
    places: Mapping[str, int]

    def __str__(self) -> str:
        return f"{self.epoch}:{','.join(f'{topic}={place}' for topic, place in self.places.items())}"

    @classmethod
    def read(cls, text: str) -> Cursor:
        """Raises BadRequest for what was never an id of ours."""
        match = _CURSOR.match(text)
        if match is None:
            raise BadRequest("This Last-Event-ID is not one that the stream has sent.", field="Last-Event-ID")
        pairs = (pair.split("=") for pair in match["places"].split(",") if pair)
        return cls(match["epoch"], {topic: int(place) for topic, place in pairs})


class Tail:
    """Knows the newest sequence of every topic while somebody follows."""

    def __init__(self, log: EventLog, *, poll_s: float = POLL_S, places: int = PLACES) -> None:
        self._log = log
        self._poll_s = poll_s
        self._places = places
        self._changed = threading.Condition()
        self._followers = 0
        self._running = False
        self._last: Mapping[str, int] = {}

    def enter(self) -> None:
        """Take a place. Raises Unavailable where all are taken."""
        with self._changed:
            if self._followers >= self._places:
                raise Unavailable("Too many callers follow the stream; try again later.", code="too_many_followers", retry_after=10)  # fmt: skip
            self._followers += 1
            if not self._running:
                self._running = True
                threading.Thread(target=self._look, name="event-tail", daemon=True).start()

    def leave(self) -> None:
        with self._changed:
            self._followers -= 1

    def news(self, places: Mapping[str, int], timeout_s: float) -> list[str]:
        """Topics among these that have gone on from these places; waits so long for one."""
        with self._changed:
            self._changed.wait_for(lambda: self._ahead(places), timeout_s)
            return self._ahead(places)

    def _ahead(self, places: Mapping[str, int]) -> list[str]:
        return [topic for topic, place in places.items() if self._last.get(topic, 0) > place]

    def _look(self) -> None:
        while True:
            with self._changed:
                if not self._followers:
                    self._running = False
                    self._last = {}
                    return
            try:
                last = self._log.last(tuple(TOPICS))
            except Unavailable:
                last = dict(self._last)  # followers keep their place and their heartbeat
            with self._changed:
                if last != self._last:
                    self._last = last
                    self._changed.notify_all()
            time.sleep(self._poll_s)


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a follower asks for: topics with the event names wanted of each (none: all)."""

    topics: Mapping[str, frozenset[str]]
    resume: Cursor | None = None
    since_ms: int | None = None


class Following:
    """Streams of events."""

    def __init__(self, log: EventLog, *, heartbeat_s: float = HEARTBEAT_S, tail: Tail | None = None) -> None:
        self.log = log
        self.tail = tail or Tail(log)
        self.stopping: Callable[[], bool] = lambda: False
        self._heartbeat_s = heartbeat_s

    def end_when(self, stopping: Callable[[], bool]) -> None:
        """How streams learn that their process is to end: they end then too, and clients go on at another."""
        self.stopping = stopping

    def begin(self, wanted: Wanted) -> Follower:
        """A follower at its place, who must be closed. Raises Unavailable where the store is away or no place is left."""
        epoch = self.log.epoch()
        last = self.log.last(tuple(wanted.topics))
        if wanted.resume is not None:
            places = {topic: wanted.resume.places.get(topic, last[topic]) for topic in wanted.topics}
        elif wanted.since_ms is not None:
            places = {topic: self.log.first_after(topic, wanted.since_ms) for topic in wanted.topics}
        else:
            places = last
        follower = Follower(self, wanted, epoch, places, self._heartbeat_s)
        if wanted.resume is not None and wanted.resume.epoch != epoch:
            follower.restored(epoch, last)
        self.tail.enter()
        return follower


class Follower:
    """One caller's stream: text blocks as `text/event-stream` has them."""

    def __init__(
        self, following: Following, wanted: Wanted, epoch: str, places: Mapping[str, int], heartbeat_s: float
    ) -> None:
        self._log = following.log
        self._tail = following.tail
        self._stopping = following.stopping
        self._names = wanted.topics
        self._epoch = epoch
        self._places = dict(places)
        self._heartbeat_s = heartbeat_s
        self._gaps: list[bytes] = []
        self._closed = False

    def close(self) -> None:
        """Give the place free; more than once does no harm."""
        if not self._closed:
            self._closed = True
            self._tail.leave()

    def blocks(self, allowed: Callable[[], bool]) -> Iterator[bytes]:
        """Until the caller goes, the process is to end, or the caller is no longer `allowed`. While the store is away there
        are only heartbeats: an EventSource that is answered with an error never comes back."""
        yield b"retry: %d\n" % _RETRY_MS + self._heartbeat()
        yield from self._take_gaps()
        beat, unsure = time.monotonic() + self._heartbeat_s, False
        while not self._stopping():
            try:
                if unsure:
                    self._look_at_epoch()
                    unsure = False
                for topic in self._tail.news(self._places, min(1.0, self._heartbeat_s)):
                    yield from self._page(topic)
                if time.monotonic() >= beat:
                    unsure = True
                    if not allowed():
                        return
            except Unavailable:
                unsure = True  # another server may answer next time
                time.sleep(min(1.0, self._heartbeat_s))
            yield from self._take_gaps()
            if time.monotonic() >= beat:
                yield self._heartbeat()
                beat = time.monotonic() + self._heartbeat_s

    def _page(self, topic: str) -> Iterator[bytes]:
        names, place = self._names[topic], self._places[topic]
        page = self._log.read(topic, place, names=names, limit=_PAGE, max_bytes=_PAGE_BYTES)
        if page.missed is not None:
            self._tell_gap(topic, page.missed, "fell_behind")
            yield from self._take_gaps()
        for entry in page.entries:
            self._places[topic] = entry.sequence
            yield self._event(entry)
        self._places[topic] = page.next

    def restored(self, epoch: str, last: Mapping[str, int]) -> None:
        """Another life of the log has begun: what was published in it so far may have been missed."""
        self._epoch = epoch
        for topic, place in self._places.items():
            self._places[topic] = min(place, last[topic])
            self._tell_gap(topic, None, "restored")

    def _look_at_epoch(self) -> None:
        epoch = self._log.epoch()
        if epoch != self._epoch:
            self.restored(epoch, self._log.last(tuple(self._places)))

    def _tell_gap(self, topic: str, missed: Sequence[int] | None, reason: str) -> None:
        told = {"topic": topic, "reason": reason}
        span = {"from": missed[0], "to": missed[1]} if missed else {}
        self._gaps.append(b"event: gap\ndata: " + json.dumps({**told, **span}).encode() + b"\n\n")

    def _take_gaps(self) -> Iterator[bytes]:
        while self._gaps:
            yield self._gaps.pop(0)

    def _event(self, entry: Entry) -> bytes:
        head = f'{{"topic":"{entry.topic}","sequence":{entry.sequence},"event":'.encode()
        lines = _LINES.sub(rb"\ndata: ", head + entry.event + b"}")
        return b"id: " + self._id() + b"\ndata: " + lines + b"\n\n"

    def _heartbeat(self) -> bytes:
        """A comment, which nobody sees; its id moves the caller's place past what wasn't for it."""
        return b": mediaops-sync\nid: " + self._id() + b"\n\n"

    def _id(self) -> bytes:
        return str(Cursor(self._epoch, self._places)).encode()
