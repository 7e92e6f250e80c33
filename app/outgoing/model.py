"""The nouns of outgoing requests. `docs/data-model.md` shows how they stand in Redis."""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Final

SCHEMA: Final = 1
AVOS: Final = "avos"


class State(StrEnum):
    """Where a request is in its life; the last five are final."""

    PENDING = "pending"
    LIVE = "live"
    FAILED = "failed"
    DELIVERED = "delivered"
    REJECTED = "rejected"
    EXPIRED = "expired"
    SUPERSEDED = "superseded"
    DISCARDED = "discarded"


OPEN: Final = frozenset({State.PENDING, State.LIVE, State.FAILED})
RETRYABLE: Final = frozenset({State.FAILED, State.REJECTED, State.EXPIRED, State.DISCARDED})


class _Absent:
    """A member that planning has no value for: it is never sent, and older values of it aren't either."""

    def __repr__(self) -> str:
        return "ABSENT"


ABSENT: Final = _Absent()


def new_id() -> str:
    """A request's id: 32 hexadecimal characters, unguessable."""
    return uuid.uuid4().hex


# json.dumps makes an encoder anew at every call that isn't made with its defaults: half of its time.
_stored: Final = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode
_sorted: Final = json.JSONEncoder(separators=(",", ":"), sort_keys=True, allow_nan=False).encode


def encode(value: Any) -> bytes:
    """JSON as it is stored and sent: UTF-8, no blanks, members in the given order."""
    return _stored(value).encode()


def digest(value: Any) -> str:
    """Equal for JSON values that are equal as structures, whatever the order of their members."""
    if value is ABSENT:
        return "-"
    return hashlib.sha1(_sorted(value).encode(), usedforsecurity=False).hexdigest()


@dataclass(frozen=True, slots=True)
class RequestGuard:
    """What must hold for as long as a request is wanted; when it doesn't any more, the request ends for this `reason`.

    `command` is a reading command as `Guard` has it, with its key named without the tenant.
    """

    command: tuple[str, ...]
    expected: str
    reason: str


def guards_text(guards: tuple[RequestGuard, ...]) -> str:
    """As they stand in a record."""
    return encode([[guard.reason, guard.expected, *guard.command] for guard in guards]).decode()


def read_guards(text: str) -> tuple[RequestGuard, ...]:
    """From a record."""
    return tuple(
        RequestGuard(tuple(command), expected, reason) for reason, expected, *command in json.loads(text)
    )


@dataclass(frozen=True, slots=True)
class NewRequest:
    """A request as it is asked for, before it is accepted.

    A PATCH has `members` (top-level member → JSON value or ABSENT); any other method has `body` (bytes or
    None) and is a barrier in its lane. `path` is canonical: ids in it are quoted already.
    `rejected` is the code of a request that can't be composed (`no_job`, …): it is recorded, never sent.
    `guards` say what must hold for it to be wanted.
    """

    destination: str
    lane: str
    kind: str  # "booking" | "source" | "generic"
    method: str
    path: str
    members: Mapping[str, Any] | None = None
    body: bytes | None = None
    content_type: str = "application/json"
    content_media_id: str | None = None
    livestream_id: str | None = None
    event_id: str | None = None
    job_id: str | None = None
    title: str | None = None  # of its event, for people
    guards: tuple[RequestGuard, ...] = ()
    urgent_at: datetime | None = None
    event_end: datetime | None = None
    deadline: datetime | None = None
    forced: bool = True
    rejected: str | None = None
    id: str = field(default_factory=new_id)

    @property
    def is_patch(self) -> bool:
        return self.method == "PATCH"


@dataclass(frozen=True, slots=True)
class Guard:
    """What must still be true when the script writes, or it answers "again".

    `command` is a reading command with its key and arguments: ("HGET", key, field), ("GET", key) or
    ("ZREVRANGE", key, 0, 0). `expected` is its answer as text, "" for nothing.
    """

    command: tuple[str, ...]
    expected: str


@dataclass(frozen=True, slots=True)
class Now:
    """Stands in a write for the script's time in milliseconds."""


@dataclass(frozen=True, slots=True)
class Sequence:
    """Stands in a write for a number from the global counter, greater than all before it."""


# Lanes outside content media begin with a capital, which no folded id holds: none can join a content media's.
NAMED_LANE: Final = "Lane:"
PATH_LANE: Final = "Path:"

Value = str | bytes | int | Now | Sequence


@dataclass(frozen=True, slots=True)
class Write:
    """One writing command of a planning or registration change: HSET, HDEL, ZADD, ZREM, INCR, DEL, SET."""

    command: str
    key: str
    args: tuple[Value, ...] = ()


@dataclass(frozen=True, slots=True)
class Happening:
    """An entry for the event log: `fields` are the event's own members beside the envelope."""

    topic: str
    name: str
    fields: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class TimelineNote:
    """An entry for a content media's timeline."""

    content_media_id: str
    what: str
    detail: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Idempotency:
    """A caller's Idempotency-Key (hashed with who called what) and the fingerprint of its body."""

    digest: str
    fingerprint: str


@dataclass(frozen=True, slots=True)
class Acceptance:
    """Everything that one accepted call changes: all of it is written by one script, or nothing."""

    guards: tuple[Guard, ...] = ()
    writes: tuple[Write, ...] = ()
    requests: tuple[NewRequest, ...] = ()
    recheck: tuple[
        tuple[str, str], ...
    ] = ()  # lanes (destination, lane): what waits there ends where a guard fails
    happenings: tuple[Happening, ...] = ()
    notes: tuple[TimelineNote, ...] = ()
    idempotency: Idempotency | None = None


@dataclass(frozen=True, slots=True)
class Accepted:
    """`request_ids`: of what was queued (without what changed nothing), in the given order.
    `repeated`: the Idempotency-Key had been seen; the ids are those of the first time."""

    request_ids: tuple[str, ...]
    at: datetime
    repeated: bool = False


@dataclass(frozen=True, slots=True)
class Claim:
    """A lease on a live request. `token` and `fence` prove it to every later script."""

    request_id: str
    token: str
    fence: int
    destination: str
    method: str
    path: str
    kind: str
    content_media_id: str | None
    at_ms: int  # Redis time of the claim
    lease_until_ms: int
    age_from_ms: int | None = None  # first failure since acceptance or an operator's retry
    deadline_ms: int | None = None  # None also where an operator has waived it
    urgent_at_ms: int | None = None  # its kick-off, while its event hasn't ended
    unknown: Mapping[str, Any] | None = None  # an earlier attempt's unknown outcome: what was sent
    delivered: tuple[tuple[str, bytes], ...] = ()  # members as AVOS was given them last, where that is known


@dataclass(frozen=True, slots=True)
class Sending:
    """What may be sent now. PATCH: `members` (name → JSON bytes) that no newer request has set."""

    members: tuple[tuple[str, bytes], ...] = ()
    body: bytes | None = None
    content_type: str = "application/json"
