"""What the audit has found, its round, and a preview, as the API shows them."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from typing import Any

from app.drift.preview import Preview, PreviewedMember, PreviewedRequest
from app.drift.results import DriftResult, Reason, Round
from app.platform.clock import rfc3339


def shown_result(result: DriftResult) -> dict[str, Any]:
    """What was found at a content media."""
    return {
        "contentMediaId": result.content_media_id,
        "livestreamId": result.livestream_id,
        "eventId": result.event_id,
        "state": result.state.value,
        "checkedAt": rfc3339(result.checked_at),
        "since": rfc3339(result.since),
        "members": [asdict(member) for member in result.members],
        "notShown": list(result.not_shown),
        "error": _error(result.error),
        "healing": list(result.healing),
    }


def shown_round(now: Round) -> dict[str, Any]:
    """How far the audit is."""
    return {
        "startedAt": _time(now.started_at),
        "endedAt": _time(now.ended_at),
        "underWay": now.cursor is not None,
        "compared": now.compared,
        "skipped": now.skipped,
    }


def shown_preview(preview: Preview) -> dict[str, Any]:
    """Both PATCHes beside what AVOS shows."""
    avos = preview.avos
    return {
        "contentMediaId": preview.content_media_id,
        "livestreamId": preview.livestream_id,
        "eventId": preview.event_id,
        "jobId": preview.job_id,
        "requests": [_request(request) for request in preview.requests],
        "avos": {
            "status": avos.status,
            "latencyMs": avos.latency_ms,
            "lastModified": avos.last_modified,
            "error": _error(avos.error),
        },
        "behind": preview.lane.behind,
        "failing": preview.lane.failing,
        "held": preview.lane.held,
    }


def _request(request: PreviewedRequest) -> dict[str, Any]:
    return {
        "kind": request.kind,
        "method": request.method,
        "path": request.path,
        "rejected": _error(request.rejected),
        "members": [_member(member) for member in request.members],
        "absent": list(request.absent),
    }


def _member(member: PreviewedMember) -> dict[str, Any]:
    verdict = None if member.verdict is None else member.verdict.value
    return {"member": member.member, "wanted": member.wanted, "shown": member.shown, "verdict": verdict}


def _error(error: Reason | None) -> dict[str, str] | None:
    return None if error is None else {"code": error.code, "detail": error.detail}


def _time(instant: datetime | None) -> str | None:
    return None if instant is None else rfc3339(instant)
