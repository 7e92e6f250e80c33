"""Subscriptions in Redis: what their owners wrote, and the log of their deliveries.

How a subscription is doing is its consumer's; whatever changes both is written in the consumer's own
script, so that there is never one without the other.
"""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from app.events.consumers.model import Command
from app.events.keys import EventKeys
from app.events.subscriptions.model import LoggedDelivery, Subscription, decode, encode
from app.platform.cursors import decode_text, encode_text, no_cursor
from app.platform.keys import Keys
from app.platform.redis import RedisClient, store_errors

_PLACE: Final = re.compile(r"(\d{1,16})\.([0-9a-f]{32})\Z", re.ASCII)
_ENTRY_ID: Final = re.compile(r"\d{1,16}-\d{1,16}\Z", re.ASCII)
_ALL: Final = 100_000
_LOCK_MS: Final = 5_000  # above what a change can take: a look-up of a host, and some round trips
_CHUNK: Final = 200  # entries of the delivery log read in one go


@dataclass(frozen=True, slots=True)
class Listed:
    """A subscription's place in the listing, which goes from the newest to the oldest."""

    created_ms: int
    id: str


class SubscriptionStore:
    """Reads at once; what it writes are commands for the consumer's script."""

    def __init__(self, client: RedisClient, keys: Keys) -> None:
        self._client = client
        self._keys = EventKeys.of(keys)

    # Writing --------------------

    def commands_to_save(self, subscription: Subscription) -> list[Command]:
        """What stores it and puts it in the listing."""
        fields = [text for pair in encode(subscription).items() for text in pair]
        return [
            ["HSET", self._keys.subscription(subscription.id), *fields],
            ["ZADD", self._keys.subscriptions, str(subscription.created_ms), subscription.id],
        ]

    def commands_to_forget(self, subscription_id: str) -> list[Command]:
        """What takes it away, with its delivery log."""
        return [
            ["DEL", self._keys.subscription(subscription_id), self._keys.deliveries(subscription_id)],
            ["ZREM", self._keys.subscriptions, subscription_id],
        ]

    def lock(self, subscription_id: str) -> str | None:
        """Take the right to change it, for a few seconds at most; None while another call has it."""
        token = uuid.uuid4().hex
        with store_errors():
            taken = self._client.set(self._changing(subscription_id), token, nx=True, px=_LOCK_MS)
        return token if taken else None

    def unlock(self, subscription_id: str, token: str) -> None:
        """Give it back, unless its time was up and another call has it now."""
        key = self._changing(subscription_id)
        with store_errors():
            if self._client.get(key) == token.encode():
                self._client.delete(key)

    def _changing(self, subscription_id: str) -> str:
        return f"{self._keys.subscription(subscription_id)}:changing"

    # Reading --------------------

    def get(self, subscription_id: str) -> Subscription | None:
        with store_errors():
            stored = self._client.hgetall(self._keys.subscription(subscription_id))
        return decode(subscription_id, stored) if stored else None

    def several(self, ids: Sequence[str]) -> list[Subscription]:
        """Those that are there, in the order of their ids here."""
        with store_errors():
            pipe = self._client.pipeline(transaction=False)
            for one in ids:
                pipe.hgetall(self._keys.subscription(one))
            found = pipe.execute()
        return [decode(one, stored) for one, stored in zip(ids, found, strict=True) if stored]

    def listed(self, after: Listed | None = None) -> list[Listed]:
        """All of them from the newest to the oldest; `after` one."""
        top = "+inf" if after is None else after.created_ms
        with store_errors():
            rows = self._client.zrevrangebyscore(self._keys.subscriptions, top, "-inf", 0, _ALL, True)
        found = [Listed(int(score), member.decode()) for member, score in rows]
        if after is None:
            return found
        return [one for one in found if (one.created_ms, one.id) < (after.created_ms, after.id)]

    def count(self) -> int:
        """How many there are."""
        with store_errors():
            return self._client.zcard(self._keys.subscriptions)

    def deliveries(
        self, subscription_id: str, limit: int, before: str | None, outcome: str | None
    ) -> tuple[list[LoggedDelivery], str | None]:
        """Entries of the delivery log, the newest first, and the last one's id where there may be more."""
        key, found = self._keys.deliveries(subscription_id), list[LoggedDelivery]()
        while True:
            top = "+" if before is None else f"({before}"
            with store_errors():
                rows = self._client.xrevrange(key, top, "-", count=_CHUNK)
            for entry_id, fields in rows:
                before = entry_id.decode()
                if outcome is not None and fields[b"outcome"].decode() != outcome:
                    continue
                found.append(_logged(before, fields))
                if len(found) == limit:
                    return found, before
            if len(rows) < _CHUNK:
                return found, None


def _logged(entry_id: str, fields: Mapping[bytes, bytes]) -> LoggedDelivery:
    outcome = fields[b"outcome"].decode()
    return LoggedDelivery(entry_id, int(fields[b"at"]), outcome, json.loads(fields[b"entry"]))


def cursor_of(place: Listed) -> str:
    """The place behind this one, opaque to callers."""
    return encode_text(f"{place.created_ms}.{place.id}")


def place_of(cursor: str) -> Listed:
    """The inverse; raises BadRequest for what was never a cursor of ours."""
    match = _PLACE.match(decode_text(cursor))
    if not match:
        raise no_cursor()
    return Listed(int(match[1]), match[2])


def entry_of(cursor: str) -> str:
    """The entry of a delivery log that a cursor names; raises BadRequest."""
    text = decode_text(cursor)
    if not _ENTRY_ID.match(text):
        raise no_cursor()
    return text
