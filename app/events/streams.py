"""The log as server-sent events: a stream goes on where the caller's `Last-Event-ID` left it.

Each stream is at a place of its own and sends a bounded page at a time, in slices; a caller who takes none
for some seconds is cut off. `watcher` has what all streams share.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from app.events.log import EventLog
from app.events.watcher import LogWatcher
from app.platform.errors import BadRequest, Unavailable

HEARTBEAT_S: Final = 15.0
ASK_S: Final = 1.0  # between two questions whether the caller may still read
SLICE: Final = 64 * 1024  # what a slow reader holds of this process's memory, beside a page that all share
_RETRY_MS: Final = 2000  # how long an EventSource waits before it connects again
_CURSOR: Final = re.compile(
    r"(?P<epoch>[0-9a-f]{1,32}):(?P<places>([\w-]+=\d{1,15}(,[\w-]+=\d{1,15})*)?)\Z", re.ASCII
)


@dataclass(frozen=True, slots=True)
class Cursor:
    """How far each topic was sent, in which life of the log: the `id:` of every event."""

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


@dataclass(frozen=True, slots=True)
class StreamRequest:
    """What a caller asks for: topics with the event names wanted of each (none: all)."""

    topics: Mapping[str, frozenset[str]]
    resume: Cursor | None = None
    since_ms: int | None = None


class EventStreams:
    """Begins the streams of this process."""

    def __init__(
        self, log: EventLog, *, heartbeat_s: float = HEARTBEAT_S, watcher: LogWatcher | None = None
    ) -> None:
        self.log = log
        self.watcher = watcher or LogWatcher(log)
        self.stopping: Callable[[], bool] = lambda: False
        self.heartbeat_s = heartbeat_s

    def end_when(self, stopping: Callable[[], bool]) -> None:
        """`stopping`: whether the process is to end. Then its streams end, and clients go on at another
        process."""
        self.stopping = stopping

    def begin(self, wanted: StreamRequest, cut_off: Callable[[], None] = lambda: None) -> EventStream:
        """A stream at its place, which must be closed; `cut_off` ends its connection. Raises Unavailable
        where the store is away or no place is left."""
        epoch = self.log.epoch()
        last = self.log.last(tuple(wanted.topics))
        if wanted.resume is not None:
            places = {topic: wanted.resume.places.get(topic, last[topic]) for topic in wanted.topics}
        elif wanted.since_ms is not None:
            places = {topic: self.log.first_after(topic, wanted.since_ms) for topic in wanted.topics}
        else:
            places = last
        stream = EventStream(self, wanted, epoch, places, cut_off)
        if wanted.resume is not None and wanted.resume.epoch != epoch:
            stream.restored(epoch, last)
        self.watcher.enter(stream)
        return stream


class EventStream:
    """One caller's stream: text blocks as `text/event-stream` has them."""

    def __init__(
        self,
        streams: EventStreams,
        wanted: StreamRequest,
        epoch: str,
        places: Mapping[str, int],
        cut_off: Callable[[], None],
    ) -> None:
        self._log = streams.log
        self._watcher = streams.watcher
        self._stopping = streams.stopping
        self._names = wanted.topics
        self._epoch = epoch
        self._places = dict(places)
        self._heartbeat_s = streams.heartbeat_s
        self._gaps: list[bytes] = []
        self.cut_off = cut_off
        self.writing_since: float | None = None

    def close(self) -> None:
        """Give the place free; more than once does no harm."""
        self._watcher.leave(self)

    def blocks(self, allowed: Callable[[], bool]) -> Iterator[bytes]:
        """Until the caller goes, the process is to end, or the caller is no longer `allowed`. While the
        store is away there are only heartbeats: an EventSource that is answered with an error never comes
        back."""
        ask_s = min(ASK_S, self._heartbeat_s)
        ask = time.monotonic() + ask_s
        for block in self._blocks():
            for start in range(0, max(1, len(block)), SLICE):
                if time.monotonic() >= ask:
                    if not _still(allowed):
                        return
                    ask = time.monotonic() + ask_s
                if block:
                    self.writing_since = time.monotonic()
                    yield block[start : start + SLICE]
                    self.writing_since = None

    def _blocks(self) -> Iterator[bytes]:
        """An empty one at least every second."""
        yield b"retry: %d\n" % _RETRY_MS + self._heartbeat()
        yield from self._take_gaps()
        beat, unsure = time.monotonic() + self._heartbeat_s, False
        while not self._stopping():
            try:
                if unsure:
                    self._look_at_epoch()
                    unsure = False
                for topic in self._watcher.news(self._places, min(1.0, self._heartbeat_s)):
                    yield from self._page(topic)
                unsure = time.monotonic() >= beat
            except Unavailable:
                unsure = True  # another server may answer next time
                time.sleep(min(1.0, self._heartbeat_s))
            yield from self._take_gaps()
            if time.monotonic() >= beat:
                yield self._heartbeat()
                beat = time.monotonic() + self._heartbeat_s
            yield b""

    def _page(self, topic: str) -> Iterator[bytes]:
        page = self._watcher.page(topic, self._places[topic], self._names[topic])
        if page.missed is not None:
            self._note_gap(topic, page.missed, "fell_behind")
            yield from self._take_gaps()
        for sequence, shown in page.events:
            self._places[topic] = sequence
            head = b"id: " + self._id() + b"\n"
            if len(shown) < SLICE:
                yield head + shown
            else:
                yield head
                yield shown  # not copied: all who are sent it share it
        self._places[topic] = page.next

    def restored(self, epoch: str, last: Mapping[str, int]) -> None:
        """Another life of the log has begun: what was published in it so far may have been missed."""
        self._epoch = epoch
        self._watcher.forget_pages()
        for topic, place in self._places.items():
            self._places[topic] = min(place, last[topic])
            self._note_gap(topic, None, "restored")

    def _look_at_epoch(self) -> None:
        epoch = self._log.epoch()
        if epoch != self._epoch:
            self.restored(epoch, self._log.last(tuple(self._places)))

    def _note_gap(self, topic: str, missed: Sequence[int] | None, reason: str) -> None:
        what = {"topic": topic, "reason": reason}
        span = {"from": missed[0], "to": missed[1]} if missed else {}
        self._gaps.append(b"event: gap\ndata: " + json.dumps({**what, **span}).encode() + b"\n\n")

    def _take_gaps(self) -> Iterator[bytes]:
        while self._gaps:
            yield self._gaps.pop(0)

    def _heartbeat(self) -> bytes:
        """A comment, which clients ignore; its id moves the caller's place past events that weren't wanted."""
        return b": mediaops-sync\nid: " + self._id() + b"\n\n"

    def _id(self) -> bytes:
        return str(Cursor(self._epoch, self._places)).encode()


def _still(allowed: Callable[[], bool]) -> bool:
    """Whether the caller may go on reading. While the store is away it may."""
    try:
        return allowed()
    except Unavailable:
        return True
