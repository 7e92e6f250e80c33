"""A lane's marks as they stand (docs/data-model.md, "Lanes"): which requests of it wait, are live, have failed, …"""

from __future__ import annotations

from typing import Final

from app.outgoing.keys import OutgoingKeys
from app.platform.redis import RedisClient, store_errors

# Waiting, failed, live, open barriers, ended undelivered, suspect.
KINDS: Final = ("w", "f", "l", "b", "x", "s")
Marks = dict[str, list[tuple[int, str]]]


def marks(client: RedisClient, keys: OutgoingKeys, destination: str, lane: str, limit: int) -> Marks:
    """Kind → (number, request id), the oldest first, so many of each kind at most; and whether it is to be read back, as
    a mark `s` too."""
    key = keys.lane(destination, lane)
    with store_errors():
        pipe = client.pipeline(transaction=False)
        for kind in KINDS:
            pipe.zrangebylex(key, f"[{kind}:", f"({kind};", start=0, num=limit)
        pipe.zscore(keys.suspects(destination), lane)
        *found, read_back = pipe.execute()
    made = {kind: [_mark(member) for member in members] for kind, members in zip(KINDS, found, strict=True)}
    if read_back is not None:
        made["s"].append((0, ""))
    return made


def _mark(member: bytes) -> tuple[int, str]:
    _, number, request_id = member.decode().split(":", 2)
    return int(number), request_id
