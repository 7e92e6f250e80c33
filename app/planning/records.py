"""A stored event or job, and the two ways of refusing a late or lost update: sourceVersion and ETag. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from app.platform import etags
from app.platform.clock import parse_time, rfc3339
from app.platform.errors import Conflict

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
class ChangeOutcome:
    """The answer to a change. `created`: it wasn't there before. `changed` False: it was the same already."""

    id: str
    record: Record
    created: bool = False
    changed: bool = True
    request_ids: tuple[str, ...] = ()
    event_known: bool = True
    touched: tuple[str, ...] = field(default=(), repr=False)  # content media that the change may reach


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


def newest(stored: SourceVersion | None, given: SourceVersion | None) -> SourceVersion | None:
    """What is kept after a call that passed: a call without a version doesn't forget the stored one."""
    return stored if given is None else given


def etag(record: Record) -> str:
    """The entity tag without its quotes."""
    return str(record.revision)


def check_if_match(record: Record, if_match: str | None) -> None:
    """Raises PreconditionFailed where If-Match names no current revision."""
    etags.check_if_match(etag(record) if record.exists else None, if_match)


def shown(id_name: str, outcome: ChangeOutcome) -> dict[str, Any]:
    """A record as the API shows it, with what the call queued."""
    return {**shown_record(id_name, outcome.id, outcome.record), "requestIds": list(outcome.request_ids)}


def shown_record(id_name: str, identifier: str, record: Record) -> dict[str, Any]:
    """A record as the API shows it."""
    answer = {id_name: identifier, **(record.body or {})}
    facts = {
        "sourceVersion": shown_version(record.source_version),
        "revision": record.revision,
        "createdAt": _shown_time(record.created_at),
        "updatedAt": _shown_time(record.updated_at),
        "deletedAt": _shown_time(record.deleted_at),
    }
    return answer | {name: value for name, value in facts.items() if value is not None}


def _shown_time(instant: datetime | None) -> str | None:
    return None if instant is None else rfc3339(instant)
