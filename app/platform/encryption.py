"""Secrets at rest: what the store, its append-only file and copies of both hold of them is encrypted, as soon as there is a key.

The first key encrypts, any of them decrypts, so that keys can be changed one after another: a new one is put first, all is
encrypted anew, and the old one is taken away. What was stored before there was a key is plain text, and is still read.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from functools import cached_property
from typing import TYPE_CHECKING, Final

from app.platform.errors import Conflict

if TYPE_CHECKING:
    from cryptography.fernet import Fernet

# JSON, which is what plain text is here, never begins like this.
_MARK: Final = "fernet:"


class Unreadable(Conflict):
    """No key that this process has is the one of a stored secret."""

    code = "secrets_unreadable"


class Standing(StrEnum):
    """How something is stored."""

    PLAIN = "plain"
    NEWEST = "newest"  # under the first key
    OLDER = "older"  # under another one
    UNREADABLE = "unreadable"


class Encryption:
    """`keys`: URL-safe base64 of 32 bytes each, the newest first; none: everything stays plain text."""

    def __init__(self, keys: Sequence[str] = ()) -> None:
        self._keys = tuple(keys)

    @cached_property
    def _ciphers(self) -> list[Fernet]:
        """Made when they are needed: most workers never do, and needn't load three megabytes."""
        from cryptography.fernet import Fernet  # noqa: PLC0415

        return [Fernet(key) for key in self._keys]

    @property
    def has_key(self) -> bool:
        return bool(self._keys)

    def encrypt(self, text: str) -> str:
        """As it is to be stored."""
        if not self._keys:
            return text
        return _MARK + self._ciphers[0].encrypt(text.encode()).decode()

    def decrypt(self, stored: str) -> str:
        """The inverse. Raises Unreadable."""
        if not stored.startswith(_MARK):
            return stored
        for cipher in self._ciphers:
            text = _opened(cipher, stored)
            if text is not None:
                return text
        return _refuse()

    def standing(self, stored: str) -> Standing:
        """How it is stored."""
        if not stored.startswith(_MARK):
            return Standing.PLAIN
        for number, cipher in enumerate(self._ciphers):
            if _opened(cipher, stored) is not None:
                return Standing.OLDER if number else Standing.NEWEST
        return Standing.UNREADABLE


def _opened(cipher: Fernet, stored: str) -> str | None:
    """What was encrypted, if it was by this key."""
    from cryptography.fernet import InvalidToken  # noqa: PLC0415

    try:
        return cipher.decrypt(stored.removeprefix(_MARK).encode()).decode()
    except InvalidToken:
        return None


def _refuse() -> str:
    raise Unreadable(
        "The stored secrets can't be decrypted: MEDIAOPS_SECRETS_KEY_FILE doesn't hold their key. Put it back into the file,"
        " or make the subscription anew."
    ) from None
