"""Webhook secrets and signatures after Standard Webhooks (`whsec_…`, v1 HMAC-SHA256 over id, time and
body).

A secret that is rotated stays valid for a while beside the new one; every request is then signed with both,
so that the receiver can change its own at any moment in between.
"""

from __future__ import annotations

import base64
import secrets
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from standardwebhooks import Webhook

PREFIX: Final = "whsec_"
SECRET_BYTES: Final = 32  # the standard asks for 24 to 64
OVERLAP_MS: Final = 24 * 3600 * 1000

# As stored: {"secret": "whsec_…", "until": milliseconds since 1970, or None while it is the current one}
Stored = Mapping[str, Any]


def new_secret() -> str:
    """A fresh random secret."""
    return PREFIX + base64.b64encode(secrets.token_bytes(SECRET_BYTES)).decode()


def first() -> list[Stored]:
    """The secrets of a new subscription."""
    return [{"secret": new_secret(), "until": None}]


def rotate(stored: Sequence[Stored], now_ms: int, overlap_ms: int = OVERLAP_MS) -> list[Stored]:
    """A new secret first, the one that was current after it, valid for another `overlap_ms`.

    Never more than two are valid: rotating twice within the overlap ends the oldest at once.
    """
    current = stored[0]["secret"] if stored else None
    old = [] if current is None or overlap_ms <= 0 else [{"secret": current, "until": now_ms + overlap_ms}]
    return [*first(), *old]


def valid(stored: Sequence[Stored], now_ms: int) -> list[str]:
    """The secrets that count now, the current one first."""
    return [s["secret"] for s in stored if s["until"] is None or now_ms < s["until"]]


def signatures(valid_secrets: Sequence[str], message_id: str, at: datetime, body: bytes) -> str:
    """The value of `webhook-signature`: one signature for each secret, separated by spaces."""
    text = body.decode()
    return " ".join(Webhook(secret).sign(message_id, at, text) for secret in valid_secrets)
