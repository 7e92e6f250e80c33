"""The whole retry policy, as a table."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from app.outgoing.decision import AttemptError, Decision, Signal, again_s, decide, expiry, signal
from app.outgoing.destinations import Destination
from app.outgoing.model import State

NOW = datetime(2026, 11, 21, 19, 30, tzinfo=UTC)
DAY = timedelta(days=1)
AVOS = Destination("avos", max_age=DAY)
S = timedelta(seconds=1)


def error(**options: object) -> AttemptError:
    return AttemptError("timeout", "The far side did not answer.", **options)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("given", "age_from", "deadline", "expected"),
    [
        # no error: delivered, however old
        (None, None, None, Decision(State.DELIVERED)),
        (None, NOW - 9 * DAY, NOW - DAY, Decision(State.DELIVERED)),
        # a first failure is due at the next tick: no growing distance
        (error(), None, None, Decision(State.FAILED, NOW)),
        (error(), NOW - 3600 * S, None, Decision(State.FAILED, NOW)),
        # only Retry-After defers it, and never past the moment of its expiry
        (error(retry_after_s=30.0), None, None, Decision(State.FAILED, NOW + 30 * S)),
        (error(retry_after_s=0.0), None, None, Decision(State.FAILED, NOW)),
        (error(retry_after_s=-5.0), None, None, Decision(State.FAILED, NOW)),
        (error(retry_after_s=300.0), None, None, Decision(State.FAILED, NOW + 300 * S)),
        (error(retry_after_s=301.0), None, None, Decision(State.FAILED, NOW + 300 * S)),
        (error(retry_after_s=1e12), None, None, Decision(State.FAILED, NOW + 300 * S)),
        (error(retry_after_s=3600.0), None, NOW + 60 * S, Decision(State.FAILED, NOW + 60 * S)),
        # age, from the first failure
        (error(), NOW - DAY + S, None, Decision(State.FAILED, NOW)),
        (error(), NOW - DAY, None, Decision(State.EXPIRED)),
        (error(), NOW - 2 * DAY, None, Decision(State.EXPIRED)),
        # the deadline, where it comes first
        (error(), None, NOW + S, Decision(State.FAILED, NOW)),
        (error(), None, NOW, Decision(State.EXPIRED)),
        (error(), NOW - 60 * S, NOW - S, Decision(State.EXPIRED)),
        # a person must look, whatever its age
        (error(retryable=False), None, None, Decision(State.REJECTED)),
        (error(retryable=False), NOW - 2 * DAY, NOW - DAY, Decision(State.REJECTED)),
    ],
)
def test_what_becomes_of_an_attempt(
    given: AttemptError | None, age_from: datetime | None, deadline: datetime | None, expected: Decision
) -> None:
    assert decide(given, now=NOW, age_from=age_from, deadline=deadline, destination=AVOS) == expected


@pytest.mark.parametrize(
    ("kick_off", "asked", "waits"),
    [
        (None, 86_400.0, 300),
        (NOW + 7201 * S, 86_400.0, 300),
        (NOW + 7200 * S, 86_400.0, 10),
        (NOW + S, 11.0, 10),
        (NOW + S, 9.0, 9),
        (NOW - 3600 * S, 86_400.0, 10),  # on air: without a kick-off once its event has ended
    ],
)
def test_what_the_far_side_asks_for_is_kept_less_long_near_kick_off(
    kick_off: datetime | None, asked: float, waits: int
) -> None:
    decision = decide(
        error(retry_after_s=asked),
        now=NOW,
        age_from=None,
        deadline=None,
        destination=AVOS,
        urgent_at=kick_off,
    )
    assert decision == Decision(State.FAILED, NOW + waits * S)


def of(code: str, status: int | None = None, **options: object) -> AttemptError:
    return AttemptError(code, "x", destination_fault=True, status=status, **options)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("given", "expected", "again"),
    [
        (None, Signal.GOOD, None),
        (AttemptError("server_error", "x", status=500), Signal.GOOD, None),
        (AttemptError("not_found", "x", status=404), Signal.GOOD, None),
        (AttemptError("conflict", "x"), Signal.GOOD, None),
        (of("connect_failed"), Signal.FAULT, 1.0),
        (of("address_refused"), Signal.FAULT, 1.0),
        (of("throttled", 429), Signal.FAULT, 1.0),
        (of("throttled", 429, retry_after_s=5.0), Signal.FAULT, None),
        (of("timeout"), Signal.DOUBT, 1.0),
        (of("connection_reset"), Signal.DOUBT, 1.0),
        (of("server_error", 502), Signal.DOUBT, 1.0),
        (of("server_error", 503, retry_after_s=5.0), Signal.DOUBT, None),
        (of("unauthorized", 401), Signal.REFUSED, None),
        (of("forbidden", 403), Signal.REFUSED, None),
        (of("proxy_auth", 407), Signal.REFUSED, None),
        (of("tls_error"), Signal.FATAL, None),
    ],
)
def test_what_an_attempt_says_of_its_destination(
    given: AttemptError | None, expected: Signal, again: float | None
) -> None:
    assert signal(given) is expected
    assert again_s(given, None, AVOS.retry) == again
    assert again_s(given, NOW, AVOS.retry) is None, "only a first failure"


def test_expiry_is_the_earlier_of_age_and_deadline() -> None:
    assert expiry(NOW, None, DAY) == NOW + DAY
    assert expiry(NOW, NOW + S, DAY) == NOW + S
    assert expiry(NOW, NOW + 2 * DAY, DAY) == NOW + DAY
