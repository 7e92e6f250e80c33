"""Secrets at rest: under the newest key, readable under any, and plain text where there never was one."""

from __future__ import annotations

import json

import pytest

from app.local.layout import new_key
from app.platform.encryption import Encryption, Standing, Unreadable

OLD, NEW, OTHER = new_key(), new_key(), new_key()
TEXT = json.dumps({"headers": {"X-Key": "välue"}}, ensure_ascii=False)


def test_what_is_stored_shows_nothing_and_is_read_again() -> None:
    encryption = Encryption([NEW])
    stored = encryption.encrypt(TEXT)
    assert "lue" not in stored
    assert stored != encryption.encrypt(TEXT)
    assert encryption.decrypt(stored) == TEXT


def test_without_a_key_it_stays_as_it_is_and_is_read_later_all_the_same() -> None:
    assert Encryption().encrypt(TEXT) == TEXT
    assert Encryption([NEW]).decrypt(TEXT) == Encryption().decrypt(TEXT) == TEXT


def test_the_first_key_encrypts_and_any_decrypts() -> None:
    before, both = Encryption([OLD]), Encryption([NEW, OLD])
    stored = before.encrypt(TEXT)
    assert both.decrypt(stored) == TEXT
    anew = both.encrypt(TEXT)
    assert Encryption([NEW]).decrypt(anew) == TEXT
    with pytest.raises(Unreadable):
        before.decrypt(anew)


@pytest.mark.parametrize("keys", [[], [OTHER]])
def test_a_key_that_is_missing_or_another_is_said(keys: list[str]) -> None:
    stored = Encryption([NEW]).encrypt(TEXT)
    for one in (stored, stored[:-6], "fernet:", "fernet:ü"):
        with pytest.raises(Unreadable, match="MEDIAOPS_SECRETS_KEY_FILE") as refused:
            Encryption(keys).decrypt(one)
        assert refused.value.__suppress_context__
        assert OTHER not in str(refused.value)


def test_how_something_is_stored() -> None:
    encryption = Encryption([NEW, OLD])
    stored = [TEXT, *(Encryption([key]).encrypt(TEXT) for key in (NEW, OLD, OTHER))]
    standings = [Standing.PLAIN, Standing.NEWEST, Standing.OLDER, Standing.UNREADABLE]
    assert [encryption.standing(one) for one in stored] == standings
    assert Encryption().standing(stored[1]) is Standing.UNREADABLE
