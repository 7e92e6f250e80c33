"""What the event streams of one process share: the newest sequences, pages of the log, and an end for
callers who don't read.

One thread looks for something new while there is any stream. A page that several streams want is read once
and held once, so that neither the store nor this process pays for each of them.
"""

from __future__ import annotations

import re
import threading
import time
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Protocol

from app.events.catalogue import TOPICS
from app.events.log import Entry, EventLog
from app.platform.errors import Unavailable
from app.platform.log import get_logger

POLL_S: Final = 0.05
PLACES: Final = 100  # streams of one process: more would leave too few connections for calls
WRITE_S: Final = 10.0  # how long a caller may take for one slice
PAGE: Final = 100
PAGE_BYTES: Final = 256 * 1024  # or one event
_KEPT_PAGES: Final = 8
_KEPT_S: Final = 1.0
_READ_S: Final = 1.0  # how long to wait while the others' pages are read
_LINES: Final = re.compile(rb"\r\n|\r|\n")
_log = get_logger()


class WatchedStream(Protocol):
    """`streams.EventStream`."""

    writing_since: float | None  # by the monotonic clock, while its caller is taking a slice

    def cut_off(self) -> None:
        """End its connection."""


@dataclass(frozen=True, slots=True)
class SharedPage:
    """A page of the log with its events as a stream shows them. `next` and `missed` as in `log.LogPage`."""

    events: tuple[tuple[int, bytes], ...]
    next: int
    missed: tuple[int, int] | None


class LogWatcher:
    """See the module. `places`: how many streams there may be at once."""

    def __init__(
        self, log: EventLog, *, poll_s: float = POLL_S, places: int = PLACES, write_s: float = WRITE_S
    ) -> None:
        self._log = log
        self._poll_s = poll_s
        self._places = places
        self._write_s = write_s
        self._changed = threading.Condition()
        self._streams: set[WatchedStream] = set()
        self._running = False
        self._last: Mapping[str, int] = {}
        self._reading = threading.Lock()
        self._pages: OrderedDict[tuple[str, int, frozenset[str]], tuple[SharedPage, float]] = OrderedDict()

    def enter(self, stream: WatchedStream) -> None:
        """Take a place. Raises Unavailable where all are taken."""
        with self._changed:
            if len(self._streams) >= self._places:
                raise Unavailable(
                    f"This process serves {self._places} streams already; try again later.",
                    code="too_many_followers",
                    retry_after=10,
                )
            self._streams.add(stream)
            if not self._running:
                self._running = True
                threading.Thread(target=self._look, name="event-watcher", daemon=True).start()

    def leave(self, stream: WatchedStream) -> None:
        """Give the place free; more than once does no harm."""
        with self._changed:
            self._streams.discard(stream)

    def news(self, places: Mapping[str, int], timeout_s: float) -> list[str]:
        """Topics among these that have gone on from these places; waits so long for one."""
        with self._changed:
            self._changed.wait_for(lambda: self._ahead(places), timeout_s)
            return self._ahead(places)

    def page(self, topic: str, after: int, names: frozenset[str]) -> SharedPage:
        """What comes after a sequence. One page is read at a time. Raises Unavailable."""
        if not self._reading.acquire(timeout=_READ_S):
            raise Unavailable("Other streams are being read.")
        try:
            now, key = time.monotonic(), (topic, after, names)
            kept = self._pages.get(key)
            if kept is not None and kept[1] > now:
                return kept[0]
            page = self._read(topic, after, names)
            if page.next > after:  # a stream that has nothing new yet asks again
                self._pages[key] = (page, now + _KEPT_S)
                self._pages.move_to_end(key)
            while len(self._pages) > _KEPT_PAGES:
                self._pages.popitem(last=False)
            return page
        finally:
            self._reading.release()

    def forget_pages(self) -> None:
        """The log was restored: its sequences name other events now."""
        with self._reading:
            self._pages.clear()

    def _read(self, topic: str, after: int, names: frozenset[str]) -> SharedPage:
        page = self._log.read(topic, after, names=names, limit=PAGE, max_bytes=PAGE_BYTES)
        return SharedPage(
            tuple((entry.sequence, _shown(entry)) for entry in page.entries), page.next, page.missed
        )

    def _ahead(self, places: Mapping[str, int]) -> list[str]:
        return [topic for topic, place in places.items() if self._last.get(topic, 0) > place]

    def _look(self) -> None:
        while True:
            with self._changed:
                if not self._streams:
                    self._running = False
                    self._last = {}
                    self.forget_pages()
                    return
                streams = tuple(self._streams)
            self._cut_off_slow(streams)
            try:
                last = self._log.last(tuple(TOPICS))
            except Unavailable:
                last = dict(self._last)  # streams keep their place and their heartbeat
            with self._changed:
                if last != self._last:
                    self._last = last
                    self._changed.notify_all()
            time.sleep(self._poll_s)

    def _cut_off_slow(self, streams: tuple[WatchedStream, ...]) -> None:
        """A caller who doesn't read would keep its place, and the page that it is sent."""
        late = time.monotonic() - self._write_s
        for stream in streams:
            since = stream.writing_since
            if since is not None and since < late:
                _log.warning("stream cut off: its reader takes nothing", seconds=self._write_s)
                self.leave(stream)
                stream.cut_off()


def _shown(entry: Entry) -> bytes:
    """The lines after an event's id."""
    head = f'{{"topic":"{entry.topic}","sequence":{entry.sequence},"event":'.encode()
    return b"data: " + _LINES.sub(rb"\ndata: ", head + entry.event + b"}") + b"\n\n"
