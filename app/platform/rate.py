"""How often one token may call (`MEDIAOPS_RATE_LIMIT`, off by default): counted in Redis, so that all API
processes count together, by fixed windows, so that a call costs one round trip."""

from __future__ import annotations

import math
import re
import time
from collections.abc import Callable
from typing import Final

from app.platform.errors import TooManyRequests
from app.platform.keys import Keys
from app.platform.redis import RedisClient, store_errors

_RULE: Final = re.compile(r"(\d+)\s*(?:per|/)\s*(second|minute|hour)\Z", re.IGNORECASE)
_SECONDS: Final = {"second": 1, "minute": 60, "hour": 3600}


class RateLimit:
    """`rule` such as "100/second"; None counts nothing and asks nobody."""

    def __init__(
        self, client: RedisClient, keys: Keys, rule: str | None, *, now: Callable[[], float] = time.time
    ) -> None:
        self._client = client
        self._keys = keys
        self._now = now
        self._most, self._span = _parse(rule) if rule else (0, 0)

    def count(self, token_id: str) -> None:
        """Count one call. Raises TooManyRequests above the rate."""
        if not self._most:
            return
        now = self._now()
        window = int(now // self._span)
        key = self._keys.rate(token_id, window)
        pipe = self._client.pipeline(transaction=False)
        pipe.incr(key)
        pipe.expire(key, self._span + 1)
        with store_errors():
            calls, _ = pipe.execute()
        if calls > self._most:
            left = max(1, math.ceil((window + 1) * self._span - now))
            raise TooManyRequests(
                f"This token may make {self._most} calls in {self._span} s; try again in {left} s.",
                retry_after=left,
            )


def _parse(rule: str) -> tuple[int, int]:
    match = _RULE.match(rule.strip())
    if match is None:
        raise ValueError(f"not a rate: {rule}")
    return int(match[1]), _SECONDS[match[2].lower()]
