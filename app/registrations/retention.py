"""How long ended registrations are kept: as long as the history of requests.

The spelling and the generation of a content media stay while it is registered or any request of it is left. After that
its next generation is greater than any that was forgotten, so that no request of an earlier one is taken for its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from app.outgoing.model import Acceptance, Guard, Write
from app.outgoing.store import OutgoingStore
from app.planning.retention import forget
from app.platform.redis import store_errors
from app.registrations.keys import RegistrationKeys

MEDIA: Final = 500  # looked at in one call


class EndedRegistrations:
    """Raises Unavailable while the store is away."""

    def __init__(self, outgoing: OutgoingStore) -> None:
        self._outgoing = outgoing
        self._keys = RegistrationKeys.of(outgoing.keys)
        self._cursor = f"{outgoing.keys.prefix}registrations:cursor"

    def pairs(self, names: Sequence[str]) -> int:
        """Forget pairs that ended long enough ago (a visitor of `platform.walk`); how many."""
        before = self._outgoing.time_ms() - self._outgoing.keep_ms
        with store_errors():
            pipe = self._outgoing.client.pipeline(transaction=False)
            for name in names:
                pipe.hget(name, "deletedAt")
            found = pipe.execute()
        gone = 0
        for name, deleted_at in zip(names, found, strict=True):
            if deleted_at is not None and int(deleted_at) <= before:
                member = name.removeprefix(self._keys.registration_prefix)
                guards = (Guard(("HGET", name, "deletedAt"), deleted_at.decode()),)
                writes = (Write("DEL", name), Write("ZREM", self._keys.registrations, (member,)))
                gone += forget(self._outgoing, Acceptance(guards=guards, writes=writes))
        return gone

    def media(self) -> int:
        """Forget the next few content media of which nothing is left; how many."""
        client, keys = self._outgoing.client, self._keys
        with store_errors():
            cursor, some = client.hscan(keys.generations, int(client.get(self._cursor) or b"0"), count=MEDIA)
            client.set(self._cursor, str(cursor))
            pipe = client.pipeline(transaction=False)
            for media in some:
                pipe.hexists(keys.active_by_media, media)
                pipe.exists(self._outgoing.keys.requests_of(media.decode()))
            found = pipe.execute() if some else []
        stays = zip(found[::2], found[1::2], strict=True)
        return sum(
            self._forget_media(media.decode(), generation.decode())
            for (media, generation), stay in zip(some.items(), stays, strict=True)
            if not any(stay)
        )

    def _forget_media(self, media: str, generation: str) -> bool:
        keys = self._keys
        with store_errors():
            forgotten = (self._outgoing.client.get(keys.forgotten_generation) or b"").decode()
        guards = (
            Guard(("HGET", keys.generations, media), generation),  # whoever registers it anew moves it
            Guard(("ZREVRANGE", self._outgoing.keys.requests_of(media), "0", "0"), ""),
            Guard(("GET", keys.forgotten_generation), forgotten),
        )
        writes = (
            Write("SET", keys.forgotten_generation, (max(int(generation), int(forgotten or 0)),)),
            Write("HDEL", keys.generations, (media,)),
            Write("HDEL", keys.spellings, (media,)),
        )
        return forget(self._outgoing, Acceptance(guards=guards, writes=writes))
