"""A lane's marks (docs/data-model.md, "Lanes"): which requests of it wait, are live, have failed, …"""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from app.outgoing.keys import OutgoingKeys
from app.platform.redis import RedisClient, store_errors


class Mark(StrEnum):
    """The kinds, as `lua/_marks.lua` has them."""

    WAITING = "w"
    BY_URGENCY = "u"
    LIVE = "l"
    FAILED = "f"
    BARRIER = "b"
    HEAD = "r"
    HELD = "h"
    UNDELIVERED = "x"
    SUSPECT = "s"
    DEFERRED = "d"


SHOWN: Final = (Mark.WAITING, Mark.FAILED, Mark.LIVE, Mark.BARRIER, Mark.UNDELIVERED, Mark.SUSPECT)
Marks = dict[Mark, list[tuple[int, str]]]


def marks(client: RedisClient, keys: OutgoingKeys, destination: str, lane: str, limit: int) -> Marks:
    """Kind → (number, request id), the oldest first, so many of each kind at most. A lane that is to be read back has a
    mark of kind SUSPECT too."""
    key = keys.lane(destination, lane)
    with store_errors():
        pipe = client.pipeline(transaction=False)
        for kind in SHOWN:
            pipe.zrangebylex(key, *members(kind), start=0, num=limit)
        pipe.zscore(keys.suspects(destination), lane)
        *found, read_back = pipe.execute()
    made = {kind: [_mark(member) for member in some] for kind, some in zip(SHOWN, found, strict=True)}
    if read_back is not None:
        made[Mark.SUSPECT].append((0, ""))
    return made


def members(kind: Mark) -> tuple[str, str]:
    """From where to where the marks of a kind stand, in lexical order."""
    return f"[{kind}:", f"({kind};"


def _mark(member: bytes) -> tuple[int, str]:
    _, number, request_id = member.decode().split(":", 2)
    return int(number), request_id
