"""Why a request, or a content media, is as it is: pure functions of what was read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from app.fleet.causes import NOTHING, Around, Cause, obstacles, suspect
from app.outgoing.decision import expiry
from app.outgoing.model import State
from app.platform.clock import later, parse_time, rfc3339

Record = Mapping[str, Any]
_PARKED: Final = "Nothing more is sent of it by itself."
_MENDED_BY: Final = {
    "no_job": "Let planning send a job for event {eventId} that isn't canceled: that queues it anew.",
    "no_livestream": "Let planning name livestream {livestreamId} in an event, which queues it anew; or unregister it.",
    "no_dmhe_resource": (
        "Let planning give job {jobId} a visible resource with the property DMHE (MEDIAOPS_DMHE_PROPERTY): that queues it "
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


def of_request(record: Record, around: Around, ahead: Record | None = None) -> Cause:
    """Why a request is in its state. `ahead`: the one of its lane that it waits for."""
    state = State(record["state"])
    match state:
        case State.PENDING:
            return _pending(record, around, ahead)
        case State.FAILED:
            return _failed(record, around)
        case State.LIVE:
            says = f"{_name(record)} is being sent; it was tried {_times(record['attemptCount'])} before."
            after = (
                "Its end is written down; where its worker is gone, its lease runs out and another sends it."
            )
            return _cause(record, "live", says, None, after)
        case State.DELIVERED:
            says = f"{_name(record)} was delivered; it was tried {_times(record['attemptCount'])}."
            return _cause(
                record, "delivered", says, record["finishedAt"], "Nothing is left to do.", "Nothing."
            )
        case State.REJECTED:
            advice = _MENDED_BY.get(str(record["reason"]), _REJECTED).format_map(_Fields(record))
            says = f"{_name(record)} was rejected: {_error(record)}"
            return _cause(record, "rejected", says, record["finishedAt"], f"It is parked. {_PARKED}", advice)
        case State.EXPIRED:
            says = f"{_name(record)} expired: {_error(record)} It was tried {_times(record['attemptCount'])}{_first(record)}."
            advice = f"`requests retry {record['id']}` tries it again; its age starts anew."
            return _cause(record, "expired", says, record["finishedAt"], _PARKED, advice)
        case State.DISCARDED:
            says = f"{_name(record)} was discarded by an operator."
            advice = f"`requests retry {record['id']}`, if it is wanted after all."
            return _cause(record, "discarded", says, record["finishedAt"], _PARKED, advice)
        case State.SUPERSEDED:
            return _superseded(record)


def of_media(records: Sequence[tuple[Record, Record | None]], around: Around) -> list[Cause]:
    """Why a content media isn't in step: what is in the way, then what ended undelivered, has failed or waits; each
    request with the one that it waits for."""
    own = [of_request(record, around, ahead) for record, ahead in records]
    in_the_way = obstacles(around) if any(_waits(record) for record, _ in records) or around.hold else []
    late = [suspect()] if around.suspect else []
    return [*in_the_way, *own, *late]


def ahead_of(request_id: str, marks: Mapping[str, Sequence[tuple[int, str]]]) -> str | None:
    """Which request of its lane it waits for, by the lane's marks (docs/data-model.md, "Lanes")."""
    live = [other for _, other in marks["l"] if other != request_id]
    if live:
        return live[0]
    own = next((n for kind in "wf" for n, other in marks[kind] if other == request_id), None)
    barrier = next(iter(marks["b"]), None)
    if barrier is not None and own is not None and barrier[0] < own:
        return barrier[1]
    if barrier is not None and barrier[1] == request_id:
        older = sorted(one for kind in "wf" for one in marks[kind] if own is not None and one[0] < own)
        return older[0][1] if older else None
    first = next(iter(marks["w"]), None)
    return (
        first[1]
        if first is not None and first[1] != request_id and own is not None and first[0] < own
        else None
    )


def _pending(record: Record, around: Around, ahead: Record | None) -> Cause:
    in_the_way = obstacles(around)
    if in_the_way:
        expires = _expires_behind_breaker(record, around)
        return _cause(
            record,
            "waiting",
            f"{_name(record)} waits: {_lower(in_the_way[0].says)}",
            record["createdAt"],
            in_the_way[0].next
            + (f" It expires at {expires} unless it is delivered before." if expires else ""),
            in_the_way[0].todo,
        )
    if ahead is not None:
        return _behind(record, ahead)
    destination = around.destination
    says = (
        f"{_name(record)} waits for its turn: {destination['live']} of at most {destination['maxInFlight']} requests are in "
        f"flight, {destination['runnable']} wait."
    )
    return _cause(record, "waiting", says, record["createdAt"])


def _behind(record: Record, ahead: Record) -> Cause:
    says = f"{_name(record)} waits behind {ahead['id']}, which is {ahead['state']}"
    if ahead["method"] == "PATCH" or ahead["state"] == State.LIVE:
        return _cause(
            record, "waiting", f"{says}: one request of a lane goes at a time.", record["createdAt"]
        )
    after = f" It is tried again from {ahead['nextTryAt']}." if ahead["nextTryAt"] else ""
    return _cause(
        record,
        "behind_barrier",
        f"{says}: a {ahead['method']} lets nothing of its lane pass until it has ended.",
        record["createdAt"],
        f"It goes on once that one is delivered or given up.{after}",
        f"`why {ahead['id']}`; `requests discard {ahead['id']}` lets the others go on without it.",
    )


def _failed(record: Record, around: Around) -> Cause:
    in_the_way = obstacles(around)
    again = (
        in_the_way[0].next
        if in_the_way
        else f"It is tried again from {record['nextTryAt']}."
        if record["nextTryAt"]
        else f"It is tried again at the next tick, within {around.retry_s:g} s."
    )
    return _cause(
        record,
        "failed",
        f"{_name(record)} has failed: {_error(record)} It was tried {_times(record['attemptCount'])}.",
        record["firstFailedAt"],
        f"{again} It expires at {record['expiresAt']} unless it is delivered before.",
        in_the_way[0].todo if in_the_way else NOTHING,
    )


def _superseded(record: Record) -> Cause:
    newer = record["supersededBy"]
    if newer:
        says = f"{_name(record)} was superseded: a newer request, {newer}, has set its fields."
        return _cause(
            record,
            "superseded",
            says,
            record["finishedAt"],
            f"`why {newer}` says what becomes of that one.",
            "Nothing.",
        )
    says = f"{_name(record)} is not needed any more ({record['reason']})."
    return _cause(record, "superseded", says, record["finishedAt"], _PARKED, "Nothing.")


def _waits(record: Record) -> bool:
    return record["state"] in (State.PENDING, State.LIVE, State.FAILED)


def _expires_behind_breaker(record: Record, around: Around) -> str | None:
    """What was never tried grows old only behind an open breaker."""
    opened = around.destination.get("openedAt")
    if around.destination["state"] != "open" or not opened:
        return None
    ends = [parse_time(record["deadline"])] if record["deadline"] else []
    if record["eventEndAt"]:
        ends.append(later(parse_time(record["eventEndAt"]), around.grace))
    deadline = None if record["waived"] or not ends else min(ends)
    begin = max(parse_time(record["createdAt"]), parse_time(opened))
    return rfc3339(expiry(begin, deadline, around.max_age))


def _cause(
    record: Record, code: str, says: str, since: str | None, after: str = NOTHING, todo: str = NOTHING
) -> Cause:
    return Cause(code, says, since, after, todo, record["id"])


def _name(record: Record) -> str:
    return f"Request {record['id']} ({record['kind']} {record['method']})"


def _error(record: Record) -> str:
    error = record["error"]
    return f"{record['reason']}: {error['detail']}" if error else f"{record['reason']}."


def _first(record: Record) -> str:
    return f" since {record['firstFailedAt']}" if record["firstFailedAt"] else ""


def _times(count: int) -> str:
    return {0: "not at all", 1: "once", 2: "twice"}.get(count, f"{count} times")


def _lower(text: str) -> str:
    return text[0].lower() + text[1:] if text.startswith(("The ", "An ", "Nobody ")) else text


class _Fields(dict[str, Any]):
    """A record for a text: what it doesn't have is a dash."""

    def __missing__(self, name: str) -> str:
        return "–"
