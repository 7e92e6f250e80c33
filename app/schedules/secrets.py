"""The secrets by which an account's notices are signed: made by an operator, shown once, and rotated like a webhook's."""

from __future__ import annotations

import json
from typing import Final

from app.events.sinks import signatures
from app.platform.clock import to_ms, utcnow
from app.platform.encryption import Encryption
from app.platform.redis import RedisClient, store_errors
from app.schedules.keys import ScheduleKeys


class NoticeSecrets:
    """Encrypted in the store as soon as there is a key. Raises Unavailable while it is away, Unreadable."""

    def __init__(self, client: RedisClient, keys: ScheduleKeys, encryption: Encryption) -> None:
        self._client = client
        self._key: Final = keys.secrets
        self._encryption = encryption

    def rotate(self, account: str) -> str:
        """A new secret, which nobody is shown again; the one before stays valid for a day."""
        made = signatures.rotate(self._stored(account), _now())
        with store_errors():
            self._client.hset(self._key, account, self._encryption.encrypt(json.dumps(made)))
        return str(made[0]["secret"])

    def valid(self, account: str) -> list[str]:
        """Those that count now, the current one first; none where none was ever made."""
        return signatures.valid(self._stored(account), _now())

    def _stored(self, account: str) -> list[signatures.Stored]:
        with store_errors():
            found = self._client.hget(self._key, account)
        if found is None:
            return []
        stored: list[signatures.Stored] = json.loads(self._encryption.decrypt(found.decode()))
        return stored


def _now() -> int:
    return to_ms(utcnow())
