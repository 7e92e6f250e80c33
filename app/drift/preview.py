"""The preview of one content media: what a forced update would send now, beside what AVOS shows. Values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from app.avos.comparison import Match
from app.avos.drift import Compared
from app.drift.results import Reason
from app.outgoing.control import REJECTED_DETAIL
from app.outgoing.model import ABSENT, NewRequest
from app.outgoing.store import LaneSummary


@dataclass(frozen=True, slots=True)
class AvosAnswer:
    """What the GET gave. `error`: why it gave no document."""

    status: int | None
    latency_ms: float | None
    last_modified: str | None = None
    error: Reason | None = None


@dataclass(frozen=True, slots=True)
class PreviewedMember:
    """`verdict` is None where AVOS could not be read."""

    member: str
    wanted: Any
    shown: Any = None
    verdict: Match | None = None


@dataclass(frozen=True, slots=True)
class PreviewedRequest:
    """One PATCH. `rejected`: why it can't be composed; `absent`: members that planning has no value for."""

    kind: str
    method: str
    path: str
    rejected: Reason | None
    members: tuple[PreviewedMember, ...]
    absent: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Preview:
    """Both PATCHes, what AVOS answered, and how the lane stands."""

    content_media_id: str
    livestream_id: str | None
    event_id: str | None
    job_id: str | None
    requests: tuple[PreviewedRequest, ...]
    avos: AvosAnswer
    lane: LaneSummary


def preview(
    content_media_id: str,
    requests: Sequence[NewRequest],
    avos: AvosAnswer,
    seen: Sequence[Compared],
    lane: LaneSummary,
) -> Preview:
    """`seen`: the members that could be compared."""
    by_place = {(one.kind, one.member): one for one in seen}
    booking = requests[0]
    return Preview(
        content_media_id,
        booking.livestream_id,
        booking.event_id,
        booking.job_id,
        tuple(_previewed(request, by_place) for request in requests),
        avos,
        lane,
    )


def _previewed(request: NewRequest, seen: Mapping[tuple[str, str], Compared]) -> PreviewedRequest:
    members: Mapping[str, Any] = (request.members or {}) if request.rejected is None else {}
    rejected = request.rejected
    return PreviewedRequest(
        request.kind,
        request.method,
        request.path,
        None if rejected is None else Reason(rejected, REJECTED_DETAIL[rejected]),
        tuple(
            _member(name, wanted, seen.get((request.kind, name)))
            for name, wanted in members.items()
            if wanted is not ABSENT
        ),
        tuple(name for name, wanted in members.items() if wanted is ABSENT),
    )


def _member(name: str, wanted: Any, seen: Compared | None) -> PreviewedMember:
    if seen is None:
        return PreviewedMember(name, wanted)
    return PreviewedMember(name, wanted, seen.shown, seen.verdict)
