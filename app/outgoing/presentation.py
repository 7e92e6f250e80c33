"""Requests, operations, destinations and timelines as the API shows them: every member always there, null where there
is nothing."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from app.outgoing.model import NAMED_LANE, PATH_LANE
from app.outgoing.operations import Operation
from app.outgoing.records import OutgoingRecord
from app.outgoing.service import TimelineEntry
from app.outgoing.status import DestinationStatus
from app.platform.clock import rfc3339


def shown_request(record: OutgoingRecord) -> dict[str, Any]:
    """A record with its attempts."""
    return {
        "id": record.id,
        "lane": record.lane.removeprefix(NAMED_LANE).removeprefix(PATH_LANE) or None,
        "destination": record.destination,
        "contentMediaId": record.content_media_id,
        "livestreamId": record.livestream_id,
        "eventId": record.event_id,
        "jobId": record.job_id,
        "kind": record.kind,
        "method": record.method,
        "path": record.path,
        "state": record.state.value,
        "supersededBy": record.superseded_by,
        "reason": record.reason,
        "body": record.body,
        "withdrawn": list(record.withdrawn),
        "urgentAt": _time(record.urgent_at),
        "eventEndAt": _time(record.event_end_at),
        "deadline": _time(record.deadline),
        "createdAt": _time(record.created_at),
        "firstFailedAt": _time(record.first_failed_at),
        "nextTryAt": _time(record.next_try_at),
        "expiresAt": _time(record.expires_at),
        "finishedAt": _time(record.finished_at),
        "attemptCount": record.attempt_count,
        "attempts": [dict(attempt) for attempt in record.attempts],
        "error": {"code": record.reason, "detail": record.error} if record.error else None,
        "waived": record.waived,
        "latenessS": record.lateness_s,
    }


def shown_operation(operation: Operation) -> dict[str, Any]:
    """An operation and how far it is."""
    return {
        "id": operation.id,
        "verb": operation.verb,
        "filter": operation.filter.as_json(),
        "actor": operation.actor,
        "state": operation.state,
        "createdAt": rfc3339(operation.created_at),
        "finishedAt": _time(operation.finished_at),
        "changed": operation.changed,
        "refused": operation.refused,
    }


def shown_destination(status: DestinationStatus) -> dict[str, Any]:
    """A destination with what waits for it."""
    return {
        "name": status.name,
        "state": status.state.value,
        "reason": status.reason,
        "detail": status.detail,
        "openedAt": _time(status.opened_at),
        "probedAt": _time(status.probed_at),
        "nextProbeAt": _time(status.next_probe_at),
        "timesOpened": status.times_opened,
        "notBefore": _time(status.not_before),
        "recoveringFrom": _time(status.recovering_from),
        "pausedBy": status.paused_by,
        "pausedAt": _time(status.paused_at),
        "runnable": status.runnable,
        "live": status.live,
        "failed": status.failed,
        "maxInFlight": status.max_in_flight,
    }


def shown_timeline_entry(entry: TimelineEntry) -> dict[str, Any]:
    """What happened to a content media."""
    return {"at": rfc3339(entry.at), "what": entry.what, "detail": dict(entry.detail)}


def _time(instant: datetime | None) -> str | None:
    return None if instant is None else rfc3339(instant)
