"""Instants and their three spellings: aware datetimes inside, milliseconds in Redis, RFC 3339 outside.

The clock that decides anything is Redis TIME, read inside the scripts; `utcnow` is for what is only shown.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

_RFC3339 = re.compile(
    r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d(:\d\d([.,]\d{1,9})?)?([Zz]|[+-]\d\d:?\d\d)?\Z", re.ASCII
)


def utcnow() -> datetime:
    """This machine's time, aware, in UTC."""
    return datetime.now(UTC)


def later(instant: datetime, span: timedelta) -> datetime:
    """So much later, or the last moment there is: an event stored before times were bounded may end in 9999."""
    try:
        return instant + span
    except OverflowError:
        return datetime.max.replace(tzinfo=UTC)


def to_ms(instant: datetime) -> int:
    """Milliseconds since 1970 (whole; finer parts are cut off)."""
    if instant.tzinfo is None:
        raise ValueError("a naive datetime has no instant")
    whole = int(instant.replace(microsecond=0).timestamp())
    return whole * 1000 + instant.microsecond // 1000


def from_ms(milliseconds: int) -> datetime:
    """The inverse of `to_ms`."""
    seconds, rest = divmod(int(milliseconds), 1000)
    return datetime.fromtimestamp(seconds, UTC).replace(microsecond=rest * 1000)


def rfc3339(instant: datetime) -> str:
    """UTC with `Z`; milliseconds only where there are any: `2026-11-21T19:30:00Z`."""
    utc = instant.astimezone(UTC)
    spec = "milliseconds" if utc.microsecond >= 1000 else "seconds"
    return utc.replace(tzinfo=None).isoformat(timespec=spec) + "Z"


def parse_time(text: str) -> datetime:
    """Read an RFC 3339 time; one without a zone is UTC. Raises ValueError.

    Years before 1970 are refused: year 1 is how some senders spell "no value".
    """
    instant = check_time(text)
    try:
        instant = instant.astimezone(UTC)
    except OverflowError:  # year 1 with +01:00 lies before the calendar begins
        raise ValueError("a time outside the calendar") from None
    if instant.year < 1970:
        raise ValueError("a time before 1970")
    return instant


def check_time(text: str) -> datetime:
    """Read an RFC 3339 time of any year, in its own zone; one without a zone is UTC. Raises ValueError."""
    if not _RFC3339.match(text):
        raise ValueError("not an RFC 3339 time such as 2026-11-21T19:30:00Z")
    instant = datetime.fromisoformat(text.upper().replace(",", "."))
    return instant if instant.tzinfo is not None else instant.replace(tzinfo=UTC)
