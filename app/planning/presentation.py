"""Events and jobs as the API shows them."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

from app.planning.records import ChangeOutcome, Kind, Record, shown_version
from app.platform.clock import rfc3339

ID_NAMES: Final[dict[Kind, str]] = {"event": "eventId", "job": "jobId"}


def shown_outcome(kind: Kind, outcome: ChangeOutcome) -> dict[str, Any]:
    """A record with what the call has queued."""
    shown = {**shown_record(kind, outcome.id, outcome.record), "requestIds": list(outcome.request_ids)}
    if kind == "job" and outcome.record.exists:
        shown["eventKnown"] = outcome.event_known
    return shown


def shown_record(kind: Kind, identifier: str, record: Record) -> dict[str, Any]:
    """A record's own members, and the facts about it that there are."""
    facts = {
        "sourceVersion": shown_version(record.source_version),
        "revision": record.revision,
        "createdAt": _time(record.created_at),
        "updatedAt": _time(record.updated_at),
        "deletedAt": _time(record.deleted_at),
    }
    known = {name: value for name, value in facts.items() if value is not None}
    return {ID_NAMES[kind]: identifier, **(record.body or {}), **known}


def _time(instant: datetime | None) -> str | None:
    return None if instant is None else rfc3339(instant)
