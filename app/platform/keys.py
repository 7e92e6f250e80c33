"""Names of Redis keys: those that several packages use. Each package has its own in its `keys.py`.

Ids come from outside and may hold any character, so each is percent-encoded before it becomes part
of a key: a colon in an id can't reach into another key. Content media are the same whatever the
case of their id, so keys of a content media use `fold`.
"""

from __future__ import annotations

from typing import Self
from urllib.parse import quote


def quoted(identifier: str) -> str:
    """An id as it stands in a key or in an outgoing path: nothing is left safe but letters, digits, `_.-~`."""
    return quote(identifier, safe="")


def fold(content_media_id: str) -> str:
    """The spelling by which two ids of one content media are equal."""
    return content_media_id.casefold()


def alike(text: str, name: str) -> bool:
    """Whether a name has this text in it, whatever its case, or the text is the name shortened from the middle."""
    text, name = fold(text), fold(name)
    head, dots, tail = text.partition("…")
    return name.startswith(head) and name.endswith(tail) if dots and head and tail else text in name


class Keys:
    """Names under one tenant's prefix, `{tenant}:`. The scripts build the same names from `prefix`."""

    def __init__(self, tenant: str) -> None:
        self.prefix = f"{tenant}:"

    @classmethod
    def of(cls, keys: Keys) -> Self:
        """The names of one package, under the same prefix as these."""
        return cls(keys.prefix.removesuffix(":"))

    # Which livestream is registered as which content media: packages below registrations read it too.
    @property
    def active_by_livestream(self) -> str:
        return f"{self.prefix}registrations:active:livestream"

    @property
    def active_by_media(self) -> str:
        return f"{self.prefix}registrations:active:media"

    @property
    def generations(self) -> str:
        return f"{self.prefix}registrations:generation"

    @property
    def spellings(self) -> str:
        return f"{self.prefix}registrations:spelling"

    @property
    def store_full(self) -> str:
        return f"{self.prefix}store:full"

    def idempotency(self, digest: str) -> str:
        return f"{self.prefix}idempotency:{digest}"

    @property
    def tokens(self) -> str:
        return f"{self.prefix}tokens"

    def rate(self, token_id: str, window: int) -> str:
        return f"{self.prefix}rate:{token_id}:{window}"

    def tick(self, name: str) -> str:
        return f"{self.prefix}tick:{name}"
