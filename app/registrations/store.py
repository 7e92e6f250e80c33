"""Reads of registrations. Writes go through `OutgoingStore.accept` with what they cause."""

from __future__ import annotations

from app.platform.clock import from_ms
from app.platform.keys import Keys, fold
from app.platform.redis import RedisClient, store_errors
from app.registrations.keys import RegistrationKeys
from app.registrations.records import Links, Pair, Registration


class RegistrationStore:
    """Registrations as they stand in Redis. Raises Unavailable while it is away."""

    def __init__(self, client: RedisClient, keys: Keys) -> None:
        self._client = client
        self.keys = RegistrationKeys.of(keys)

    def links(self, pair: Pair) -> Links:
        """Everything that decides about a pair, in one round trip."""
        media = fold(pair.content_media_id)
        pipe = self._client.pipeline(transaction=False)
        pipe.hget(self.keys.generations, media)
        pipe.hget(self.keys.active_by_livestream, pair.livestream_id)
        pipe.hget(self.keys.active_by_media, media)
        pipe.hget(self.keys.spellings, media)
        pipe.hgetall(self.keys.registration(pair.livestream_id, pair.content_media_id))
        pipe.get(self.keys.forgotten_generation)
        with store_errors():
            generation, linked_media, linked_livestream, spelling, fields, forgotten = pipe.execute()
        return Links(
            record=_registration(fields) if fields else None,
            media_of_livestream=linked_media.decode() if linked_media else None,
            livestream_of_media=linked_livestream.decode() if linked_livestream else None,
            generation=int(generation or 0),
            spelling=spelling.decode() if spelling else None,
            forgotten=int(forgotten or 0),
        )

    def active(self) -> list[Pair]:
        """All active pairs, by livestream."""
        with store_errors():
            found = self._client.hgetall(self.keys.active_by_livestream)
        return [Pair(livestream.decode(), media.decode()) for livestream, media in sorted(found.items())]

    def livestream_of(self, content_media_id: str) -> str | None:
        """The livestream that a content media is registered for now."""
        with store_errors():
            found = self._client.hget(self.keys.active_by_media, fold(content_media_id))
        return found.decode() if found else None


def _registration(fields: dict[bytes, bytes]) -> Registration:
    deleted_at = fields.get(b"deletedAt")
    return Registration(
        livestream_id=fields[b"livestreamId"].decode(),
        content_media_id=fields[b"contentMediaId"].decode(),
        created_at=from_ms(int(fields[b"createdAt"])),
        updated_at=from_ms(int(fields[b"updatedAt"])),
        deleted_at=from_ms(int(deleted_at)) if deleted_at else None,
        generation=int(fields.get(b"generation", 0)),
    )
