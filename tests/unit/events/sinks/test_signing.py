"""Webhook secrets: made, rotated, and what they sign."""

from __future__ import annotations

import base64
from datetime import UTC, datetime, timedelta

import pytest
from standardwebhooks import Webhook, WebhookVerificationError

from app.events.sinks import signing
from app.platform.clock import to_ms

NOW = datetime.now(UTC).replace(microsecond=0)
NOW_MS = to_ms(NOW)
HOUR_MS = 3_600_000
BODY = b'{"name": "J\xc3\xb6rg",  "list": []}'


def verifies(secret: str, signature: str, body: bytes = BODY, at: datetime = NOW) -> bool:
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
    made = {signing.new_secret() for _ in range(50)}
    assert len(made) == 50
    for secret in made:
        assert secret.startswith("whsec_")
        assert 24 <= len(base64.b64decode(secret.removeprefix("whsec_"), validate=True)) <= 64


def test_a_signature_is_verified_by_the_standards_own_library() -> None:
    secret = signing.new_secret()
    signature = signing.signatures([secret], "guid-1", NOW, BODY)
    assert verifies(secret, signature)
    assert not verifies(secret, signature, BODY + b" ")
    assert not verifies(secret, signature, at=NOW + timedelta(seconds=1))
    assert not verifies(signing.new_secret(), signature)


def test_both_secrets_sign_while_they_overlap_and_the_new_one_alone_afterwards() -> None:
    stored = signing.first()
    old = stored[0]["secret"]
    rotated = signing.rotate(stored, NOW_MS, HOUR_MS)
    new = rotated[0]["secret"]
    assert new != old
    assert signing.valid(rotated, NOW_MS) == [new, old]
    both = signing.signatures(signing.valid(rotated, NOW_MS), "guid-1", NOW, BODY)
    assert verifies(old, both)
    assert verifies(new, both)
    assert signing.valid(rotated, NOW_MS + HOUR_MS - 1) == [new, old]
    assert signing.valid(rotated, NOW_MS + HOUR_MS) == [new]


def test_rotating_again_within_the_overlap_ends_the_oldest() -> None:
    twice = signing.rotate(signing.rotate(signing.first(), NOW_MS, HOUR_MS), NOW_MS + 1, HOUR_MS)
    assert len(signing.valid(twice, NOW_MS + 2)) == 2
    assert twice[1]["until"] == NOW_MS + 1 + HOUR_MS


@pytest.mark.parametrize("overlap_ms", [0, -1])
def test_a_leaked_secret_can_be_ended_at_once(overlap_ms: int) -> None:
    rotated = signing.rotate(signing.first(), NOW_MS, overlap_ms)
    assert len(signing.valid(rotated, NOW_MS)) == 1
