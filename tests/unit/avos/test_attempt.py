"""The way of an attempt at AVOS, as a table: what it asks for, what it is answered, and how it
ends."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from typing import Any, Final

import pytest

from app.avos.attempt import ROUNDS, SHARE, AvosWay
from app.avos.paths import live_path, source_path
from app.outgoing.attempts import (
    Begin,
    CallFailed,
    Closed,
    NoteForeignEdit,
    Own,
    Read,
    ReadDelivered,
    Reading,
    Send,
    Written,
)
from app.outgoing.decision import AttemptError, AttemptResult, Signal, signal
from app.outgoing.model import Claim, Sending
from tests.support.attempts import Exchanged, claim, follow, whole

LIVE, SOURCE = live_path("C1"), source_path("C1")
END, LATER, THEIRS = "2026-11-21T21:45:00Z", "2026-11-21T22:15:00Z", "2026-11-21T23:00:00Z"
WANTED: Final = Sending((("end", json.dumps(END).encode()),))
TWO: Final = Sending((("a", b"1"), ("b", b"2")))
LISTED: Final = Sending((("at", json.dumps(END).encode()), ("list", b'[{"resource":"A","order":1}]')))
UNKNOWN: Final = {"members": ["end"], "lastModified": "m0"}  # what an earlier attempt has left
CONFLICT: Final = Written(conflict=True, exchange={"status": 409})
ACCEPTED: Final = Written(conflict=False, exchange={"status": 200})


def failed(code: str, *, unknown: bool = False, **error: Any) -> CallFailed:
    return CallFailed(AttemptError(code, "why", **error), unknown=unknown, exchange={"error": code})


RESET: Final = failed("connection_reset", unknown=True, destination_fault=True)
GATEWAY: Final = failed("server_error", unknown=True, destination_fault=True, status=504)
AWAY: Final = failed("server_error", destination_fault=True, status=503)


def got(number: int, path: str = LIVE, /, **shown: Any) -> Exchanged:
    """A GET that shows this, under the condition of this number."""
    return Read(path), Reading(shown, f"m{number}", {"read": number})


def begun(number: int, sending: Sending | None = WANTED) -> Exchanged:
    return Begin(f"m{number}"), sending


def sent(number: int, answer: Written | CallFailed, sending: Sending = WANTED, path: str = LIVE) -> Exchanged:
    return Send("PATCH", path, sending, f"m{number}", SHARE), answer


def patched(
    number: int, answer: Written | CallFailed, sending: Sending = WANTED, path: str = LIVE
) -> list[Exchanged]:
    """Begin, and the PATCH at once."""
    return [begun(number, sending), sent(number, answer, sending, path)]


def own(*members: Own) -> Exchanged:
    return ReadDelivered(), members


NOBODYS: Final = own()  # nothing that we have delivered is known, so nobody has changed it


@dataclass(frozen=True)
class Ends:
    """How an attempt ends. `record`: what its entry has among other things; `rounds`: how many the
    entry shows."""

    outcome: str = "delivered"
    code: str | None = None
    unknown: dict[str, Any] | None = None
    suspect: bool = False
    rounds: int = 1
    record: dict[str, Any] = field(default_factory=dict)


def lost(number: int) -> dict[str, Any]:
    return {"members": ["end"], "lastModified": f"m{number}"}


CASES: Final[dict[str, tuple[Claim, list[Exchanged], Ends]]] = {
    "a GET, then a PATCH under its lastModified": (
        claim(),
        [got(1), *patched(1, ACCEPTED)],
        Ends(record={"at": "2026-11-21T19:30:00Z", "get": {"read": 1}, "send": {"status": 200}}),
    ),
    "the source PATCH reads the content media": (
        claim(path=SOURCE),
        [got(1, LIVE), *patched(1, ACCEPTED, path=SOURCE)],
        Ends(),
    ),
    "a generic PATCH reads its own path": (
        claim(path="/external/x"),
        [got(1, "/external/x"), *patched(1, ACCEPTED, path="/external/x")],
        Ends(),
    ),
    "conflicts are read again and written at once": (
        claim(),
        [
            got(1),
            *patched(1, CONFLICT),
            got(2),
            NOBODYS,
            *patched(2, CONFLICT),
            got(3),
            NOBODYS,
            *patched(3, ACCEPTED),
        ],
        Ends(
            rounds=3,
            record={
                "earlier": [
                    {"get": {"read": 1}, "send": {"status": 409}},
                    {"get": {"read": 2}, "send": {"status": 409}},
                ],
                "get": {"read": 3},
                "send": {"status": 200},
            },
        ),
    ),
    "conflicts have a bound": (
        claim(),
        [
            got(1),
            *(
                step
                for n in range(1, ROUNDS + 1)
                for step in (*patched(n, CONFLICT), got(n + 1, end=THEIRS), NOBODYS)
            ),
        ],
        Ends("failed", "conflict", rounds=ROUNDS + 1),
    ),
    "after a conflict the GET may fail": (
        claim(),
        [got(1), *patched(1, CONFLICT), (Read(LIVE), AWAY)],
        Ends("failed", "server_error", rounds=2, record={"get": {"error": "server_error"}}),
    ),
    "members are handed out anew for each sending": (
        claim(),
        [
            got(1),
            *patched(1, CONFLICT, TWO),
            got(2),
            NOBODYS,
            *patched(2, ACCEPTED, Sending((("b", b"2"),))),
        ],
        Ends(rounds=2),
    ),
    "newer requests may have taken all of it between two rounds": (
        claim(),
        [got(1), *patched(1, CONFLICT), got(2), NOBODYS, begun(2, None)],
        Ends("nothing_to_send"),
    ),
    "a refused begin sends nothing": (claim(), [got(1), begun(1, None)], Ends("nothing_to_send")),
    "an applied write whose answer was lost is read back": (
        claim(),
        [got(1), *patched(1, RESET), got(2, end=END)],
        Ends(
            record={
                "get": {"read": 1},
                "send": {"error": "connection_reset"},
                "readBack": {"read": 2},
                "shown": "equal",
            }
        ),
    ),
    "so is one of which a gateway doesn't know": (
        claim(),
        [got(1), *patched(1, GATEWAY), got(2, end=END)],
        Ends(record={"shown": "equal"}),
    ),
    "a write that was lost on its way is sent again": (
        claim(),
        [got(1), *patched(1, RESET), got(1, end=THEIRS), NOBODYS, *patched(1, ACCEPTED)],
        Ends(
            suspect=True,
            rounds=2,
            record={
                "earlier": [
                    {
                        "get": {"read": 1},
                        "send": {"error": "connection_reset"},
                        "readBack": {"read": 1},
                        "shown": "different",
                    }
                ],
                "get": {"read": 1},
                "send": {"status": 200},
            },
        ),
    ),
    "what isn't shown is written again under the fresh condition": (
        claim(),
        [got(1), *patched(1, RESET, TWO), got(2), NOBODYS, *patched(2, ACCEPTED, TWO)],
        Ends(suspect=True, rounds=2),
    ),
    "so is what is shown in part": (
        claim(),
        [got(1), *patched(1, RESET, TWO), got(2, a=1), NOBODYS, *patched(2, ACCEPTED, TWO)],
        Ends(suspect=True, rounds=2),
    ),
    "keys are recognised in another case": (
        claim(path=SOURCE),
        [
            got(1),
            *patched(1, RESET, LISTED, SOURCE),
            got(2, TechnicalMedia={"SourceMedia": {"AT": END, "LIST": [{"RESOURCE": "A", "Order": 1}]}}),
        ],
        Ends(),
    ),
    "times are recognised without a zone": (
        claim(path=SOURCE),
        [
            got(1),
            *patched(1, RESET, LISTED, SOURCE),
            got(
                2,
                technicalMedia={
                    "sourceMedia": {"at": "2026-11-21T21:45:00", "list": [{"resource": "A", "order": 1}]}
                },
            ),
        ],
        Ends(),
    ),
    "when reading back fails too the outcome is unknown": (
        claim(),
        [got(1), *patched(1, RESET), (Read(LIVE), failed("server_error", status=500))],
        Ends(
            "failed",
            "connection_reset",
            unknown=lost(1),
            record={"send": {"error": "connection_reset"}, "readBack": {"error": "server_error"}},
        ),
    ),
    "our own late write may be in the way of the second": (
        claim(),
        [
            got(1),
            *patched(1, RESET),
            got(1, end=THEIRS),
            NOBODYS,
            *patched(1, CONFLICT),
            got(2, end=END),
        ],
        Ends(suspect=True, rounds=3, record={"get": {"read": 2}, "shown": "equal"}),
    ),
    "or somebody else's": (
        claim(),
        [
            got(1),
            *patched(1, RESET),
            got(1, end=THEIRS),
            NOBODYS,
            *patched(1, CONFLICT),
            got(2, end=LATER),
            NOBODYS,
            *patched(2, ACCEPTED),
        ],
        Ends(suspect=True, rounds=3, record={"shown": "different", "send": {"status": 200}}),
    ),
    "a write is sent twice at most when answers are lost": (
        claim(),
        [
            got(1),
            *patched(1, RESET),
            got(1, end=THEIRS),
            NOBODYS,
            *patched(1, GATEWAY),
            got(1, end=THEIRS),
            NOBODYS,
        ],
        Ends("failed", "server_error", unknown=lost(1), suspect=True, rounds=2),
    ),
    "the next attempt compares before it writes": (
        claim(unknown=UNKNOWN),
        [got(1, end=END), begun(1), got(1, end=END)],
        Ends(record={"get": {"read": 1}, "readBack": {"read": 1}, "shown": "equal"}),
    ),
    "and writes what isn't there": (
        claim(unknown=UNKNOWN),
        [got(1), begun(1), got(2), *patched(2, ACCEPTED)],
        Ends(
            rounds=2,
            record={
                "earlier": [{"get": {"read": 1}, "readBack": {"read": 2}, "shown": "not_shown"}],
                "get": {"read": 2},
            },
        ),
    ),
    "or nothing that newer requests have": (
        claim(unknown=UNKNOWN),
        [got(1), begun(1, None)],
        Ends("nothing_to_send"),
    ),
    "an unknown outcome isn't forgotten when the GET fails": (
        claim(unknown=UNKNOWN),
        [(Read(LIVE), AWAY)],
        Ends("failed", "server_error", unknown=UNKNOWN, record={"get": {"error": "server_error"}}),
    ),
    "nor when reading back fails": (
        claim(unknown=UNKNOWN),
        [got(1), begun(1), (Read(LIVE), AWAY)],
        Ends("failed", "server_error", unknown=UNKNOWN, record={"readBack": {"error": "server_error"}}),
    ),
    "nor when the PATCH fails": (
        claim(unknown=UNKNOWN),
        [got(1), begun(1), got(1), *patched(1, AWAY)],
        Ends("failed", "server_error", unknown=UNKNOWN, rounds=2),
    ),
    "503 says that a PATCH wasn't applied: it isn't read back": (
        claim(),
        [got(1), *patched(1, AWAY)],
        Ends("failed", "server_error"),
    ),
    "a GET that is refused leaves nothing to send": (
        claim(),
        [(Read(LIVE), failed("not_found", status=404))],
        Ends("failed", "not_found", record={"get": {"error": "not_found"}}),
    ),
    "a PATCH that is refused is rejected": (
        claim(),
        [got(1), *patched(1, failed("refused", status=400, retryable=False))],
        Ends("rejected", "refused", record={"send": {"error": "refused"}}),
    ),
    "the far side's wish for rest is passed on": (
        claim(),
        [got(1), *patched(1, failed("throttled", status=429, retry_after_s=30.0))],
        Ends(
            "failed",
            "throttled",
            record={"error": {"code": "throttled", "detail": "why", "retryAfter": 30.0}},
        ),
    ),
}


@pytest.mark.parametrize(("claimed", "script", "ends"), CASES.values(), ids=CASES.keys())
def test_a_patch(claimed: Claim, script: list[Exchanged], ends: Ends) -> None:
    check(AvosWay(), claimed, script, ends)


def check(way: AvosWay, claimed: Claim, script: list[Exchanged], ends: Ends) -> AttemptResult | None:
    """Follow the script, and compare the end; the result, where there is one to be written down."""
    ending = follow(whole(way, claimed), script)
    if isinstance(ending, Closed):
        assert ending == Closed(ends.outcome, ends.code)
        return None
    json.dumps(ending.attempt)  # it goes into the record's history
    error = ending.error
    assert ending.attempt["outcome"] == ends.outcome
    assert (error.code if error else None) == ends.code
    assert (error.unknown if error else None) == ends.unknown
    assert ending.suspect is ends.suspect
    assert len(ending.attempt.get("earlier", ())) == ends.rounds - 1
    assert ending.attempt.items() >= ends.record.items()
    assert ("error" in ending.attempt) is (error is not None)
    return ending


def test_an_entry_shows_no_more_than_what_was_done() -> None:
    ending = check(AvosWay(), *CASES["a GET, then a PATCH under its lastModified"])
    assert ending is not None
    assert set(ending.attempt) == {"at", "get", "send", "outcome"}


# Somebody else's edits ----------------------------------------------------------------------------

OURS: Final = Own(
    "end", json.dumps(LATER).encode(), json.dumps(END).encode()
)  # END is there, LATER is wanted
MOVED: Final = Sending((("end", json.dumps(LATER).encode()),))
REMEMBERED: Final = (("end", json.dumps(END).encode()),)


def edited(entry: dict[str, Any], *, go_on: bool, park: bool, unknown: bool = False) -> Exchanged:
    """The step that notes it, with `entry` as what the record would show."""
    event = {
        "contentMediaId": "C1",
        "requestId": "r1",
        "path": LIVE,
        "members": [{"name": "end", "ours": END, "shown": THEIRS}],
    }
    parked = {
        "outcome": "rejected",
        "error": {
            "code": "foreign_edit",
            "detail": "Somebody else has changed in AVOS what this request would overwrite.",
        },
    }
    shown = {"at": "2026-11-21T19:30:00Z", **entry, **parked}
    return NoteForeignEdit(("end",), event, park, shown, unknown), go_on


GET_EDITED: Final = {"get": {"read": 1, "edited": ["end"]}}
AFTER_CONFLICT: Final = {
    "get": {"read": 2, "edited": ["end"]},
    "earlier": [{"get": {"read": 1}, "send": {"status": 409}}],
}
LOST_EDITED: Final = {
    "get": {"read": 1},
    "send": {"error": "connection_reset"},
    "readBack": {"read": 2, "edited": ["end"]},
    "shown": "different",
}

EDITS: Final[dict[str, tuple[Claim, list[Exchanged], Ends]]] = {
    "what AVOS shows as it was delivered is nobody's edit": (
        claim(delivered=REMEMBERED),
        [got(1, end=END), *patched(1, ACCEPTED, MOVED)],
        Ends(),
    ),
    "nor what it doesn't show": (
        claim(delivered=REMEMBERED),
        [got(1), *patched(1, ACCEPTED, MOVED)],
        Ends(),
    ),
    "nor what is wanted now": (
        claim(delivered=REMEMBERED),
        [got(1, end=LATER), own(OURS), *patched(1, ACCEPTED, MOVED)],
        Ends(record={"get": {"read": 1}}),
    ),
    "nor what this request doesn't send": (
        claim(delivered=REMEMBERED),
        [got(1, end=THEIRS), NOBODYS, *patched(1, ACCEPTED, MOVED)],
        Ends(record={"get": {"read": 1}}),
    ),
    "an edit is noted, and the GET shows it": (
        claim(delivered=REMEMBERED),
        [
            got(1, end=THEIRS),
            own(OURS),
            edited(GET_EDITED, go_on=True, park=False),
            *patched(1, ACCEPTED, MOVED),
        ],
        Ends(record=GET_EDITED),
    ),
    "the fresh GET after a conflict finds it": (
        claim(),
        [
            got(1),
            *patched(1, CONFLICT, MOVED),
            got(2, end=THEIRS),
            own(OURS),
            edited(AFTER_CONFLICT, go_on=True, park=False),
            *patched(2, ACCEPTED, MOVED),
        ],
        Ends(rounds=2, record=AFTER_CONFLICT),
    ),
    "which finds none where AVOS shows what was delivered": (
        claim(),
        [
            got(1),
            *patched(1, CONFLICT, MOVED),
            got(2, end=END),
            own(OURS),
            *patched(2, ACCEPTED, MOVED),
        ],
        Ends(rounds=2, record={"get": {"read": 2}}),
    ),
    "reading back after a lost answer finds it": (
        claim(),
        [
            got(1),
            *patched(1, RESET, MOVED),
            got(2, end=THEIRS),
            own(OURS),
            edited(LOST_EDITED, go_on=True, park=False, unknown=True),
            *patched(2, ACCEPTED, MOVED),
        ],
        Ends(
            suspect=True,
            rounds=2,
            record={"earlier": [LOST_EDITED], "get": {"read": 2, "edited": ["end"]}},
        ),
    ),
}

PARKED: Final[dict[str, tuple[Claim, list[Exchanged], Ends]]] = {
    "it is parked before anything is sent": (
        claim(delivered=REMEMBERED),
        [got(1, end=THEIRS), own(OURS), edited(GET_EDITED, go_on=False, park=True)],
        Ends("rejected", "foreign_edit"),
    ),
    "or after a conflict": (
        claim(),
        [
            got(1),
            *patched(1, CONFLICT, MOVED),
            got(2, end=THEIRS),
            own(OURS),
            edited(AFTER_CONFLICT, go_on=False, park=True),
        ],
        Ends("rejected", "foreign_edit"),
    ),
    "or after a lost answer": (
        claim(),
        [
            got(1),
            *patched(1, RESET, MOVED),
            got(2, end=THEIRS),
            own(OURS),
            edited(LOST_EDITED, go_on=False, park=True, unknown=True),
        ],
        Ends("rejected", "foreign_edit"),
    ),
    "an operator's retry goes on": (
        claim(delivered=REMEMBERED),
        [
            got(1, end=THEIRS),
            own(OURS),
            edited(GET_EDITED, go_on=True, park=True),
            *patched(1, ACCEPTED, MOVED),
        ],
        Ends(record=GET_EDITED),
    ),
}


@pytest.mark.parametrize(("claimed", "script", "ends"), EDITS.values(), ids=EDITS.keys())
def test_an_edit(claimed: Claim, script: list[Exchanged], ends: Ends) -> None:
    check(AvosWay(), claimed, script, ends)


@pytest.mark.parametrize(("claimed", "script", "ends"), PARKED.values(), ids=PARKED.keys())
def test_an_edit_where_they_are_parked(claimed: Claim, script: list[Exchanged], ends: Ends) -> None:
    check(AvosWay(park=True), claimed, script, ends)


# Other methods ------------------------------------------------------------------------------------

NOT_FOUND: Final = failed("not_found", status=404)
GONE: Final = failed("refused", status=410, retryable=False)
DOWN: Final = failed("connect_failed", destination_fault=True)
FORGOTTEN: Final[dict[str, Any]] = {}  # that it may have been applied is all that is known

OTHERS: Final[dict[str, tuple[Claim, Written | CallFailed, Ends]]] = {
    **{f"a {m} is sent without a GET": (claim(m), ACCEPTED, Ends()) for m in ("POST", "PUT", "DELETE")},
    **{
        f"a POST whose answer was lost ({answer.error.code}) is parked": (
            claim("POST"),
            answer,
            Ends("rejected", "unknown_outcome", unknown=FORGOTTEN),
        )
        for answer in (RESET, GATEWAY)
    },
    **{
        f"a {m} whose answer was lost ({answer.error.code}) is repeated": (
            claim(m),
            answer,
            Ends("failed", answer.error.code, unknown=FORGOTTEN),
        )
        for m in ("PUT", "DELETE")
        for answer in (RESET, GATEWAY)
    },
    **{
        f"503 says that a {m} wasn't applied": (claim(m), AWAY, Ends("failed", "server_error"))
        for m in ("POST", "PUT", "DELETE")
    },
    "a POST that never left is tried again": (claim("POST"), DOWN, Ends("failed", "connect_failed")),
    "after an unknown DELETE not found is delivered": (
        claim("DELETE", unknown=FORGOTTEN),
        NOT_FOUND,
        Ends(record={"send": {"error": "not_found"}}),
    ),
    "so is gone": (claim("DELETE", unknown=FORGOTTEN), GONE, Ends()),
    "not found is no success of a first DELETE": (claim("DELETE"), NOT_FOUND, Ends("failed", "not_found")),
    "nor of an unknown PUT": (
        claim("PUT", unknown=FORGOTTEN),
        NOT_FOUND,
        Ends("failed", "not_found", unknown=FORGOTTEN),
    ),
}


@pytest.mark.parametrize(("claimed", "answer", "ends"), OTHERS.values(), ids=OTHERS.keys())
def test_another_method(claimed: Claim, answer: Written | CallFailed, ends: Ends) -> None:
    body = Sending(body=None if claimed.method == "DELETE" else b'{"a": 1}')
    claimed = replace(claimed, path="/external/x")
    script: list[Exchanged] = [(Begin(None), body), (Send(claimed.method, "/external/x", body), answer)]
    result = check(AvosWay(), claimed, script, replace(ends, record={"send": answer.exchange} | ends.record))
    assert result is not None
    if answer in (RESET, GATEWAY):
        assert signal(result.error) is Signal.DOUBT, "that nobody answered counts for the breaker"


def test_a_refused_begin_sends_no_other_method_either() -> None:
    check(AvosWay(), claim("POST"), [(Begin(None), None)], Ends("nothing_to_send"))
