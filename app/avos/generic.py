"""Generic outgoing requests: AVOS is sent a caller's own method, path and body, under the same
rules as planning's PATCHes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from app.avos.paths import canonical_generic_path, content_media_of
from app.outgoing.model import (
    AVOS,
    NAMED_LANE,
    PATH_LANE,
    Acceptance,
    Accepted,
    Idempotency,
    NewRequest,
    encode,
)
from app.outgoing.store import OutgoingStore
from app.platform.clock import utcnow
from app.platform.errors import InvalidInput
from app.platform.keys import fold

MAX_MEMBERS: Final = 500  # of a PATCH: each has a version of its own in the store


@dataclass(frozen=True, slots=True)
class GenericCall:
    """What a caller asks for. `body`: a JSON value; `has_body`: whether there is a body at all;
    null is one."""

    method: str
    path: str
    body: Any = None
    has_body: bool = False
    lane: str | None = None
    deadline: datetime | None = None


def accept_generic(
    store: OutgoingStore,
    call: GenericCall,
    prefixes: Sequence[str],
    idempotency: Idempotency | None = None,
) -> Accepted:
    """Check and record it. Raises BadRequest, IdempotencyMismatch or Unavailable."""
    return store.accept(Acceptance(requests=(new_request(call, prefixes),), idempotency=idempotency))


def new_request(call: GenericCall, prefixes: Sequence[str], now: datetime | None = None) -> NewRequest:
    """The request to record. A path under a content media takes the lane of that id. Any other
    takes the caller's lane; by default its own, which is the same with and without a query. Raises
    InvalidInput, BadRequest."""
    path = canonical_generic_path(call.path, prefixes)
    media = content_media_of(path)
    if media is not None and call.lane is not None:
        raise InvalidInput([("lane", "A path under a content media takes the lane of its id.")])
    if call.deadline is not None and call.deadline <= (now or utcnow()):
        raise InvalidInput([("deadline", "The deadline has passed.")])
    patch = call.method == "PATCH"
    return NewRequest(
        destination=AVOS,
        lane=fold(media) if media is not None else _lane(call, path),
        kind="generic",
        method=call.method,
        path=path,
        members=_members(call) if patch else None,
        body=encode(call.body) if call.has_body and not patch else None,
        content_media_id=media,
        deadline=call.deadline,
    )


def _lane(call: GenericCall, path: str) -> str:
    if call.lane is not None:
        return NAMED_LANE + call.lane
    return PATH_LANE + path.partition("?")[0].rstrip("/")


def _members(call: GenericCall) -> Mapping[str, Any]:
    """All but `lastModified`: a newer one is read from AVOS just before sending, and added."""
    body = call.body if isinstance(call.body, dict) else {}
    members = {name: value for name, value in body.items() if name.casefold() != "lastmodified"}
    if not members:
        raise InvalidInput(
            [("body", "A PATCH needs an object with at least one member beside lastModified.")]
        )
    if len(members) > MAX_MEMBERS:
        raise InvalidInput([("body", f"A PATCH has at most {MAX_MEMBERS} members.")])
    return members
