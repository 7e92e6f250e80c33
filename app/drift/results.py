"""What was found at each content media, and how far the audit has come round, in Redis (`docs/data-model.md`)."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Final

from app.avos.drift import DriftState
from app.outgoing.model import Guard, Now, Write, digest, encode
from app.platform.clock import from_ms, rfc3339
from app.platform.keys import Keys, fold, quoted
from app.platform.redis import RedisClient, store_errors

KEEP_MS: Final = 7 * 86_400_000  # a result that nobody renews falls off by itself


@dataclass(frozen=True, slots=True)
class DriftResult:
    """Of one comparison. `members`: what differs ({kind, member, wanted, shown}); `not_shown`: names; `since` when
    the state is this one; `healing`: ids of what was queued for it."""

    content_media_id: str
    livestream_id: str | None
    event_id: str | None
    state: DriftState
    checked_at: int  # ms
    since: int  # ms
    members: tuple[Mapping[str, Any], ...] = ()
    not_shown: tuple[str, ...] = ()
    error: Mapping[str, str] | None = None
    healing: tuple[str, ...] = ()

    @property
    def drift(self) -> str:
        """Equal for two results that found the same drift; "" for none."""
        return digest([dict(member) for member in self.members]) if self.members else ""

    def view(self) -> dict[str, Any]:
        """As the API shows it."""
        return {
            "contentMediaId": self.content_media_id,
            "livestreamId": self.livestream_id,
            "eventId": self.event_id,
            "state": self.state.value,
            "checkedAt": rfc3339(from_ms(self.checked_at)),
            "since": rfc3339(from_ms(self.since)),
            "members": list(self.members),
            "notShown": list(self.not_shown),
            "error": self.error,
            "healing": list(self.healing),
        }


@dataclass(frozen=True, slots=True)
class Round:
    """How far the audit is: `cursor` is the content media looked at last, None between two rounds."""

    cursor: str | None = None
    started_at: int | None = None
    ended_at: int | None = None
    compared: int = 0
    skipped: int = 0

    def view(self) -> dict[str, Any]:
        def time(ms: int | None) -> str | None:
            return None if ms is None else rfc3339(from_ms(ms))

        return {
            "startedAt": time(self.started_at),
            "endedAt": time(self.ended_at),
            "underWay": self.cursor is not None,
            "compared": self.compared,
            "skipped": self.skipped,
        }


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
        self._keys = keys
        self._told = f"{keys.prefix}drift:told"
        self._round = f"{keys.prefix}drift:round"

    def _result(self, media: str) -> str:
        return f"{self._keys.prefix}drift:result:{quoted(media)}"

    def _in(self, state: DriftState) -> str:
        return f"{self._keys.prefix}drift:in:{state.value}"

    # One content media ----------------------------------------------------------------------------

    def before(self, content_media_id: str) -> tuple[DriftResult | None, str]:
        """The last result, and the drift that was told last and hasn't gone since ("" for none)."""
        media = fold(content_media_id)
        with store_errors():
            stored = self._client.get(self._result(media))
            told = self._client.hget(self._told, media)
        return _read(stored), (told or b"").decode()

    def unchanged(self, content_media_id: str, told: str) -> Guard:
        """Nobody else has told a drift meanwhile."""
        return Guard(("HGET", self._told, fold(content_media_id)), told)

    def writes(self, result: DriftResult, told: str) -> tuple[Write, ...]:
        """To keep a result, and what was told of it."""
        media = fold(result.content_media_id)
        stored = encode(asdict(result))
        made = [Write("SET", self._result(media), (stored, "PX", KEEP_MS))]
        for state in DriftState:
            if state is result.state:
                made.append(Write("ZADD", self._in(state), (Now(), media)))
            else:
                made.append(Write("ZREM", self._in(state), (media,)))
        made.append(Write("HSET", self._told, (media, told)) if told else Write("HDEL", self._told, (media,)))
        return tuple(made)

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
                    self._client.hdel(self._told, *gone)
                    self._client.delete(*map(self._result, gone))

    # The round ------------------------------------------------------------------------------------

    def round(self) -> Round:
        with store_errors():
            stored = self._client.hgetall(self._round)
        numbers = {name.decode(): int(value) for name, value in stored.items() if name != b"cursor" and value}
        cursor = stored.get(b"cursor")
        return Round(
            cursor=None if cursor is None else cursor.decode(),
            started_at=numbers.get("startedAt"),
            ended_at=numbers.get("endedAt"),
            compared=numbers.get("compared", 0),
            skipped=numbers.get("skipped", 0),
        )

    def keep_round(self, now: Round) -> None:
        """Where the next tick goes on."""
        fields = {
            "startedAt": now.started_at,
            "endedAt": now.ended_at,
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
        ago = None if ended is None else max(0.0, int(seconds) + int(micros) / 1e6 - ended / 1000)
        return DriftNumbers(dict(zip(DriftState, map(int, counts), strict=True)), ago, int(suspects))


def _read(stored: bytes | None) -> DriftResult | None:
    if stored is None:
        return None
    fields = json.loads(stored)
    return replace(
        DriftResult(**fields),
        state=DriftState(fields["state"]),
        members=tuple(fields["members"]),
        not_shown=tuple(fields["not_shown"]),
        healing=tuple(fields["healing"]),
    )
