"""The fleet, what is held, and what `why` finds, as the API shows them."""

from __future__ import annotations

from typing import Any

from app.fleet.causes import Cause
from app.fleet.findings import Finding
from app.fleet.service import HeldMedia, Member
from app.platform.clock import rfc3339


def shown_member(member: Member) -> dict[str, Any]:
    """A registered content media."""
    return {
        "contentMediaId": member.content_media_id,
        "state": member.state.value,
        "held": member.lane.held,
        "missing": member.missing,
        "livestreamId": member.livestream_id,
        "eventId": member.event_id,
        "eventName": member.body.get("name"),
        "jobId": member.job_id,
        "preKoUtc": member.livestream.get("preKoUtc"),
        "eventEnd": member.body.get("eventEnd"),
    }


def shown_hold(held: HeldMedia) -> dict[str, Any]:
    """A content media that an operator holds."""
    return {
        "contentMediaId": held.content_media_id,
        "livestreamId": held.livestream_id,
        "since": rfc3339(held.since),
        "by": held.by,
    }


def shown_finding(finding: Finding) -> dict[str, Any]:
    """`sentences` is all of it as text."""
    return {
        "kind": finding.kind,
        "about": list(finding.about),
        "causes": [shown_cause(cause) for cause in finding.causes],
        "sentences": [*finding.about, *(cause.text() for cause in finding.causes)],
        "see": finding.see,
    }


def shown_cause(cause: Cause) -> dict[str, str | None]:
    """What is the matter, since when, what happens next, and what to do."""
    return {
        "code": cause.code,
        "says": cause.says,
        "since": None if cause.since is None else rfc3339(cause.since),
        "next": cause.next,
        "todo": cause.todo,
        "requestId": cause.request_id,
    }
