"""One page of a listing, and a listing's place among texts or numbers, opaque to callers."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

from app.platform.errors import BadRequest

# What Redis and its scripts take for a whole number without loss, and no listing reaches.
_NUMBER: Final = re.compile(r"[0-9]{1,15}\Z", re.ASCII)


Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class Page(Generic[Item]):
    """`next` None: there is no more. A page may hold fewer than its limit and still have a next one."""

    items: Sequence[Item]
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
        raise no_cursor() from error


def encode_number(number: int) -> str:
    """The cursor after this one, at most 15 digits."""
    return encode_text(str(number))


def decode_number(cursor: str) -> int:
    """The inverse; raises BadRequest for what was never a cursor of ours."""
    text = decode_text(cursor)
    if not _NUMBER.match(text):
        raise no_cursor()
    return int(text)


def no_cursor() -> BadRequest:
    """The refusal of any other text."""
    return BadRequest("This cursor is not one that a listing returned.", field="cursor")
