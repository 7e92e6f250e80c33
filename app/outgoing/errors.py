"""What the outgoing package can answer besides a result."""

from __future__ import annotations

from app.platform.errors import Conflict, Unprocessable


class Again(Exception):
    """A record that the caller computed from has moved: read again, compute again, accept again."""


class IdempotencyMismatch(Unprocessable):
    """The Idempotency-Key was used before with another body."""

    code, title = "idempotency_key_reused", "Idempotency-Key Reused"

    def __init__(self) -> None:
        super().__init__(
            "This Idempotency-Key was used before with another body; use a new key for a new call.",
            field="Idempotency-Key",
        )


class NotAllowedInState(Conflict):
    """An operator's verb that the request's state forbids; the detail says which state and why."""

    code = "not_allowed_in_state"
