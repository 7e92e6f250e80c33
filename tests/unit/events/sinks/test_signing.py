"""Webhook secrets: made, rotated, and what they sign."""

from __future__ import annotations

import base64
from datetime import UTC, datetime, timedelta

import pytest
from standardwebhooks import Webhook, WebhookVerificationError

from app.events.sinks import signatures
from app.platform.clock import to_ms

HOUR_MS = 3_600_000
BODY = b'{"name": "J\xc3\xb6rg",  "list": []}'


@pytest.fixture
def now() -> datetime:
    """The standard's library verifies what was signed within five minutes, by its own clock."""
    return datetime.now(UTC).replace(microsecond=0)


def verifies(secret: str, signature: str, at: datetime, body: bytes = BODY) -> bool:
    headers = {
        "webhook-id": "guid-1",
        "webhook-timestamp": str(int(at.timestamp())),
        "webhook-signature": signature,
    }
    try:
        Webhook(secret).verify(body, headers, json_parse=False)
    except WebhookVerificationError:
        return False
    return True


def test_secrets_are_random_and_as_long_as_the_standard_wants() -> None:
    made = {signatures.new_secret() for _ in range(50)}
    assert len(made) == 50
    for secret in made:
        assert secret.startswith("whsec_")
        assert 24 <= len(base64.b64decode(secret.removeprefix("whsec_"), validate=True)) <= 64


def test_a_signature_is_verified_by_the_standards_own_library(now: datetime) -> None:
    secret = signatures.new_secret()
    signature = signatures.signatures([secret], "guid-1", now, BODY)
    assert verifies(secret, signature, now)
    assert not verifies(secret, signature, now, BODY + b" ")
    assert not verifies(secret, signature, now + timedelta(seconds=1))
    assert not verifies(signatures.new_secret(), signature, now)


def test_both_secrets_sign_while_they_overlap_and_the_new_one_alone_afterwards(now: datetime) -> None:
    stored = signatures.first()
    old = stored[0]["secret"]
    rotated = signatures.rotate(stored, to_ms(now), HOUR_MS)
    new = rotated[0]["secret"]
    assert new != old
    assert signatures.valid(rotated, to_ms(now)) == [new, old]
    both = signatures.signatures(signatures.valid(rotated, to_ms(now)), "guid-1", now, BODY)
    assert verifies(old, both, now)
    assert verifies(new, both, now)
    assert signatures.valid(rotated, to_ms(now) + HOUR_MS - 1) == [new, old]
    assert signatures.valid(rotated, to_ms(now) + HOUR_MS) == [new]


def test_rotating_again_within_the_overlap_ends_the_oldest(now: datetime) -> None:
    twice = signatures.rotate(
        signatures.rotate(signatures.first(), to_ms(now), HOUR_MS), to_ms(now) + 1, HOUR_MS
    )
    assert len(signatures.valid(twice, to_ms(now) + 2)) == 2
    assert twice[1]["until"] == to_ms(now) + 1 + HOUR_MS


@pytest.mark.parametrize("overlap_ms", [0, -1])
def test_a_leaked_secret_can_be_ended_at_once(now: datetime, overlap_ms: int) -> None:
    rotated = signatures.rotate(signatures.first(), to_ms(now), overlap_ms)
    assert len(signatures.valid(rotated, to_ms(now))) == 1
