"""Why a request, or a content media, is as it is: pure functions of what was read."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from app.fleet.causes import NOTHING, Around, Cause, obstacles, suspect
from app.outgoing.decision import expiry
from app.outgoing.lanes import Mark, Marks
from app.outgoing.model import OPEN, State
from app.outgoing.records import OutgoingRecord
from app.outgoing.status import DestinationState
from app.platform.clock import later, rfc3339

_OPEN: Final = (Mark.WAITING, Mark.FAILED)
_OVER: Final = "Nothing more is sent of it by itself."
_MENDED_BY: Final = {
    "no_job": "Let planning send a job for event {event} that isn't canceled: that queues it anew.",
    "no_livestream": "Let planning name livestream {livestream} in an event, which queues it anew; or unregister it.",
    "no_dmhe_resource": (
        "Let planning give job {job} a visible resource with the property DMHE (MEDIAOPS_DMHE_PROPERTY): that queues it "
        "anew."
    ),
    "unknown_outcome": (
        "It was sent once and no answer came, so AVOS may or may not have carried it out; sent again by itself it could "
        "be done twice. Look there first: `requests discard {id}` if it was applied, `requests retry {id}` if it wasn't."
    ),
    "foreign_edit": (
        "AVOS shows another value than the one delivered last (see `edited` in its last attempt, and the timeline). "
        "`requests retry {id}` overwrites it with planning's value; `requests discard {id}` leaves AVOS as it is, out of "
        "step."
    ),
}
_REJECTED: Final = "Correct what it says, then `requests retry {id}`; `requests discard {id}` gives it up."


def of_request(record: OutgoingRecord, around: Around, ahead: OutgoingRecord | None = None) -> Cause:
    """Why a request is in its state. `ahead`: the one of its lane that it waits for."""
    tried = _times(record.attempt_count)
    ended = record.finished_at
    match record.state:
        case State.PENDING:
            return _pending(record, around, ahead)
        case State.FAILED:
            return _failed(record, around)
        case State.LIVE:
            says = f"{_name(record)} is being sent; it was tried {tried} before."
            after = (
                "Its end is written down; where its worker is gone, its lease runs out and another sends it."
            )
            return _cause(record, "live", says, None, after)
        case State.DELIVERED:
            says = f"{_name(record)} was delivered; it was tried {tried}."
            return _cause(record, "delivered", says, ended, "Nothing is left to do.", "Nothing.")
        case State.REJECTED:
            says = f"{_name(record)} was rejected: {_error(record)}"
            return _cause(record, "rejected", says, ended, f"A person must look. {_OVER}", _mended_by(record))
        case State.EXPIRED:
            says = f"{_name(record)} expired: {_error(record)} It was tried {tried}{_first(record)}."
            advice = f"`requests retry {record.id}` tries it again; its age starts anew."
            return _cause(record, "expired", says, ended, _OVER, advice)
        case State.DISCARDED:
            says = f"{_name(record)} was discarded by an operator."
            advice = f"`requests retry {record.id}`, if it is wanted after all."
            return _cause(record, "discarded", says, ended, _OVER, advice)
        case State.SUPERSEDED:
            return _superseded(record)


def of_media(records: Sequence[tuple[OutgoingRecord, OutgoingRecord | None]], around: Around) -> list[Cause]:
    """Why a content media isn't in step: what is in the way, then what ended undelivered, has failed or waits; each
    request with the one that it waits for."""
    own = [of_request(record, around, ahead) for record, ahead in records]
    waits = any(record.state in OPEN for record, _ in records)
    in_the_way = obstacles(around) if waits or around.hold else []
    late = [suspect()] if around.suspect else []
    return [*in_the_way, *own, *late]


def ahead_of(request_id: str, marks: Marks) -> str | None:
    """Which request of its lane it waits for, by the lane's marks (docs/data-model.md, "Lanes")."""
    live = [other for _, other in marks[Mark.LIVE] if other != request_id]
    if live:
        return live[0]
    own = next((n for kind in _OPEN for n, other in marks[kind] if other == request_id), None)
    barrier = next(iter(marks[Mark.BARRIER]), None)
    if barrier is not None and own is not None and barrier[0] < own:
        return barrier[1]
    if barrier is not None and barrier[1] == request_id:
        older = sorted(one for kind in _OPEN for one in marks[kind] if own is not None and one[0] < own)
        return older[0][1] if older else None
    first = next(iter(marks[Mark.WAITING]), None)
    return (
        first[1]
        if first is not None and first[1] != request_id and own is not None and first[0] < own
        else None
    )


def _pending(record: OutgoingRecord, around: Around, ahead: OutgoingRecord | None) -> Cause:
    in_the_way = next(iter(obstacles(around)), None)
    if in_the_way is not None:
        says = f"{_name(record)} waits: {_lower(in_the_way.says)}"
        expires = _expires_behind_breaker(record, around)
        until = f" It expires at {rfc3339(expires)} unless it is delivered before." if expires else ""
        return _cause(record, "waiting", says, record.created_at, in_the_way.next + until, in_the_way.todo)
    if ahead is not None:
        return _behind(record, ahead)
    destination = around.destination
    says = (
        f"{_name(record)} waits for its turn: {destination.live} of at most {destination.max_in_flight} requests are in "
        f"flight, {destination.runnable} wait."
    )
    return _cause(record, "waiting", says, record.created_at)


def _behind(record: OutgoingRecord, ahead: OutgoingRecord) -> Cause:
    says = f"{_name(record)} waits behind {ahead.id}, which is {ahead.state}"
    if ahead.method == "PATCH" or ahead.state is State.LIVE:
        says = f"{says}: one request of a lane goes at a time."
        return _cause(record, "waiting", says, record.created_at)
    after = f" It is tried again from {rfc3339(ahead.next_try_at)}." if ahead.next_try_at else ""
    return _cause(
        record,
        "behind_barrier",
        f"{says}: a {ahead.method} lets nothing of its lane pass until it has ended.",
        record.created_at,
        f"It goes on once that one is delivered or given up.{after}",
        f"`why {ahead.id}`; `requests discard {ahead.id}` lets the others go on without it.",
    )


def _failed(record: OutgoingRecord, around: Around) -> Cause:
    in_the_way = next(iter(obstacles(around)), None)
    if in_the_way is not None:
        again = in_the_way.next
    elif record.next_try_at is not None:
        again = f"It is tried again from {rfc3339(record.next_try_at)}."
    else:
        again = f"It is tried again at the next tick, within {around.retry_s:g} s."
    return _cause(
        record,
        "failed",
        f"{_name(record)} has failed: {_error(record)} It was tried {_times(record.attempt_count)}.",
        record.first_failed_at,
        f"{again} It expires at {_shown(record.expires_at)} unless it is delivered before.",
        in_the_way.todo if in_the_way is not None else NOTHING,
    )


def _superseded(record: OutgoingRecord) -> Cause:
    newer, ended = record.superseded_by, record.finished_at
    if newer:
        says = f"{_name(record)} was superseded: a newer request, {newer}, has set its fields."
        after = f"`why {newer}` says what becomes of that one."
        return _cause(record, "superseded", says, ended, after, "Nothing.")
    says = f"{_name(record)} is not needed any more ({record.reason})."
    return _cause(record, "superseded", says, ended, _OVER, "Nothing.")


def _expires_behind_breaker(record: OutgoingRecord, around: Around) -> datetime | None:
    """What was never tried grows old only behind an open breaker."""
    opened = around.destination.opened_at
    if around.destination.state is not DestinationState.OPEN or opened is None or record.created_at is None:
        return None
    ends = [record.deadline] if record.deadline else []
    if record.event_end_at:
        ends.append(later(record.event_end_at, around.grace))
    deadline = None if record.waived or not ends else min(ends)
    return expiry(max(record.created_at, opened), deadline, around.max_age)


def _mended_by(record: OutgoingRecord) -> str:
    names = {
        "id": record.id,
        "event": record.event_id,
        "livestream": record.livestream_id,
        "job": record.job_id,
    }
    known = {name: value or "–" for name, value in names.items()}
    return _MENDED_BY.get(str(record.reason), _REJECTED).format_map(known)


def _cause(
    record: OutgoingRecord,
    code: str,
    says: str,
    since: datetime | None,
    after: str = NOTHING,
    todo: str = NOTHING,
) -> Cause:
    return Cause(code, says, since, after, todo, record.id)


def _name(record: OutgoingRecord) -> str:
    return f"Request {record.id} ({record.kind} {record.method})"


def _error(record: OutgoingRecord) -> str:
    return f"{record.reason}: {record.error}" if record.error else f"{record.reason}."


def _first(record: OutgoingRecord) -> str:
    return f" since {rfc3339(record.first_failed_at)}" if record.first_failed_at else ""


def _times(count: int) -> str:
    return {0: "not at all", 1: "once", 2: "twice"}.get(count, f"{count} times")


def _shown(instant: datetime | None) -> str:
    return "an unknown time" if instant is None else rfc3339(instant)


def _lower(text: str) -> str:
    return text[0].lower() + text[1:] if text.startswith(("The ", "An ", "Nobody ")) else text
