"""The audit trail: who did what by hand. Every package's operator verbs are written down in one stream."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from app.platform.clock import from_ms, rfc3339
from app.platform.keys import Keys
from app.platform.redis import RedisClient, store_errors

_LENGTH: Final = 10_000


class AuditTrail:
    """`clock` gives milliseconds; by default those of Redis."""

    def __init__(self, client: RedisClient, keys: Keys, clock: Callable[[], int] | None = None) -> None:
        self._client = client
        self._key = f"{keys.prefix}audit-trail"
        self._clock = clock

    def write_down(self, actor: str, verb: str, target: str) -> None:
        """`actor` is the name of the token that asked. Neither holds a secret."""
        entry = {"at": str(self._now()), "actor": actor, "verb": verb, "target": target}
        with store_errors():
            self._client.xadd(self._key, entry, maxlen=_LENGTH)

    def newest(self, limit: int) -> list[dict[str, Any]]:
        """The newest records."""
        with store_errors():
            rows = self._client.xrevrange(self._key, count=limit)
        return [
            {
                "at": rfc3339(from_ms(int(fields[b"at"]))),
                **{name: fields[name.encode()].decode() for name in ("actor", "verb", "target")},
            }
            for _, fields in rows
        ]

    def _now(self) -> int:
        if self._clock is not None:
            return self._clock()
        with store_errors():
            seconds, micros = self._client.time()
        return int(seconds) * 1000 + int(micros) // 1000
