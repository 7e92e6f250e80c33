"""What operators hold: who, and since when. Read here; script `hold` writes it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from app.outgoing.keys import OutgoingKeys
from app.platform.clock import from_ms
from app.platform.keys import Keys
from app.platform.redis import RedisClient, store_errors


@dataclass(frozen=True, slots=True)
class Hold:
    """A lane that an operator holds. `by` is None where a release before this one has written it."""

    lane: str
    since: datetime
    by: str | None


class Holds:
    """Reads only."""

    def __init__(self, client: RedisClient, keys: Keys) -> None:
        self._client = client
        self._keys = OutgoingKeys.of(keys)

    def page(self, first: int, limit: int) -> list[Hold]:
        """The longest held first, from the place `first` on."""
        with store_errors():
            pipe = self._client.pipeline(transaction=False)
            pipe.zrange(self._keys.held, first, first + limit - 1, withscores=True)
            [found] = pipe.execute()
        return self._named([(lane.decode(), int(since)) for lane, since in found])

    def of(self, lane: str) -> Hold | None:
        """Who holds a lane, if anybody does."""
        with store_errors():
            pipe = self._client.pipeline(transaction=False)
            pipe.zscore(self._keys.held, lane)
            [since] = pipe.execute()
        return None if since is None else self._named([(lane, int(since))])[0]

    def _named(self, found: Sequence[tuple[str, int]]) -> list[Hold]:
        if not found:
            return []
        with store_errors():
            names = self._client.hmget(self._keys.held_by, *(lane for lane, _ in found))
        return [
            Hold(lane, from_ms(since), name.decode() if name else None)
            for (lane, since), name in zip(found, names, strict=True)
        ]
