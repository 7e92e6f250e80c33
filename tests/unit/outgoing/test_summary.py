from __future__ import annotations

import pytest

from app.outgoing.model import State
from app.outgoing.summary import Ending, Verdict, describe, read_ending

WHY = ("timeout", "AVOS did not answer.")
NEXT = 1_795_289_400_000


@pytest.mark.parametrize(
    ("outcome", "ending", "verdict", "text"),
    [
        (
            "failed",
            Ending(State.FAILED, *WHY, next_try_at_ms=NEXT),
            Verdict.RETRY,
            "timeout: AVOS did not answer. (tried again after 2026-11-21T19:30:00Z)",
        ),
        (None, Ending(State.FAILED, *WHY), Verdict.RETRY, "timeout: AVOS did not answer."),
        ("failed", Ending(State.PENDING, *WHY), Verdict.RETRY, "timeout: AVOS did not answer."),
        ("lease_lost", Ending(State.LIVE, *WHY), Verdict.RETRY, "its lease was lost"),
        (
            "rejected",
            Ending(State.REJECTED, "refused", "AVOS answered 400."),
            Verdict.FAILURE,
            "rejected, a person must look: refused: AVOS answered 400.",
        ),
        ("failed", Ending(State.EXPIRED, *WHY), Verdict.FAILURE, "expired: timeout: AVOS did not answer."),
        ("nothing_to_send", Ending(State.SUPERSEDED, "newer"), Verdict.DONE, "superseded by a newer request"),
        ("failed", Ending(State.SUPERSEDED, "newer"), Verdict.DONE, "superseded by a newer request"),
        (
            None,
            Ending(State.SUPERSEDED, "unregistered"),
            Verdict.DONE,
            "superseded: its registration was ended, or begun anew",
        ),
        (None, Ending(State.DELIVERED), Verdict.DONE, "delivered already"),
        ("lease_lost", Ending(State.DELIVERED), Verdict.DONE, "delivered already"),
        (None, Ending(State.DISCARDED), Verdict.DONE, "discarded already"),
        (None, Ending(State.LIVE), Verdict.DONE, "another worker has it"),
        ("nothing_to_send", Ending(State.PENDING), Verdict.DONE, "another worker has it"),
        ("failed", None, Verdict.DONE, "its record is gone"),
    ],
)
def test_an_ending_in_a_line(outcome: str | None, ending: Ending | None, verdict: Verdict, text: str) -> None:
    assert describe(outcome, ending) == (verdict, text)


def test_a_record_may_lack_what_an_ending_names() -> None:
    assert read_ending([None] * 4) is None
    assert read_ending([b"live", None, b"", None]) == Ending(State.LIVE)
    assert read_ending([b"failed", b"a", b"\xc3\xa6", b"7"]) == Ending(State.FAILED, "a", "æ", 7)
