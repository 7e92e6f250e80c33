"""Accepting with guards: compute, accept, and compute again where something moved in between."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from typing import Final, Protocol, TypeVar

from app.outgoing.errors import Again
from app.outgoing.model import Acceptance, Accepted, Guard, Idempotency
from app.platform.errors import Unavailable
from app.platform.keys import Keys

T = TypeVar("T")

ROUNDS: Final = 20
_AT_ONCE: Final = 3  # rounds without a pause: losing to one other writer is common, to many is not


class Acceptor(Protocol):
    """What planning and registrations need of `OutgoingStore`."""

    def accept(self, acceptance: Acceptance) -> Accepted: ...


def accept_or_repeat(compute: Callable[[], T]) -> T:
    """The result of `compute`, which reads, computes and accepts. Repeats it on `Again`, up to 20 times,
    then raises Unavailable (`contended`)."""
    for round_number in range(ROUNDS):
        try:
            return compute()
        except Again:
            if round_number >= _AT_ONCE:
                time.sleep(random.uniform(0, 0.002 * round_number))  # rivals spread out
    raise Unavailable(
        "Other calls keep changing the same records; try again.", code="contended", retry_after=1
    )


def answered_before(outgoing: Acceptor, keys: Keys, idempotency: Idempotency | None) -> Accepted | None:
    """What a call under this key was answered, if it was: asked before anything is judged, because the
    first call has changed what this one would be judged by. Raises IdempotencyMismatch.

    The question is an acceptance whose guard never holds: the script looks at the key first.
    """
    if idempotency is None:
        return None
    never = Guard(("GET", keys.idempotency("never")), "never")
    try:
        return outgoing.accept(Acceptance(guards=(never,), idempotency=idempotency))
    except Again:
        return None
