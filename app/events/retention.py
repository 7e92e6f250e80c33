"""How long the event log is kept: by age here, by length where it is written (`MAXLEN`)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from app.events.catalogue import TOPICS
from app.events.keys import EventKeys
from app.platform.keys import Keys
from app.platform.redis import RedisClient, store_errors

CHUNK: Final = 200  # entries: removing them takes the server a fraction of a millisecond
STEPS: Final = 250  # of a tick and topic; what is left waits for the next


def trim_logs(client: RedisClient, keys: Keys, before_ms: int, topics: Iterable[str] = TOPICS) -> int:
    """Remove the entries of every topic's log that are older; how many those were. Raises Unavailable."""
    own = EventKeys.of(keys)
    return sum(_trim(client, own.log(topic), before_ms) for topic in topics)


def _trim(client: RedisClient, log: str, before_ms: int) -> int:
    """Ids are sequences without gaps, so the age is asked of one entry some way ahead, never of all: an
    event may be as large as a mebibyte."""
    removed = 0
    for _ in range(STEPS):
        with store_errors():
            oldest = _old(client, log, 0, before_ms)
            if oldest is None:
                break
            step = CHUNK
            while step > 1 and _old(client, log, oldest + step - 1, before_ms) is None:
                step //= 2
            removed += client.xtrim(log, minid=f"{oldest + step}-0", approximate=False)
    return removed


def _old(client: RedisClient, log: str, sequence: int, before_ms: int) -> int | None:
    """The sequence of the first entry from this one on, if it is too old."""
    entries = client.xrange(log, min=f"{sequence}-0", count=1)
    if not entries or int(entries[0][1].get(b"at", before_ms)) >= before_ms:
        return None
    return int(entries[0][0].split(b"-")[0])
