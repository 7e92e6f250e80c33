"""How long a content media's timeline is kept: as long as the history of requests, from its last entry on."""

from __future__ import annotations

from collections.abc import Sequence

from app.outgoing.store import OutgoingStore
from app.platform.redis import store_errors


class Timelines:
    """Each entry gives its timeline that time anew; those of the release before have none yet."""

    def __init__(self, outgoing: OutgoingStore) -> None:
        self._outgoing = outgoing

    def visit(self, names: Sequence[str]) -> int:
        """A visitor of `platform.walk`: give a time to what has none; nothing goes at once. Raises Unavailable."""
        timelines = [name for name in names if name.endswith(":timeline")]
        with store_errors():
            pipe = self._outgoing.client.pipeline(transaction=False)
            for name in timelines:
                pipe.pttl(name)
            left = pipe.execute() if timelines else []
            for name, ms in zip(timelines, left, strict=True):
                if ms == -1:
                    pipe.pexpire(name, self._outgoing.keep_ms)
            pipe.execute()
        return 0
