"""What became of a request after an attempt, in a line for people: what Flower shows of a
delivery."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from app.outgoing.attempts import FAILED, LOST
from app.outgoing.model import State
from app.platform.clock import from_ms, rfc3339


class Verdict(StrEnum):
    """What the line means: the delivery has ended or is another worker's, it will be tried again,
    it has failed."""

    DONE = "done"
    RETRY = "retry"
    FAILURE = "failure"


@dataclass(frozen=True, slots=True)
class Ending:
    """What a record says of its last attempt. `reason` is a code, `error` its text."""

    state: State
    reason: str = ""
    error: str = ""
    next_try_at_ms: int | None = None


FIELDS: Final = ("state", "reason", "error", "nextTryAt")
_UNDELIVERED: Final = frozenset({FAILED, LOST})


def read_ending(values: list[bytes | None]) -> Ending | None:
    """A record's `FIELDS`; None where there is no record."""
    state, reason, error, next_try = ((value or b"").decode() for value in values)
    return Ending(State(state), reason, error, int(next_try) if next_try else None) if state else None


def describe(outcome: str | None, ending: Ending | None) -> tuple[Verdict, str]:
    """`outcome` is the attempt's own word, where there was one; what it led to stands in the record
    (`ending`)."""
    if ending is None:
        return Verdict.DONE, "its record is gone"
    why = ": ".join(text for text in (ending.reason, ending.error) if text)
    match ending.state:
        case State.FAILED:
            return Verdict.RETRY, why + _next_try(ending)
        case State.REJECTED:
            return Verdict.FAILURE, f"rejected, a person must look: {why}"
        case State.EXPIRED:
            return Verdict.FAILURE, f"expired: {why}"
        case State.SUPERSEDED if ending.reason == "unregistered":
            return Verdict.DONE, "superseded: its registration was ended, or begun anew"
        case State.SUPERSEDED:
            return Verdict.DONE, "superseded by a newer request"
        case State.DELIVERED | State.DISCARDED:
            return Verdict.DONE, f"{ending.state} already"
    if outcome in _UNDELIVERED:  # the record has changed since
        return Verdict.RETRY, "its lease was lost" if outcome == LOST else why
    return Verdict.DONE, "another worker has it"


def _next_try(ending: Ending) -> str:
    if ending.next_try_at_ms is None:
        return ""
    return f" (tried again after {rfc3339(from_ms(ending.next_try_at_ms))})"
