"""How consumers are doing, read in three round trips for any number of them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from app.events.consumers.model import ConsumerState, ConsumerStatus, Failure, Missed, ReplayProgress
from app.events.keys import EventKeys
from app.platform.keys import Keys
from app.platform.redis import RedisClient, store_errors

_FIELDS: Final = (
    "state", "reason", "wake", "token", "notBefore", "failures", "failingSince", "told", "missed", "errorCode",
    "errorDetail", "errorAt", "deliveredAt", "replay", "from", "until", "since", "reaches", "createdAt",
    "endedAt",
)  # fmt: skip
_OPEN: Final = 2000  # members of a consumer's `open` set that are looked at
Fields = Mapping[str, str]
# (Consumer, topic) → the last sequence of the log, and when the oldest entry that isn't delivered was
# published.
Ways = Mapping[tuple[str, str], tuple[int, int | None]]


@dataclass(frozen=True, slots=True)
class _Row:
    """One consumer as it is stored; `open`: members of its set."""

    fields: Fields
    cursor: Mapping[str, int]
    counters: Mapping[str, int]
    parked: int
    open: tuple[str, ...]

    @property
    def first_undelivered(self) -> dict[str, int]:
        """Topic → the sequence from which on something isn't delivered."""
        first = {topic: at + 1 for topic, at in self.cursor.items()}
        for member in self.open:
            topic, sequence, *_ = member.split("|")
            first[topic] = min(first.get(topic, int(sequence)), int(sequence))
        return first


class StatusReader:
    """See the module. Raises `Unavailable` while the store is away."""

    def __init__(self, client: RedisClient, keys: Keys) -> None:
        self._client = client
        self._keys = EventKeys.of(keys)

    def statuses(self, ids: Sequence[str]) -> dict[str, ConsumerStatus]:
        """Those that there are, by id."""
        now_ms, rows = self._rows(ids)
        ways = self._ways(rows)
        replays = self._progresses([row.fields["replay"] for row in rows.values() if row.fields["replay"]])
        return {
            consumer_id: _status(consumer_id, row, ways, replays.get(row.fields["replay"]), now_ms)
            for consumer_id, row in rows.items()
        }

    def progress(self, replay_id: str) -> ReplayProgress | None:
        """Of the replay that is this consumer."""
        return self._progresses([replay_id])[replay_id]

    def _progresses(self, ids: Sequence[str]) -> dict[str, ReplayProgress | None]:
        if not ids:
            return {}
        pipe = self._client.pipeline(transaction=False)
        for replay_id in ids:
            pipe.hmget(self._keys.consumer(replay_id), *_FIELDS)
            pipe.hgetall(self._keys.consumer_part(replay_id, "cursor"))
            pipe.hget(self._keys.consumer_part(replay_id, "counters"), "missed")
        with store_errors():
            answers = pipe.execute()
        rows = zip(ids, answers[::3], answers[1::3], answers[2::3], strict=True)
        return {
            replay_id: _progress(replay_id, _texts(fields), _numbers(cursor), int(missed or 0))
            for replay_id, fields, cursor, missed in rows
        }

    def _rows(self, ids: Sequence[str]) -> tuple[int, dict[str, _Row]]:
        """The server's time, and those that there are."""
        pipe = self._client.pipeline(transaction=False)
        pipe.time()
        for consumer_id in ids:
            pipe.hmget(self._keys.consumer(consumer_id), *_FIELDS)
            pipe.hgetall(self._keys.consumer_part(consumer_id, "cursor"))
            pipe.hgetall(self._keys.consumer_part(consumer_id, "counters"))
            pipe.zcard(self._keys.consumer_part(consumer_id, "parked"))
            pipe.zrange(self._keys.consumer_part(consumer_id, "open"), 0, _OPEN)
        with store_errors():
            (seconds, micros), *answers = pipe.execute()
        rows = {}
        for at, consumer_id in enumerate(ids):
            fields, cursor, counters, parked, open_ = answers[at * 5 : at * 5 + 5]
            members = tuple(member.decode() for member in open_)
            rows[consumer_id] = _Row(
                _texts(fields), _numbers(cursor), _numbers(counters), int(parked), members
            )
        rows = {consumer_id: row for consumer_id, row in rows.items() if row.fields["state"]}
        return int(seconds) * 1000 + int(micros) // 1000, rows

    def _ways(self, rows: Mapping[str, _Row]) -> Ways:
        wanted = []
        pipe = self._client.pipeline(transaction=False)
        for consumer_id, row in rows.items():
            for topic, sequence in row.first_undelivered.items():
                wanted.append((consumer_id, topic))
                pipe.get(self._keys.log_sequence(topic))
                pipe.xrange(self._keys.log(topic), f"{sequence}-0", "+", count=1)
        with store_errors():
            answers = pipe.execute()
        return {
            key: (int(last or 0), int(oldest[0][1][b"at"]) if oldest else None)
            for key, last, oldest in zip(wanted, answers[::2], answers[1::2], strict=True)
        }


def _status(
    consumer_id: str, row: _Row, ways: Ways, replay: ReplayProgress | None, now_ms: int
) -> ConsumerStatus:
    fields = row.fields
    behind, age_ms = _lag(consumer_id, row, ways, now_ms)
    failing = fields["told"] and fields["state"] == "active"
    return ConsumerStatus(
        id=consumer_id,
        state=ConsumerState.FAILING if failing else ConsumerState(fields["state"]),
        reason=fields["reason"],
        lag_events=behind,
        lag_seconds=age_ms / 1000,
        open=len(row.open),
        parked=row.parked,
        counters={name: count for name, count in row.counters.items() if not name.startswith("delay:")},
        delays={name[6:]: count for name, count in row.counters.items() if name.startswith("delay:")},
        cursor=row.cursor,
        missed=_missed(fields["missed"]),
        failing_since_ms=int(fields["failingSince"] or 0) or None,
        failures_in_a_row=int(fields["failures"] or 0),
        last_error=_failure(fields),
        next_try_ms=int(fields["notBefore"] or 0) or None,
        last_delivered_ms=int(fields["deliveredAt"] or 0) or None,
        replay=replay,
    )


def _lag(consumer_id: str, row: _Row, ways: Ways, now_ms: int) -> tuple[int, int]:
    """How many events aren't handled yet, and the age of the oldest of them in ms."""
    # A consumer that listens has handled all that it wants; what its filter lets by isn't behind it.
    marks = (row.fields[name] for name in ("wake", "token", "notBefore"))
    idle = row.fields["state"] == "active" and not any(marks)
    behind, ages = len(row.open), [0]
    for topic in row.first_undelivered:
        last, oldest_ms = ways[consumer_id, topic]
        if not idle:
            behind += max(0, last - row.cursor.get(topic, last))
        if oldest_ms is not None and (not idle or row.open):
            ages.append(now_ms - oldest_ms)
    return behind, max(ages) if behind else 0


def _progress(
    replay_id: str, fields: Fields, cursor: Mapping[str, int], missed: int
) -> ReplayProgress | None:
    if not fields["state"]:
        return None
    start, end = json.loads(fields["from"] or "{}"), json.loads(fields["until"] or "{}")
    # A topic that was unsubscribed meanwhile counts as done.
    gone_through = sum(
        min(cursor.get(topic, int(end[topic])), int(end[topic])) - int(start[topic]) for topic in end
    )
    return ReplayProgress(
        id=replay_id.rpartition(".")[2],
        state=ConsumerState(fields["state"]),
        done=max(0, gone_through - missed),
        total=sum(int(end[topic]) - int(start[topic]) for topic in end),
        since_ms=int(fields["since"] or 0),
        started_ms=int(fields["createdAt"] or 0),
        ended_ms=int(fields["endedAt"] or 0) or None,
        failure=_failure(fields),
        missed=_missed(fields["missed"]),
        missed_events=missed,
        reaches_back_to_ms=int(fields["reaches"] or 0) or None,
    )


def _failure(fields: Fields) -> Failure | None:
    if not fields["errorAt"]:
        return None
    return Failure(fields["errorCode"], fields["errorDetail"], int(fields["errorAt"]))


def _missed(text: str) -> tuple[Missed, ...]:
    return tuple(
        Missed(one["topic"], int(one["first"]), int(one["last"]), int(one["at"]))
        for one in json.loads(text or "[]")
    )


def _texts(values: Sequence[bytes | None]) -> Fields:
    return {name: (value or b"").decode() for name, value in zip(_FIELDS, values, strict=True)}


def _numbers(raw: Mapping[bytes, bytes]) -> dict[str, int]:
    return {name.decode(): int(value) for name, value in raw.items()}
