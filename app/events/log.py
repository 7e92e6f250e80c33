"""The event log: publishing to a topic and reading on from a sequence.

One stream per topic; its ids are `<sequence>-0`, so that what is missing was removed by retention and not
lost. Scripts that change something publish the event about it themselves (`lua/_log.lua`).
"""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Final

from redis import Redis

from app.events.catalogue import topic_of
from app.events.envelope import Checked, Filling, RefusedEvent, complete
from app.events.keys import EventKeys
from app.platform.errors import MediaopsError, Unavailable, Unprocessable
from app.platform.keys import Keys
from app.platform.redis import store_errors
from app.platform.scripts import ScriptFolder, Scripts, unique
from app.platform.turns import in_turns

SCRIPTS: Final = Path(__file__).parent / "lua"
GUIDS_KNOWN: Final = timedelta(hours=24)
GUID_SPANS: Final = 3  # parts of that time; each part's guids are kept together, a part longer
_GUID_DIGEST: Final = 10  # bytes kept of each: two among ten million are alike with a chance of 1 to 10¹⁰
# Of one script call, so that nothing holds the server for long (microseconds an event, quiet: publish 16,
# read 4).
PUBLISH_EVENTS: Final = 100
PUBLISH_BYTES: Final = 2 * 1024 * 1024
READ_LOOKED: Final = 500
READ_BYTES: Final = 4 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Published:
    """An event's place in its topic's log; `duplicate`: its guid had come before, and this is the place it
    got then."""

    guid: str
    sequence: int
    duplicate: bool


@dataclass(frozen=True, slots=True)
class Entry:
    """One event of the log: `event` is its text as it was published; `previous` the sequence of the entry
    before it that the reader wanted too, 0 where there is none."""

    topic: str
    sequence: int
    name: str
    guid: str
    at_ms: int
    event: bytes
    previous: int


@dataclass(frozen=True, slots=True)
class LogPage:
    """What one read found. `next`: how far it looked, where to go on; less than `after` only where the log
    was restored from an older copy. `missed`: first and last sequence that were asked for and are gone.
    `last`: the newest."""

    entries: tuple[Entry, ...]
    next: int
    missed: tuple[int, int] | None
    last: int


@dataclass(frozen=True, slots=True)
class Repeatable:
    """A caller's Idempotency-Key: the same key with the same body gets the same guids, and so the same
    answer."""

    digest: str
    fingerprint: str

    def guid(self, index: int) -> str:
        """The guid that an event gets whose publisher gave none."""
        return str(uuid.uuid5(uuid.NAMESPACE_OID, f"{self.digest} {self.fingerprint} {index}"))


class EventLog:
    """Every method raises Unavailable while the store is away. `length`: about how many entries a topic
    keeps; `now_ms` replaces the server's clock in tests."""

    def __init__(
        self,
        client: Redis,
        keys: Keys,
        *,
        length: int = 1_000_000,
        now_ms: Callable[[], int] | None = None,
        scripts: ScriptFolder | None = None,
    ) -> None:
        common = {"log_length": length}
        self._scripts = Scripts(client, keys, scripts or ScriptFolder(SCRIPTS), common=common, now_ms=now_ms)
        self.client = self._scripts.client
        self.keys = EventKeys.of(keys)

    # Writing --------------------

    def publish(
        self,
        topic: str,
        events: Sequence[bytes],
        originator: str,
        repeatable: Repeatable | None = None,
    ) -> list[Published | RefusedEvent]:
        """Append events (JSON texts) in the order given, each answered at its place; what their publisher
        left out of the envelope is filled in. Raises BadRequest for a topic that there isn't, Unprocessable
        for a key of another body, and Unavailable where the store took none."""
        there = topic_of(topic)
        tenant = self.keys.prefix[:-1]
        answers: list[Published | RefusedEvent | None] = [None] * len(events)
        checked: list[tuple[int, Checked]] = []
        for index, raw in in_turns(enumerate(events)):
            guid = repeatable.guid(index) if repeatable else str(uuid.uuid4())
            try:
                checked.append((index, complete(there, raw, Filling(tenant, originator, guid))))
            except MediaopsError as error:
                answers[index] = RefusedEvent(index, error)
        away: Unavailable | None = None
        for number, chunk in enumerate(_chunks(checked)):
            if away is None:
                try:
                    written = self._append(topic, [event for _, event in chunk], repeatable)
                except Unavailable as error:
                    if number == 0:
                        raise
                    away = error
                else:
                    for (index, _), published in zip(chunk, written, strict=True):
                        answers[index] = published
            if away is not None:
                # Nor is what follows taken: it would come before these, and the caller would wait once more
                # for each.
                for index, _ in chunk:
                    answers[index] = RefusedEvent(index, away)
        return [answer for answer in answers if answer is not None]

    def _append(
        self, topic: str, events: Sequence[Checked], repeatable: Repeatable | None
    ) -> list[Published]:
        control = {
            "topic": topic,
            "events": [[event.name, event.guid] for event in events],
            "guid_ms": int(GUIDS_KNOWN.total_seconds() * 1000),
            "spans": GUID_SPANS,
        }
        if repeatable is not None:
            control |= {"idempotency": repeatable.digest, "fingerprint": repeatable.fingerprint}
        digests = b"".join(guid_digest(event.guid) for event in events)
        word, *places = self._scripts.run("publish", control, digests, *(event.event for event in events))
        match word:
            case b"mismatch":
                raise Unprocessable(
                    "This Idempotency-Key was used with another body.", code="idempotency_key_reused"
                )
            case b"full":
                raise Unavailable(
                    "The store is nearly full and takes no new events.", code="store_full", retry_after=10
                )
        return [
            Published(event.guid, int(sequence), bool(seen))
            for event, sequence, seen in zip(events, places[::2], places[1::2], strict=True)
        ]

    # Reading --------------------

    def read(
        self,
        topic: str,
        after: int | None = None,
        *,
        since_ms: int | None = None,
        names: Collection[str] = (),
        limit: int = 100,
        max_bytes: int = READ_BYTES,
        previous: int = 0,
    ) -> LogPage:
        """The entries after a sequence (None: from the oldest there is) and published at `since_ms` or
        later, of these `names` (none given: of all).

        One call looks at a bounded number of entries, so that it may find none and still not be at the end
        (`next` < `last`). There is one entry at least even if it is larger than `max_bytes`. `previous` is
        the sequence of the last entry that the reader had.
        """
        start = -1 if after is None else after
        if since_ms is not None:
            start = max(start, self.first_after(topic, since_ms))
        control = {
            "topic": topic,
            "after": start,
            "names": dict.fromkeys(names, True) or False,
            "limit": limit,
            "max_bytes": max_bytes,
            "max_looked": READ_LOOKED,
        }
        last, oldest, looked, *flat = self._scripts.run("read", control)
        entries = []
        for name, guid, sequence, at, event in zip(*(flat[i::5] for i in range(5)), strict=True):
            place = int(sequence)
            entries.append(Entry(topic, place, name.decode(), guid.decode(), int(at), event, previous))
            previous = place
        until = (oldest or last + 1) - 1
        missed = (start + 1, until) if 0 <= start < until else None
        return LogPage(tuple(entries), int(looked), missed, last)

    def last(self, topics: Sequence[str]) -> dict[str, int]:
        """The newest sequence of each topic, 0 where nothing was ever published."""
        if not topics:
            return {}
        with store_errors():
            pipe = self.client.pipeline(transaction=False)
            for topic in topics:
                pipe.get(self.keys.log_sequence(topic))
            return {topic: int(value or 0) for topic, value in zip(topics, pipe.execute(), strict=True)}

    def first_after(self, topic: str, since_ms: int) -> int:
        """Where to start reading (as `after`) for everything that was published at this time or later."""
        return int(self._scripts.run("find", {"topic": topic, "since": since_ms}))

    def epoch(self) -> str:
        """The name of this log's life, so that sequences of one life aren't taken for those of another."""
        key = self.keys.log_epoch
        with store_errors():
            found = self.client.get(key)
            if found is None:
                self.client.set(key, _new_epoch(), nx=True)
                found = self.client.get(key)
        return (found or b"").decode()

    def begin_epoch(self) -> str:
        """The log was restored from a copy: what was given out since the copy was made is given out again,
        and those who follow it have to know. Its new name."""
        epoch = _new_epoch()
        with store_errors():
            self.client.set(self.keys.log_epoch, epoch)
        return epoch


def guid_digest(guid: str) -> bytes:
    """What is kept of a guid."""
    return hashlib.blake2b(guid.encode(), digest_size=_GUID_DIGEST).digest()


def _new_epoch() -> str:
    return unique()[:12]


def _chunks(checked: Sequence[tuple[int, Checked]]) -> Iterator[list[tuple[int, Checked]]]:
    """As many as one script call takes."""
    chunk: list[tuple[int, Checked]] = []
    size = 0
    for one in checked:
        length = len(one[1].event)
        if chunk and (len(chunk) == PUBLISH_EVENTS or size + length > PUBLISH_BYTES):
            yield chunk
            chunk, size = [], 0
        chunk.append(one)
        size += length
    if chunk:
        yield chunk
