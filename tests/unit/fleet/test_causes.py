"""Why a request or a content media is as it is: the whole decision as a table."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from app.fleet.causes import Around, Cause, obstacles
from app.fleet.situations import ahead_of, of_media, of_request
from app.outgoing.holds import Hold
from app.outgoing.lanes import SHOWN, Mark, Marks
from app.outgoing.model import State
from app.outgoing.records import OutgoingRecord
from app.outgoing.status import DestinationState, DestinationStatus

AT = datetime(2026, 11, 21, 12, tzinfo=UTC)
SOON = AT + timedelta(seconds=10)
T = "2026-11-21T12:00:00Z"
LATER = "2026-11-21T12:00:10Z"
DESTINATION = DestinationStatus("avos", live=3, max_in_flight=200, runnable=7)
OPEN = replace(
    DESTINATION,
    state=DestinationState.OPEN,
    reason="connect_failed",
    detail="Nobody listens there.",
    opened_at=SOON,
)


def record(state: str, **members: Any) -> OutgoingRecord:
    own = OutgoingRecord(
        id="r1", kind="booking", method="PATCH", path="/x", state=State(state), created_at=AT, finished_at=AT,
        event_id="ev-1", job_id="j-1", livestream_id="L1", content_media_id="C1", destination="avos", lane="c1",
    )  # fmt: skip
    return replace(own, **members)


def around(**members: Any) -> Around:
    return Around(**{"destination": DESTINATION, "lane": "c1", **members})


def failed(code: str, **members: Any) -> OutgoingRecord:
    return record(
        "failed",
        reason=code,
        error="It said why.",
        first_failed_at=AT,
        expires_at=AT + timedelta(days=1),
        attempt_count=2,
        **members,
    )


def rejected(code: str) -> OutgoingRecord:
    return record("rejected", reason=code, error="It said why.")


BARRIER = record("failed", id="b1", method="POST", kind="generic", next_try_at=SOON)
HOLD = Hold("c1", AT, "ops")
PAUSED = replace(DESTINATION, state=DestinationState.PAUSED, paused_by="ops", paused_at=AT)
RESTING = replace(DESTINATION, state=DestinationState.RESTING, not_before=SOON)

# What is looked at → code, since, and words of what it says, of what happens next, and of what to do.
CASES = {
    "rejected for want of a job": (
        (rejected("no_job"), around(), None), "rejected", AT, ["r1 (booking PATCH) was rejected: no_job: It said why."],
        ["person must look"], ["planning send a job for event ev-1"],
    ),
    "rejected for want of a livestream": (
        (rejected("no_livestream"), around(), None), "rejected", AT, ["no_livestream"], ["person must look"], ["livestream L1", "unregister"],
    ),
    "rejected for want of a resource": (
        (rejected("no_dmhe_resource"), around(), None), "rejected", AT, ["no_dmhe_resource"], ["person must look"], ["job j-1", "DMHE"],
    ),
    "rejected by AVOS": (
        (rejected("refused"), around(), None), "rejected", AT, ["refused: It said why."], ["person must look"],
        ["`requests retry r1`", "`requests discard r1`"],
    ),
    "of unknown outcome": (
        (rejected("unknown_outcome"), around(), None), "rejected", AT, ["unknown_outcome"], ["person must look"], ["Look there first", "r1"],
    ),
    "foreign edit": (
        (rejected("foreign_edit"), around(), None), "rejected", AT, ["foreign_edit"], ["person must look"], ["overwrites", "out of step"],
    ),
    "expired": (
        (record("expired", reason="timeout", attempt_count=9, first_failed_at=AT), around(), None), "expired", AT,
        ["expired: timeout.", "9 times since " + T], ["by itself"], ["`requests retry r1`", "anew"],
    ),
    "discarded": ((record("discarded"), around(), None), "discarded", AT, ["by an operator"], ["by itself"], ["`requests retry r1`"]),
    "superseded and undelivered": (
        (record("superseded", superseded_by="r9"), around(), None), "superseded", AT, ["r9, has set its fields"], ["`why r9`"], [],
    ),
    "unregistered": ((record("superseded", reason="unregistered"), around(), None), "superseded", AT, ["unregistered"], [], []),
    "delivered": ((record("delivered", attempt_count=1), around(), None), "delivered", AT, ["tried once"], [], []),
    "live": ((record("live"), around(), None), "live", None, ["is being sent"], ["lease"], []),
    "failed, tried again at a time": (
        (failed("throttled", next_try_at=SOON), around(), None), "failed", AT, ["throttled: It said why.", "tried twice"],
        ["again from " + LATER, "expires at 2026-11-22T12:00:00Z"], ["Nothing"],
    ),
    "failed, tried again at the tick": (
        (failed("timeout"), around(retry_s=10), None), "failed", AT, ["timeout"], ["next tick, within 10 s", "expires at"], ["Nothing"],
    ),
    "failed behind an open breaker": (
        (failed("timeout"), around(destination=OPEN), None), "failed", AT, ["timeout"], ["first good answer", "expires at"], ["doctor"],
    ),
    "waiting for its turn": ((record("pending"), around(), None), "waiting", AT, ["3 of at most 200", "7 wait"], ["by itself"], []),
    "waiting behind a live one": (
        (record("pending"), around(), record("live", id="r0")), "waiting", AT, ["behind r0, which is live", "one request of a lane"], [], [],
    ),
    "waiting behind a barrier": (
        (record("pending"), around(), BARRIER), "behind_barrier", AT, ["behind b1, which is failed", "POST lets nothing"],
        ["again from " + LATER], ["`requests discard b1`"],
    ),
    "waiting while it is held": (
        (record("pending"), around(hold=HOLD), None), "waiting", AT, ["an operator holds its content media (ops)"],
        ["until it is released"], ["`contentmedia release c1`"],
    ),
    "waiting behind an open breaker": (
        (record("pending", deadline=AT + timedelta(hours=6)), around(destination=OPEN), None), "waiting", AT,
        ["the breaker of avos is open: connect_failed: Nobody listens there."], ["It expires at 2026-11-21T18:00:00Z"], ["doctor"],
    ),
    "waiting, waived, behind an open breaker": (
        (record("pending", deadline=AT + timedelta(hours=6), waived=True), around(destination=OPEN), None), "waiting", AT,
        ["breaker"], ["It expires at 2026-11-22T12:00:10Z"], [],
    ),
    "waiting near its event's end behind an open breaker": (
        (record("pending", event_end_at=AT), around(destination=OPEN, grace=timedelta(hours=1)), None), "waiting", AT,
        ["breaker"], ["It expires at 2026-11-21T13:00:00Z"], [],
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_a_request(name: str) -> None:
    given, code, since, says, after, todo = CASES[name]
    cause = of_request(*given)
    assert (cause.code, cause.since, cause.request_id) == (code, since, "r1")
    check(cause, says, after, todo)


def check(cause: Cause, says: list[str], after: list[str], todo: list[str]) -> None:
    for wanted, text in ((says, cause.says), (after, cause.next), (todo, cause.todo)):
        assert text
        for words in wanted:
            assert words in text
            assert words in cause.text()


@pytest.mark.parametrize(
    ("given", "code", "since", "says", "after", "todo"),
    [
        (around(destination=PAUSED), "paused", AT, ["paused by ops"], ["until it is resumed"], ["`destinations resume avos`"]),
        (around(hold=HOLD), "held", AT, ["holds", "ops"], ["kept and wait"], ["`contentmedia release c1`"]),
        (around(hold=Hold("c1", AT, None)), "held", AT, ["An operator holds its content media."], [], []),
        (around(destination=OPEN), "breaker_open", SOON, ["connect_failed"], ["every 10 s at most"], ["nothing has to be done"]),
        (around(destination=replace(OPEN, next_probe_at=AT)), "breaker_open", SOON, [], ["probe goes out at " + T], []),
        (around(destination=replace(OPEN, reason="unauthorized")), "breaker_open", SOON, [], [], ["MEDIAOPS_AVOS_TOKEN"]),
        (around(destination=replace(OPEN, reason="tls")), "breaker_open", SOON, [], [], ["MEDIAOPS_AVOS_CA_FILE"]),
        (around(destination=RESTING), "resting", None, ["Retry-After"], ["until " + LATER], ["Nothing"]),
        (around(stalled=("live",)), "workers_silent", None, ["queue live"], ["kept"], ["`doctor`"]),
    ],
)  # fmt: skip
def test_what_is_in_the_way(
    given: Around, code: str, since: datetime | None, says: list[str], after: list[str], todo: list[str]
) -> None:
    (cause,) = obstacles(given)
    assert (cause.code, cause.since) == (code, since)
    check(cause, says, after, todo)


def test_everything_that_is_in_the_way_is_named() -> None:
    everything = around(destination=OPEN, hold=HOLD, stalled=("live",))
    assert [cause.code for cause in obstacles(everything)] == ["held", "breaker_open", "workers_silent"]


def test_a_content_media_has_what_is_in_the_way_then_its_requests() -> None:
    found = of_media(
        [(rejected("no_job"), None), (record("pending", id="r2"), None)],
        around(destination=OPEN, suspect=True),
    )
    assert [cause.code for cause in found] == ["breaker_open", "rejected", "waiting", "suspect"]
    # What has ended isn't kept by a breaker.
    assert [cause.code for cause in of_media([(rejected("no_job"), None)], around(destination=OPEN))] == [
        "rejected"
    ]
    assert [cause.code for cause in of_media([], around(hold=HOLD))] == ["held"]
    assert of_media([], around()) == []


NONE: Marks = {kind: [] for kind in SHOWN}


@pytest.mark.parametrize(
    ("own", "marks", "ahead"),
    [
        ("r2", {"w": [(2, "r2")]}, None),
        ("r2", {"w": [(2, "r2")], "l": [(1, "r1")]}, "r1"),
        ("r2", {"l": [(2, "r2")]}, None),
        ("r2", {"w": [(1, "r1"), (2, "r2")]}, "r1"),
        ("r2", {"w": [(2, "r2")], "f": [(1, "r1")]}, None),  # a failed PATCH holds nothing back
        ("r2", {"w": [(2, "r2")], "f": [(1, "b1")], "b": [(1, "b1")]}, "b1"),
        ("r2", {"f": [(1, "b1"), (2, "r2")], "b": [(1, "b1")]}, "b1"),
        ("r1", {"w": [(1, "r1"), (2, "b2")], "b": [(2, "b2")]}, None),
        ("b2", {"w": [(2, "b2")], "f": [(1, "r1")], "b": [(2, "b2")]}, "r1"),  # a barrier waits for what is older
        ("b2", {"w": [(2, "b2"), (3, "r3")], "b": [(2, "b2")]}, None),
        ("gone", {"w": [(1, "r1")]}, None),
    ],
)  # fmt: skip
def test_which_request_of_its_lane_it_waits_for(own: str, marks: dict[str, Any], ahead: str | None) -> None:
    assert ahead_of(own, NONE | {Mark(kind): found for kind, found in marks.items()}) == ahead
