"""An operator's verb on all requests that match: a background operation with progress.

The record says how far it is; a tick works on it chunk by chunk and stops when its time is up, so a
worker that dies in the middle loses nothing: the next tick goes on from the cursor. A request that was
changed twice that way is refused the second time and counted as such.
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from app.outgoing.model import new_id
from app.outgoing.records import RequestFilter
from app.outgoing.service import RequestService
from app.outgoing.store import OutgoingStore
from app.platform.clock import from_ms
from app.platform.errors import NotFound
from app.platform.redis import store_errors

CHUNK: Final = 100
KEEP: Final = timedelta(days=7)


@dataclass(frozen=True, slots=True)
class Operation:
    """A verb on all that match `filter`. `state`: running or done; how many were `changed` and `refused` by now."""

    id: str
    verb: str
    filter: RequestFilter
    actor: str
    state: str
    created_at: datetime
    finished_at: datetime | None = None
    changed: int = 0
    refused: int = 0


class Operations:
    """Start, look at, and (from a tick) work on operations."""

    def __init__(self, store: OutgoingStore, requests: RequestService) -> None:
        self._store = store
        self._client = store.client
        self._keys = store.keys
        self._requests = requests
        self._open = f"{store.keys.prefix}operations:open"

    def start(self, verb: str, wanted: RequestFilter, actor: str) -> Operation:
        """Note a "retry" or "discard" of all that match now; returns the operation."""
        operation_id = new_id()
        now = str(self._store.time_ms())
        record = {
            "verb": verb,
            "filter": json.dumps(wanted.as_json()),
            "actor": actor,
            "state": "running",
            "createdAt": now,
            "changed": "0",
            "refused": "0",
        }
        with store_errors():
            pipe = self._client.pipeline(transaction=True)
            pipe.hset(self._keys.operation(operation_id), mapping=record)
            pipe.pexpire(self._keys.operation(operation_id), int(KEEP.total_seconds() * 1000))
            pipe.zadd(self._open, {operation_id: int(now)})
            pipe.execute()
        self._requests.write_down(actor, f"{verb} all", record["filter"])
        return self.get(operation_id)

    def get(self, operation_id: str) -> Operation:
        """An operation and how far it is; raises NotFound."""
        with store_errors():
            record = self._client.hgetall(self._keys.operation(operation_id))
        if not record:
            raise NotFound("There is no such operation.", code="operation_not_found", field="operationId")
        text = {name.decode(): value.decode() for name, value in record.items()}
        done = text.get("finishedAt")
        return Operation(
            id=operation_id,
            verb=text["verb"],
            filter=RequestFilter.from_json(json.loads(text["filter"])),
            actor=text["actor"],
            state=text["state"],
            created_at=from_ms(int(text["createdAt"])),
            finished_at=from_ms(int(done)) if done else None,
            changed=int(text["changed"]),
            refused=int(text["refused"]),
        )

    def work(self, seconds: float) -> int:
        """Go on with what is open, for about so long; returns how many requests were looked at."""
        until = time.monotonic() + seconds
        looked = 0
        with store_errors():
            waiting = self._client.zrange(self._open, 0, 9)
        for operation_id in waiting:
            while time.monotonic() < until:
                count = self._step(operation_id.decode())
                looked += count
                if count == 0:
                    break
        return looked

    def _step(self, operation_id: str) -> int:
        """One chunk; 0 when the operation has come to its end."""
        key = self._keys.operation(operation_id)
        with store_errors():
            verb, wanted_json, actor, cursor = self._client.hmget(key, "verb", "filter", "actor", "cursor")
        if verb is None or wanted_json is None or actor is None:
            with store_errors():
                self._client.zrem(self._open, operation_id)
            return 0
        wanted = RequestFilter.from_json(json.loads(wanted_json))
        before = int(cursor) if cursor else None
        ids, last = self._requests.records.matching(wanted, CHUNK, before)
        changed = sum(self._apply(verb.decode(), request_id, actor.decode()) for request_id in ids)
        with store_errors():
            pipe = self._client.pipeline(transaction=True)
            pipe.hincrby(key, "changed", changed)
            pipe.hincrby(key, "refused", len(ids) - changed)
            if last is None:
                end = {"state": "done", "finishedAt": str(self._store.time_ms())}
                pipe.hset(key, mapping=end)
                pipe.zrem(self._open, operation_id)
            else:
                pipe.hset(key, "cursor", str(last))
            pipe.execute()
        return 0 if last is None else max(1, len(ids))

    def _apply(self, verb: str, request_id: str, actor: str) -> bool:
        word, _ = self._store.act(request_id, verb, actor)
        return word == "ok"
