"""A registration, and what is linked to its livestream and its content media."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

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
