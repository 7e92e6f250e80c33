"""A registration, and what another one of the same livestream or content media means for it. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from app.platform.clock import rfc3339
from app.platform.errors import BadRequest
from app.platform.keys import fold


@dataclass(frozen=True, slots=True)
class Pair:
    """A livestream and a content media, as spelled by whoever asks."""

    livestream_id: str
    content_media_id: str


@dataclass(frozen=True, slots=True)
class Registration:
    """One pair's record. `content_media_id` is its first spelling; deleted ones stay, with `deleted_at`."""

    livestream_id: str
    content_media_id: str
    created_at: datetime
    updated_at: datetime
    deleted_at: datetime | None = None
    generation: int = 0


@dataclass(frozen=True, slots=True)
class Links:
    """What stands now: the pair's record, who is linked to either side, the content media's newest generation (0 for none)
    and the greatest of those that were forgotten."""

    record: Registration | None
    media_of_livestream: str | None
    livestream_of_media: str | None
    generation: int
    spelling: str | None
    forgotten: int = 0

    @property
    def next_generation(self) -> int:
        """Greater than any that a request may have been made for."""
        return max(self.generation, self.forgotten) + 1

    def active(self, pair: Pair) -> bool:
        """Is exactly this pair linked?"""
        return (
            self.livestream_of_media == pair.livestream_id
            and self.media_of_livestream is not None
            and fold(self.media_of_livestream) == fold(pair.content_media_id)
        )


@dataclass(frozen=True, slots=True)
class RegistrationOutcome:
    """The answer to a registration. `created` also for one that was deleted and is active again."""

    registration: Registration
    created: bool
    request_ids: tuple[str, ...] = ()


def check_links(links: Links, pair: Pair) -> bool:
    """True where the pair is active already, False where both sides are free. Raises BadRequest with the
    requirement's text where one side is linked elsewhere."""
    if links.active(pair):
        return True
    if links.media_of_livestream is None and links.livestream_of_media is None:
        return False
    raise BadRequest("Content Media Already Registered", code="already_registered", field="contentMediaId")


def shown(outcome: RegistrationOutcome) -> dict[str, Any]:
    """As the API shows it."""
    registration = outcome.registration
    deleted_at = registration.deleted_at
    return {
        "livestreamId": registration.livestream_id,
        "contentMediaId": registration.content_media_id,
        "createdAt": rfc3339(registration.created_at),
        "updatedAt": rfc3339(registration.updated_at),
        "deletedAt": None if deleted_at is None else rfc3339(deleted_at),
        "requestIds": list(outcome.request_ids),
    }
