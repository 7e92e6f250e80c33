"""What becomes of a request after an attempt: one pure function, tested as a table."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Final

from app.outgoing.destinations import Destination, Retry
from app.outgoing.model import State


@dataclass(frozen=True, slots=True)
class AttemptError:
    """Why an attempt did not deliver, set where the far side's reply is understood.

    `code` is stable. `retryable`: the failed table tries again by itself; otherwise a person must look.
    `destination_fault`: it says something about the far side, not about this request (authentication,
    TLS, unreachable). `retry_after_s`: the far side asked for this many seconds of rest.
    `unknown`: the write may have been applied; what was sent (`{"members": {…}, "lastModified": …}`).
    `detail` is shown to operators and never holds a secret.
    """

    code: str
    detail: str
    retryable: bool = True
    destination_fault: bool = False
    retry_after_s: float | None = None
    status: int | None = None
    unknown: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class AttemptResult:
    """An attempt's end. `attempt` is the entry for the record's history
    (`{"at", "get"?, "send"?, "outcome", "error"?}`, JSON values, no secrets); no `error` is delivered. `suspect`:
    an earlier sending of this attempt may still be carried out."""

    attempt: Mapping[str, Any] = field(default_factory=dict)
    error: AttemptError | None = None
    suspect: bool = False


@dataclass(frozen=True, slots=True)
class Decision:
    """The state to go to; `next_try_at` only with FAILED."""

    state: State
    next_try_at: datetime | None = None


class Signal(StrEnum):
    """What an attempt says about its destination, for the breaker."""

    GOOD = "good"  # it answered for itself, whatever it said
    FAULT = "fault"  # it is down or wants no more: unreachable, 429; several lanes open the breaker
    DOUBT = (
        "doubt"  # 502 to 504, a lost answer: so too, unless others are served and it is this document's own
    )
    REFUSED = "refused"  # 401, 403, 407: our token, or only this document; the second lane opens the breaker
    FATAL = "fatal"  # no request can succeed: its certificate; one opens the breaker
    NOTHING = ""


_REFUSED: Final = frozenset({"unauthorized", "forbidden", "proxy_auth"})
_NOBODYS_OWN: Final = frozenset({"connect_failed", "address_refused", "throttled"})


def signal(error: AttemptError | None) -> Signal:
    """A 500, a 404 or a malformed answer counts against the request, not against the destination."""
    if error is None:
        return Signal.GOOD
    if error.code == "tls_error":
        return Signal.FATAL
    if error.code in _REFUSED:
        return Signal.REFUSED
    if not error.destination_fault:
        return Signal.GOOD
    return Signal.FAULT if error.code in _NOBODYS_OWN else Signal.DOUBT


def again_s(error: AttemptError | None, age_from: datetime | None, retry: Retry) -> float | None:
    """Seconds until a request that failed for the first time is tried again without waiting for the tick, where it
    was the far side's fault and may be over; None: the next tick tries it."""
    if age_from is not None or error is None or error.retry_after_s:
        return None
    return retry.again.total_seconds() if signal(error) in (Signal.FAULT, Signal.DOUBT) else None


def rest(error: AttemptError | None, retry: Retry) -> float:
    """Seconds for which the far side asked to be left alone: all of it with 429 and 503, not one record."""
    if error is None or error.status not in (429, 503):
        return 0.0
    return max(0.0, min(error.retry_after_s or 0.0, retry.longest_rest.total_seconds()))


def decide(
    error: AttemptError | None,
    *,
    now: datetime,
    age_from: datetime | None,
    deadline: datetime | None,
    destination: Destination,
    urgent_at: datetime | None = None,
) -> Decision:
    """Delivered, failed (due at the next tick), rejected, or expired.

    With a `growth` the next try is so much later as the failing has lasted, times that.

    `age_from` is the first failure since acceptance or an operator's retry, None at the first failure
    itself. `deadline` None: there is none, or an operator has waived it. `urgent_at`: its kick-off, None where
    that doesn't count (any more). Retry-After defers a try for the destination's `longest_rest` at most, on air
    and shortly before for its `near_rest`, and not past the moment when the record expires, so that the expiry stays on time.
    """
    if error is None:
        return Decision(State.DELIVERED)
    if not error.retryable:
        return Decision(State.REJECTED)
    expires_at = expiry(age_from or now, deadline, destination.max_age)
    if now >= expires_at:
        return Decision(State.EXPIRED)
    retry = destination.retry
    longest = (
        retry.near_rest if urgent_at is not None and urgent_at <= now + retry.soon else retry.longest_rest
    )
    deferred = timedelta(seconds=max(0.0, min(error.retry_after_s or 0.0, longest.total_seconds())))
    grown = min((now - (age_from or now)) * retry.growth, retry.longest_wait)
    return Decision(State.FAILED, next_try_at=min(now + max(deferred, grown), expires_at))


def expiry(age_from: datetime, deadline: datetime | None, max_age: timedelta) -> datetime:
    """When a record that has failed is given up: the earlier of its age's end and its deadline."""
    by_age = age_from + max_age
    return by_age if deadline is None else min(by_age, deadline)
