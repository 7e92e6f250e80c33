"""A stored event or job, a change of one, and how an older change is refused: by sourceVersion and by ETag. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import chain
from typing import Any, Literal

from app.outgoing.model import digest
from app.platform import etags
from app.platform.clock import parse_time
from app.platform.errors import Conflict, NotFound

Kind = Literal["event", "job"]
Body = Mapping[str, Any]
SourceVersion = int | datetime


@dataclass(frozen=True, slots=True)
class Record:
    """What is known under an id. Without a body it was deleted or never there; a deleted one keeps its
    revision and sourceVersion, so that neither an old ETag nor an older call fits what comes after it."""

    body: Body | None = None
    revision: int = 0
    source_version: SourceVersion | None = None
    created_at: datetime | None = None
    updated_at: datetime | None = None
    deleted_at: datetime | None = None

    @property
    def exists(self) -> bool:
        return self.body is not None


@dataclass(frozen=True, slots=True)
class Ids:
    """Ids of events, jobs and livestreams."""

    events: tuple[str, ...] = ()
    jobs: tuple[str, ...] = ()
    livestreams: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Change:
    """A PUT of an event or job, or (without a body) its DELETE."""

    kind: Kind
    id: str
    body: Body | None
    source_version: SourceVersion | None = None
    if_match: str | None = None

    @property
    def names(self) -> Ids:
        """What the call itself names."""
        if self.kind == "event":
            return Ids(events=(self.id,), livestreams=livestream_ids(self.body))
        return Ids(events=event_ids(self.body), jobs=(self.id,))


@dataclass(frozen=True, slots=True)
class ChangeOutcome:
    """The answer to a change. `created`: it wasn't there before. `changed` False: it was the same already.
    `request_ids`: of what it has queued. `event_known` False: a job whose event isn't there yet."""

    id: str
    record: Record
    created: bool = False
    changed: bool = True
    request_ids: tuple[str, ...] = ()
    event_known: bool = True


def union(parts: Iterable[Ids]) -> Ids:
    """All of these, each once."""
    parts = list(parts)
    return Ids(
        _unique(part.events for part in parts),
        _unique(part.jobs for part in parts),
        _unique(part.livestreams for part in parts),
    )


def _unique(ids: Iterable[Iterable[str]]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(chain.from_iterable(ids)))


def livestream_ids(event: Body | None) -> tuple[str, ...]:
    """The livestreams that an event's body names, in its order."""
    return tuple(entry["livestreamId"] for entry in (event or {}).get("livestreams") or ())


def event_ids(*jobs: Body | None) -> tuple[str, ...]:
    """The events that jobs' bodies are attached to, each once."""
    return tuple(dict.fromkeys(job["eventId"] for job in jobs if job is not None))


def stamped(record: Record, at: datetime) -> Record:
    """The record with the time of its acceptance where it has none yet."""
    if not record.exists:
        return record if record.deleted_at else replace(record, deleted_at=at)
    return replace(record, created_at=record.created_at or at, updated_at=record.updated_at or at)


def version_text(version: SourceVersion) -> str:
    """How a sourceVersion is stored and shown, as JSON. Times keep their microseconds: they order calls."""
    if isinstance(version, int):
        return str(version)
    return json.dumps(version.replace(tzinfo=None).isoformat() + "Z")


def version_from(text: str) -> SourceVersion:
    """The inverse of `version_text`."""
    value = json.loads(text)
    return value if isinstance(value, int) else parse_time(value)


def shown_version(version: SourceVersion | None) -> int | str | None:
    """As it stands in an answer."""
    if version is None or isinstance(version, int):
        return version
    text: str = json.loads(version_text(version))
    return text


def check_version(stored: SourceVersion | None, given: SourceVersion | None) -> None:
    """Raises Conflict for a call that is older than what is stored.

    An equal one passes: versions may be coarse (whole seconds), and of two calls with one version the
    last to arrive counts. One without a version can't be compared and passes too.
    """
    if stored is None or given is None:
        return
    if isinstance(stored, int) is not isinstance(given, int):
        kinds = ("integer", "time") if isinstance(stored, int) else ("time", "integer")
        raise Conflict(
            f"The stored sourceVersion is of the kind {kinds[0]}, this one is of the kind {kinds[1]}: "
            "they can't be compared.",
            code="source_version_kind",
            field="sourceVersion",
        )
    if given < stored:  # type: ignore[operator]  # both are of one kind
        raise Conflict(
            f"sourceVersion {shown_version(given)} is older than the stored {shown_version(stored)}; "
            "nothing was changed.",
            code="source_version_older",
            field="sourceVersion",
        )


def etag(record: Record) -> str:
    """The entity tag without its quotes."""
    return str(record.revision)


def check_if_match(record: Record, if_match: str | None) -> None:
    """Raises PreconditionFailed where If-Match names no current revision."""
    etags.check_if_match(etag(record) if record.exists else None, if_match)


def changed(before: Record, change: Change) -> Record:
    """The record as the change leaves it, its revision and its times still to come; `before` itself where it is the same
    already. A call without a version doesn't forget the stored one. Raises PreconditionFailed, NotFound or Conflict."""
    check_if_match(before, change.if_match)
    if change.body is None and not before.exists:
        raise NotFound(f"There is no such {change.kind}.")
    check_version(before.source_version, change.source_version)
    version = before.source_version if change.source_version is None else change.source_version
    if version == before.source_version and _same(change.body, before.body):
        return before
    created_at = before.created_at if before.exists else None
    return Record(change.body, before.revision, version, created_at)


def _same(body: Body | None, stored: Body | None) -> bool:
    """As JSON: to Python true equals 1."""
    return body is not None and stored is not None and digest(body) == digest(stored)
