"""How a request stands after an attempt, in a line for people: what Flower shows of a delivery."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from app.outgoing.model import State
from app.platform.clock import from_ms, rfc3339


class Verdict(StrEnum):
    """What a line says of the delivery: it is over or another's matter, it will be tried again, it has failed."""

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
_BEFORE_ITS_END: Final = frozenset({"failed", "lease_lost"})  # an attempt's words


def read_ending(values: list[bytes | None]) -> Ending | None:
    """A record's `FIELDS`; None where there is no record."""
    state, reason, error, next_try = ((value or b"").decode() for value in values)
    return Ending(State(state), reason, error, int(next_try) if next_try else None) if state else None


def told(outcome: str | None, ending: Ending | None) -> tuple[Verdict, str]:
    """`outcome`: the attempt's own word, where there was one; what it led to is in the record."""
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
    if outcome in _BEFORE_ITS_END:  # it has moved on since
        return Verdict.RETRY, "its lease was lost" if outcome == "lease_lost" else why
    return Verdict.DONE, "another worker has it"


def _next_try(ending: Ending) -> str:
    if ending.next_try_at_ms is None:
        return ""
    return f" (tried again after {rfc3339(from_ms(ending.next_try_at_ms))})"
