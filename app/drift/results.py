"""What was found at each content media, and how far the audit's round is, in Redis (`docs/data-model.md`)."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Final

from app.avos.drift import DriftState
from app.outgoing.keys import OutgoingKeys
from app.outgoing.model import Guard, Now, Write, digest, encode
from app.platform.clock import from_ms, to_ms
from app.platform.keys import Keys, fold, quoted
from app.platform.redis import RedisClient, store_errors

KEEP_MS: Final = 7 * 86_400_000  # a result that nobody renews falls off by itself


@dataclass(frozen=True, slots=True)
class Difference:
    """A member that AVOS shows otherwise than planning wants; long values are cut short."""

    kind: str
    member: str
    wanted: Any
    shown: Any


@dataclass(frozen=True, slots=True)
class Reason:
    """Why there is nothing to compare: AVOS was not read, or a PATCH can't be composed."""

    code: str
    detail: str


@dataclass(frozen=True, slots=True)
class DriftResult:
    """Of one comparison. `members`: what differs; `not_shown`: names; `since` when the state is this one; `healing`:
    ids of what was queued for it."""

    content_media_id: str
    livestream_id: str | None
    event_id: str | None
    state: DriftState
    checked_at: datetime
    since: datetime
    members: tuple[Difference, ...] = ()
    not_shown: tuple[str, ...] = ()
    error: Reason | None = None
    healing: tuple[str, ...] = ()

    @property
    def drift(self) -> str:
        """Equal for two results that found the same drift; "" for none."""
        return digest([asdict(member) for member in self.members]) if self.members else ""


@dataclass(frozen=True, slots=True)
class Round:
    """How far the audit is: `cursor` is the content media looked at last, None between two rounds."""

    cursor: str | None = None
    started_at: datetime | None = None
    ended_at: datetime | None = None
    compared: int = 0
    skipped: int = 0


@dataclass(frozen=True, slots=True)
class DriftNumbers:
    """For monitoring: how many stand in each state, when a round ended last, how many lanes are suspect."""

    states: Mapping[DriftState, int]
    round_ended_s_ago: float | None
    suspects: int


class DriftResults:
    """Raises Unavailable while the store is away. Changes are handed out as writes, for `accept`."""

    def __init__(self, client: RedisClient, keys: Keys) -> None:
        self._client = client
        self._keys = OutgoingKeys.of(keys)
        self._published = f"{keys.prefix}drift:told"
        self._round = f"{keys.prefix}drift:round"

    def _result(self, media: str) -> str:
        return f"{self._keys.prefix}drift:result:{quoted(media)}"

    def _in(self, state: DriftState) -> str:
        return f"{self._keys.prefix}drift:in:{state.value}"

    # One content media ----------------------------------------------------------------------------

    def before(self, content_media_id: str) -> tuple[DriftResult | None, str]:
        """The last result, and the drift that was published last and hasn't gone since ("" for none)."""
        media = fold(content_media_id)
        with store_errors():
            stored = self._client.get(self._result(media))
            published = self._client.hget(self._published, media)
        return _read(stored), (published or b"").decode()

    def unchanged(self, content_media_id: str, published: str) -> Guard:
        """Nobody else has published a drift meanwhile."""
        return Guard(("HGET", self._published, fold(content_media_id)), published)

    def writes(self, result: DriftResult, published: str) -> tuple[Write, ...]:
        """To keep a result, and which drift was published."""
        media = fold(result.content_media_id)
        made = [Write("SET", self._result(media), (_stored(result), "PX", KEEP_MS))]
        for state in DriftState:
            if state is result.state:
                made.append(Write("ZADD", self._in(state), (Now(), media)))
            else:
                made.append(Write("ZREM", self._in(state), (media,)))
        mark = Write("HSET", self._published, (media, published))
        return (*made, mark if published else Write("HDEL", self._published, (media,)))

    # Many -----------------------------------------------------------------------------------------

    def page(
        self, states: Sequence[DriftState], limit: int, after: str = ""
    ) -> tuple[list[DriftResult], str | None]:
        """Results by content media, of those that are registered; and the last one's id if there are more."""
        with store_errors():
            pipe = self._client.pipeline(transaction=False)
            for state in states:
                pipe.zrange(self._in(state), 0, -1)
            found = {media.decode() for medias in pipe.execute() for media in medias}
        wanted = sorted(media for media in found if media > after)
        items: list[DriftResult] = []
        for start in range(0, len(wanted), limit):
            chunk = wanted[start : start + limit]
            with store_errors():
                pipe = self._client.pipeline(transaction=False)
                pipe.hmget(self._keys.active_by_media, chunk)
                for media in chunk:
                    pipe.get(self._result(media))
                active, *stored = pipe.execute()
            for media, registered, text in zip(chunk, active, stored, strict=True):
                result = _read(text) if registered else None
                if result is not None:
                    items.append(result)
                if len(items) == limit:
                    return items, media if media != wanted[-1] else None
        return items, None

    def forget(self, *, but: set[str], older_than_ms: int) -> None:
        """Drop the results of what isn't registered (`but`: what is), or hasn't been compared for long."""
        with store_errors():
            pipe = self._client.pipeline(transaction=False)
            for state in DriftState:
                pipe.zremrangebyscore(self._in(state), "-inf", f"({older_than_ms}")
                pipe.zrange(self._in(state), 0, -1)
            answers = pipe.execute()
            for state, medias in zip(DriftState, answers[1::2], strict=True):
                gone = [media.decode() for media in medias if media.decode() not in but]
                if gone:
                    self._client.zrem(self._in(state), *gone)
                    self._client.hdel(self._published, *gone)
                    self._client.delete(*map(self._result, gone))

    # The round ------------------------------------------------------------------------------------

    def round(self) -> Round:
        with store_errors():
            stored = self._client.hgetall(self._round)
        numbers = {name.decode(): int(value) for name, value in stored.items() if name != b"cursor" and value}
        cursor = stored.get(b"cursor")
        return Round(
            cursor=None if cursor is None else cursor.decode(),
            started_at=_instant(numbers.get("startedAt")),
            ended_at=_instant(numbers.get("endedAt")),
            compared=numbers.get("compared", 0),
            skipped=numbers.get("skipped", 0),
        )

    def keep_round(self, now: Round) -> None:
        """Where the next tick goes on."""
        fields = {
            "startedAt": None if now.started_at is None else to_ms(now.started_at),
            "endedAt": None if now.ended_at is None else to_ms(now.ended_at),
            "compared": now.compared,
            "skipped": now.skipped,
            "cursor": now.cursor,
        }
        with store_errors():
            pipe = self._client.pipeline(transaction=True)
            pipe.delete(self._round)
            pipe.hset(self._round, mapping={n: str(v) for n, v in fields.items() if v is not None})
            pipe.execute()

    def numbers(self, destination: str) -> DriftNumbers:
        """Two round trips, whatever the number of results."""
        with store_errors():
            pipe = self._client.pipeline(transaction=False)
            for state in DriftState:
                pipe.zcard(self._in(state))
            pipe.zcard(self._keys.suspects(destination))
            pipe.time()
            *counts, suspects, (seconds, micros) = pipe.execute()
        ended = self.round().ended_at
        ago = None if ended is None else max(0.0, int(seconds) + int(micros) / 1e6 - ended.timestamp())
        return DriftNumbers(dict(zip(DriftState, map(int, counts), strict=True)), ago, int(suspects))


def _instant(ms: int | None) -> datetime | None:
    return None if ms is None else from_ms(ms)


def _stored(result: DriftResult) -> bytes:
    times = {"checked_at": to_ms(result.checked_at), "since": to_ms(result.since)}
    return encode({**asdict(result), **times})


def _read(stored: bytes | None) -> DriftResult | None:
    if stored is None:
        return None
    fields = json.loads(stored)
    return DriftResult(
        content_media_id=fields["content_media_id"],
        livestream_id=fields["livestream_id"],
        event_id=fields["event_id"],
        state=DriftState(fields["state"]),
        checked_at=from_ms(fields["checked_at"]),
        since=from_ms(fields["since"]),
        members=tuple(Difference(**member) for member in fields["members"]),
        not_shown=tuple(fields["not_shown"]),
        error=Reason(**fields["error"]) if fields["error"] else None,
        healing=tuple(fields["healing"]),
    )
