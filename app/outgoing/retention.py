"""How long the event log is kept: by age here, by length where it is written (`MAXLEN`)."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import takewhile
from typing import Final

from app.platform.keys import Keys
from app.platform.redis import Client, store_errors

# The topics that scripts of this house write.
TOPICS: Final = ("livestream-operations", "sync-operations")
CHUNK: Final = 200  # entries: removing them takes the server a fraction of a millisecond
STEPS: Final = 250  # of a tick and topic; what is left waits for the next


def trim_logs(client: Client, keys: Keys, before_ms: int, topics: Iterable[str] = TOPICS) -> int:
    """Remove the entries of every topic's log that are older; how many those were. Raises Unavailable."""
    return sum(_trim(client, keys.log(topic), before_ms) for topic in topics)


def _trim(client: Client, log: str, before_ms: int) -> int:
    """Ids are sequence numbers, so the age is asked of the entries: from the oldest on, chunk by chunk."""
    removed, count = 0, 1  # mostly nothing is old enough, and one look tells
    for _ in range(STEPS):
        with store_errors():
            entries = client.xrange(log, count=count)
            old = list(takewhile(lambda entry: int(entry[1].get(b"at", before_ms)) < before_ms, entries))
            if not old:
                break
            last, _, part = old[-1][0].decode().partition("-")
            removed += client.xtrim(log, minid=f"{last}-{int(part) + 1}", approximate=False)
        if len(old) < count:
            break
        count = CHUNK
    return removed
