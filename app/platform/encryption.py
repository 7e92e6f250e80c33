"""Secrets at rest: what the store, its append-only file and copies of both hold of them is encrypted, as soon as there is a key.

The first key encrypts, any of them decrypts, so that keys can be changed one after another: a new one is put first, all is
encrypted anew, and the old one is taken away. What was stored before there was a key is plain text, and is still read.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import Final

from cryptography.fernet import Fernet, InvalidToken, MultiFernet

from app.platform.errors import Conflict

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
        self._ciphers = [Fernet(key) for key in keys]

    @property
    def has_key(self) -> bool:
        return bool(self._ciphers)

    def encrypt(self, text: str) -> str:
        """As it is to be stored."""
        if not self._ciphers:
            return text
        return _MARK + self._ciphers[0].encrypt(text.encode()).decode()

    def decrypt(self, stored: str) -> str:
        """The inverse. Raises Unreadable."""
        if not stored.startswith(_MARK):
            return stored
        try:
            return MultiFernet(self._ciphers).decrypt(_token(stored)).decode() if self._ciphers else _refuse()
        except InvalidToken:
            return _refuse()

    def standing(self, stored: str) -> Standing:
        """How it is stored."""
        if not stored.startswith(_MARK):
            return Standing.PLAIN
        for number, cipher in enumerate(self._ciphers):
            try:
                cipher.decrypt(_token(stored))
            except InvalidToken:
                continue
            return Standing.OLDER if number else Standing.NEWEST
        return Standing.UNREADABLE


def _token(stored: str) -> bytes:
    return stored.removeprefix(_MARK).encode()


def _refuse() -> str:
    raise Unreadable(
        "The stored secrets can't be decrypted: MEDIAOPS_SECRETS_KEY_FILE doesn't hold their key. Put it back into the file,"
        " or make the subscription anew."
    ) from None
