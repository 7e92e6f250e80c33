"""Every Redis key, once. `docs/data-model.md` describes what each holds.

Ids come from outside and may hold any character, so each is percent-encoded before it becomes part
of a key: a colon in an id can't reach into another key. Content media are the same whatever the
case of their id, so keys of a content media use `fold`.
"""

from __future__ import annotations

from typing import Self
from urllib.parse import quote


def quoted(identifier: str) -> str:
    """An id as it stands in a key or in an outgoing path: nothing is left safe but letters, digits, `_.-~`."""
    return quote(identifier, safe="")


def fold(content_media_id: str) -> str:
    """The spelling by which two ids of one content media are equal (domain A2)."""
    return content_media_id.casefold()


def alike(text: str, name: str) -> bool:
    """Whether a name has this text in it, whatever its case, or the text is the name shortened from the middle."""
    text, name = fold(text), fold(name)
    head, dots, tail = text.partition("…")
    return name.startswith(head) and name.endswith(tail) if dots and head and tail else text in name


class Keys:
    """Names under one tenant's prefix, `{tenant}:`. The scripts build the same names from `prefix`."""

    def __init__(self, tenant: str) -> None:
        self.prefix = f"{tenant}:"

    @classmethod
    def of(cls, keys: Keys) -> Self:
        """The names of one package, under the same prefix as these."""
        return cls(keys.prefix.removesuffix(":"))

    # planning
    def event(self, event_id: str) -> str:
        return f"{self.prefix}event:{quoted(event_id)}"

    def event_jobs(self, event_id: str) -> str:
        return f"{self.event(event_id)}:jobs"

    def event_revision(self, event_id: str) -> str:
        return f"{self.event(event_id)}:revision"

    def job(self, job_id: str) -> str:
        return f"{self.prefix}job:{quoted(job_id)}"

    def livestream_events(self, livestream_id: str) -> str:
        return f"{self.prefix}livestream:{quoted(livestream_id)}:events"

    @property
    def events(self) -> str:
        return f"{self.prefix}events"

    @property
    def jobs(self) -> str:
        return f"{self.prefix}jobs"

    # registrations
    def registration(self, livestream_id: str, content_media_id: str) -> str:
        return f"{self.registration_prefix}{quoted(livestream_id)}:{quoted(fold(content_media_id))}"

    @property
    def registration_prefix(self) -> str:
        return f"{self.prefix}registration:"

    @property
    def registrations(self) -> str:
        return f"{self.prefix}registrations"

    @property
    def active_by_livestream(self) -> str:
        return f"{self.prefix}registrations:active:livestream"

    @property
    def active_by_media(self) -> str:
        return f"{self.prefix}registrations:active:media"

    @property
    def generations(self) -> str:
        return f"{self.prefix}registrations:generation"

    @property
    def forgotten_generation(self) -> str:
        return f"{self.prefix}registrations:generation:forgotten"

    @property
    def spellings(self) -> str:
        return f"{self.prefix}registrations:spelling"

    # outgoing
    def request(self, request_id: str) -> str:
        return f"{self.prefix}request:{request_id}"

    def attempts(self, request_id: str) -> str:
        return f"{self.request(request_id)}:attempts"

    @property
    def requests(self) -> str:
        return f"{self.prefix}requests"

    def requests_in(self, state: str) -> str:
        return f"{self.prefix}requests:{state}"

    def requests_of(self, content_media_id: str) -> str:
        return f"{self.prefix}media:{quoted(fold(content_media_id))}:requests"

    def delivered_paths(self, content_media_id: str) -> str:
        return f"{self.prefix}media:{quoted(fold(content_media_id))}:delivered"

    @property
    def finished(self) -> str:
        return f"{self.prefix}finished"

    @property
    def expiry(self) -> str:
        return f"{self.prefix}expiry"

    def pending(self, destination: str) -> str:
        return f"{self.prefix}pending:{destination}"

    def live(self, destination: str) -> str:
        return f"{self.prefix}live:{destination}"

    def failed(self, destination: str) -> str:
        return f"{self.prefix}failed:{destination}"

    def due(self, destination: str) -> str:
        return f"{self.prefix}due:{destination}"

    def lane(self, destination: str, lane: str) -> str:
        return f"{self.prefix}lane:{destination}:{quoted(lane)}"

    def fields(self, destination: str, path: str) -> str:
        return f"{self.prefix}fields:{destination}:{path}"

    @property
    def store_full(self) -> str:
        return f"{self.prefix}store:full"

    def marks(self, destination: str) -> str:
        return f"{self.prefix}marks:{destination}"

    def suspects(self, destination: str) -> str:
        return f"{self.prefix}suspects:{destination}"

    def destination(self, destination: str) -> str:
        return f"{self.prefix}destination:{destination}"

    @property
    def held(self) -> str:
        return f"{self.prefix}held"

    @property
    def held_by(self) -> str:
        return f"{self.prefix}held:by"

    # seeing and acting
    def timeline(self, content_media_id: str) -> str:
        return f"{self.prefix}media:{quoted(fold(content_media_id))}:timeline"

    def operation(self, operation_id: str) -> str:
        return f"{self.prefix}operation:{operation_id}"

    def idempotency(self, digest: str) -> str:
        return f"{self.prefix}idempotency:{digest}"

    @property
    def tokens(self) -> str:
        return f"{self.prefix}tokens"

    def rate(self, token_id: str, window: int) -> str:
        return f"{self.prefix}rate:{token_id}:{window}"

    def tick(self, name: str) -> str:
        return f"{self.prefix}tick:{name}"
