"""One page of a listing, and a listing's place among texts, opaque to callers. (That among numbers is `outgoing.records`'.)"""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass
from typing import Any

from app.platform.errors import BadRequest


@dataclass(frozen=True, slots=True)
class Page:
    """`next` None: there is no more. A page may hold fewer than its limit and still have a next one."""

    items: list[dict[str, Any]]
    next: str | None = None


def encode_text(text: str) -> str:
    """The cursor after this one."""
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def decode_text(cursor: str) -> str:
    """The inverse; raises BadRequest for what was never a cursor of ours."""
    try:
        padded = cursor + "=" * (-len(cursor) % 4)
        return base64.b64decode(padded, altchars=b"-_", validate=True).decode()
    except (ValueError, binascii.Error) as error:
        raise BadRequest("This cursor is not one that a listing returned.", field="cursor") from error
