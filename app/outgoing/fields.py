"""What is stored of the members of a path: the newest desired value, and the one that was delivered
last.

Reads only. An update that goes well needs none of it; it is read once AVOS has shown something
else.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from app.outgoing.attempts import Own
from app.outgoing.lanes import Mark, members
from app.outgoing.model import PATH_LANE, Claim, digest
from app.outgoing.store import OutgoingStore
from app.platform.redis import store_errors

_VERSION: Final = "v:"
_DELIVERED: Final = "d:"


@dataclass(frozen=True, slots=True)
class Field:
    """One member of a path. `version` is that of its newest desired value, as it is stored:
    `sequence|request id|digest`, or "" where no request has ever set it. `delivered` is the JSON
    that was delivered last, where that is known."""

    name: str
    version: str = ""
    delivered: bytes | None = None

    @property
    def request_id(self) -> str:
        """Who has set the newest desired value."""
        return self.version.split("|")[1] if self.version else ""

    def desires(self, value: bytes) -> bool:
        """Whether this JSON is the newest desired value."""
        return self.version.rpartition("|")[2] == digest(json.loads(value))


class FieldReader:
    """Raises Unavailable while the store is away."""

    def __init__(self, store: OutgoingStore) -> None:
        self._client = store.client
        self._keys = store.keys

    def of(self, destination: str, paths: Sequence[str]) -> list[dict[str, Field]]:
        """All members of each path (as in `fields:`), by name."""
        with store_errors():
            pipe = self._client.pipeline(transaction=False)
            for path in paths:
                pipe.hgetall(self._keys.fields(destination, path))
            found = pipe.execute()
        return [_fields(stored) for stored in found]

    def delivered_paths(self, media: str) -> list[str]:
        """The paths under a content media (its folded id) whose delivered values are known."""
        with store_errors():
            found = self._client.zrange(self._keys.delivered_paths(media), 0, -1)
        return [path.decode() for path in found]

    def has_open(self, destination: str, path: str) -> bool:
        """Whether requests of a path aren't final yet."""
        with store_errors():
            count = self._client.hget(self._keys.fields(destination, path), "#open")
        return int(count or 0) > 0

    def own(self, claim: Claim) -> list[Own]:
        """The members of a claimed PATCH that would overwrite what we have delivered, where that is
        known. None while an earlier write of ours may still be applied in its lane: what AVOS shows
        then may be our own."""
        with store_errors():
            path, lane, names_json, media = self._client.hmget(
                self._keys.request(claim.request_id), "versionPath", "lane", "members", "media"
            )
        if path is None or lane is None or names_json is None:
            return []
        suspect = lane.decode() if media is not None else PATH_LANE + path.decode()
        names: list[str] = json.loads(names_json)
        fields = self._keys.fields(claim.destination, path.decode())
        marks = self._keys.lane(claim.destination, lane.decode())
        with store_errors():
            pipe = self._client.pipeline(transaction=False)
            pipe.hmget(self._keys.request(claim.request_id), [f"body:{name}" for name in names])
            pipe.hmget(fields, [_DELIVERED + name for name in names])
            pipe.hmget(fields, [_VERSION + name for name in names])
            pipe.zrangebylex(marks, *members(Mark.SUSPECT), 0, 1)
            pipe.zscore(self._keys.suspects(claim.destination), suspect)
            wanted, delivered, versions, marked, awaited = pipe.execute()
        if marked or awaited is not None:
            return []
        return [
            Own(name, want, before)
            for name, want, before, version in zip(names, wanted, delivered, versions, strict=True)
            if want is not None and before is not None and _set_by(version) in ("", claim.request_id)
        ]


def _set_by(version: bytes | None) -> str:
    return version.decode().split("|")[1] if version else ""


def _fields(stored: dict[bytes, bytes]) -> dict[str, Field]:
    text = {name.decode(): value for name, value in stored.items()}
    names = {name[2:] for name in text if name.startswith((_VERSION, _DELIVERED))}
    return {
        name: Field(name, text.get(_VERSION + name, b"").decode(), text.get(_DELIVERED + name))
        for name in sorted(names)
    }
