"""Every course that an attempt at AVOS can take, whatever it is answered: what must hold in each of
them."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any, Final

import pytest

from app.avos.attempt import ROUNDS, AvosWay
from app.outgoing.attempts import (
    NOTHING,
    REJECTED,
    Attempt,
    Begin,
    CallFailed,
    Closed,
    Ending,
    NoteForeignEdit,
    Own,
    Progress,
    Read,
    ReadDelivered,
    Reading,
    Send,
    Step,
    Written,
)
from app.outgoing.decision import AttemptError
from app.outgoing.model import Claim, Sending
from tests.support.attempts import Trace, claim, explore, whole

ALL: Final = Sending((("a", b"1"), ("b", b"2")))
UNKNOWN: Final = {"members": ["a"], "lastModified": "m0"}
DEPTH: Final = 11


def failed(*, unknown: bool) -> CallFailed:
    return CallFailed(AttemptError("timeout", "why"), unknown=unknown, exchange={"error": "timeout"})


def reading(last_modified: str, **shown: int) -> Reading:
    return Reading(shown, last_modified, {"read": last_modified})


# The last answer to each step keeps an attempt busy longest.
ANSWERS: Final[dict[type[Step[Any]], tuple[Any, ...]]] = {
    Read: (failed(unknown=True), reading("m1", a=1, b=2), reading("m2"), reading("m3", a=1, b=9)),
    Begin: (None, ALL),
    ReadDelivered: ((Own("b", b"2", b"3"),), ()),
    NoteForeignEdit: (False, True),
    Send: (
        Written(conflict=False, exchange={}),
        failed(unknown=False),
        failed(unknown=True),
        Written(conflict=True, exchange={}),
    ),
}


def answers(step: Step[Any]) -> Sequence[Any]:
    return ANSWERS[type(step)]


def lost(answer: Any) -> bool:
    return isinstance(answer, CallFailed) and answer.unknown


def faults(trace: Trace, claimed: Claim) -> list[str]:
    """What is wrong with a trace of a PATCH."""
    found = []
    if trace.ending is None:
        return ["it doesn't end"]
    steps = trace.steps
    condition, compared = None, True  # `compared`: since the last answer that was lost
    sends = unread = 0
    for number, (step, answer) in enumerate(steps):
        if isinstance(answer, Reading):
            condition, compared = answer.last_modified, True
        if not isinstance(step, Send):
            continue
        sends += 1
        before = steps[number - 1] if number else None
        if before is None or before != (Begin(step.last_modified), step.sending):
            found.append("sent without asking what may be sent, immediately before")
        if step.last_modified != condition:
            found.append("sent under another condition than the one that was read last")
        if not compared:
            found.append("sent again after a lost answer without a look in between")
        if lost(answer):
            compared = False
            unread += 1
    if sends > ROUNDS or unread > 2:
        found.append("sent too often")
    return found + list(_faults_of_end(trace, trace.ending, claimed))


def _faults_of_end(trace: Trace, ending: Ending, claimed: Claim) -> list[str]:
    step, answer = trace.steps[-1]
    refused = (isinstance(step, Begin) and answer is None) or (
        isinstance(step, NoteForeignEdit) and not answer
    )
    if any(a is None and isinstance(s, Begin) for s, a in trace.steps[:-1]):
        return ["it goes on after the store has ended the record"]
    if isinstance(ending, Closed) or refused:
        word = NOTHING if isinstance(step, Begin) else REJECTED
        return (
            [] if refused and isinstance(ending, Closed) and ending.outcome == word else ["closed by nobody"]
        )
    found = []
    json.dumps(ending.attempt)
    if ending.error is None and not _delivered(trace):
        found.append("delivered, and nothing says so")
    if ending.error is not None and (ending.error.unknown is not None) is not _open_write(trace, claimed):
        found.append("an unknown outcome is forgotten, or invented")
    again = [a for s, a in trace.steps if isinstance(s, Send)]
    if ending.suspect is not any(map(lost, again[:-1])):
        found.append("suspect, or not, without reason")
    return found


def _delivered(trace: Trace) -> bool:
    """Whether AVOS has accepted it, or shows all of it."""
    step, answer = trace.steps[-1]
    if isinstance(step, Send):
        return isinstance(answer, Written) and not answer.conflict
    return isinstance(answer, Reading) and {"a", "b"} <= answer.document.keys() and answer.document["b"] == 2


def _open_write(trace: Trace, claimed: Claim) -> bool:
    """Whether a write may have been applied of which nobody knows."""
    return claimed.unknown is not None or any(lost(a) for s, a in trace.steps if isinstance(s, Send))


def traces(begin: Callable[[], Attempt[Ending]], depth: int = DEPTH) -> list[Trace]:
    return list(explore(begin, answers, depth=depth))


@pytest.mark.parametrize("unknown", [None, UNKNOWN], ids=["first", "after an unknown outcome"])
@pytest.mark.parametrize("park", [False, True])
def test_every_course_of_a_patch_is_sound(park: bool, unknown: dict[str, Any] | None) -> None:
    way, claimed = AvosWay(park=park), claim(unknown=unknown, delivered=(("b", b"3"),))
    found = traces(lambda: whole(way, claimed))
    assert len(found) > 500
    wrong = {fault: trace for trace in found for fault in faults(trace, claimed)}
    assert wrong == {}


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
@pytest.mark.parametrize("unknown", [None, {}])
def test_every_course_of_another_method_is_sound(method: str, unknown: dict[str, Any] | None) -> None:
    way, claimed = AvosWay(), claim(method, unknown=unknown)
    found = traces(lambda: whole(way, claimed))
    assert [[type(step) for step, _ in trace.steps] for trace in found].count([Begin, Send]) == 4
    assert len(found) == 5
    for trace in found:
        if trace.steps[-1][1] is None:
            assert trace.ending == Closed(NOTHING)
        else:
            assert trace.ending is not None
            assert not isinstance(trace.ending, Closed)


WRONG: Final = {
    "": None,  # a simple way without a fault
    "no begin": "sent without asking what may be sent, immediately before",
    "own condition": "sent under another condition than the one that was read last",
    "blind": "sent again after a lost answer without a look in between",
    "endless": "it doesn't end",
    "often": "sent too often",
    "deaf": "it goes on after the store has ended the record",
    "hopeful": "delivered, and nothing says so",
    "forgetful": "an unknown outcome is forgotten, or invented",
    "closes": "closed by nobody",
    "fearful": "suspect, or not, without reason",
}


def simple(fault: str) -> Attempt[Ending]:
    """A way that reads again after a conflict and gives up at anything else, with this fault."""
    progress = Progress(claim(), suspect=fault == "fearful")
    reading = yield from Read("/x")
    if isinstance(reading, CallFailed):
        return Closed(REJECTED) if fault == "closes" else progress.result(reading.error)
    for _ in range({"endless": 1000, "often": ROUNDS + 1}.get(fault, ROUNDS)):
        condition = "m9" if fault == "own condition" else reading.last_modified
        sending: Sending | None = ALL
        if fault != "no begin":
            sending = yield from Begin(condition)
        if sending is None:
            if fault != "deaf":
                return Closed(NOTHING)
            sending = ALL
        written = yield from Send("PATCH", "/x", sending, condition)
        if isinstance(written, CallFailed):
            if written.unknown and fault == "blind":
                continue
            if written.unknown and fault != "forgetful":
                progress.unknown = {}
            return progress.result(None if fault == "hopeful" else written.error)
        if not written.conflict:
            return progress.result()
        again = yield from Read("/x")
        if isinstance(again, CallFailed):
            return progress.result(again.error)
        reading = again
    return progress.result(AttemptError("conflict", "why"))


@pytest.mark.parametrize(("fault", "wrong"), WRONG.items())
def test_the_look_at_all_courses_finds_a_fault(fault: str, wrong: str | None) -> None:
    found = {one for trace in traces(lambda: simple(fault), 8) for one in faults(trace, claim())}
    assert found == set() if wrong is None else wrong in found
