"""How consumers are doing, read in three round trips for any number of them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

from app.events.consumers.model import ConsumerState, ConsumerStatus, Failure, Missed, Progress
from app.platform.keys import Keys
from app.platform.redis import RedisClient, store_errors

_FIELDS: Final = (
    "state", "reason", "wake", "token", "notBefore", "failures", "failingSince", "told", "missed", "errorCode",
    "errorDetail", "errorAt", "deliveredAt", "replay", "from", "until", "since", "reaches", "createdAt",
    "endedAt",
)  # fmt: skip
_OPEN: Final = 2000
Fields = Mapping[str, str]


class StatusReader:
    """See the module. Raises `Unavailable` while the store is away."""

    def __init__(self, client: RedisClient, keys: Keys) -> None:
        self._client = client
        self._keys = keys

    def statuses(self, ids: Sequence[str]) -> dict[str, ConsumerStatus]:
        """Those that there are, by id."""
        first = self._first(ids)
        now_ms, rows = first[0], dict(zip(ids, first[1], strict=True))
        rows = {consumer_id: row for consumer_id, row in rows.items() if row["fields"]["state"]}
        ways = self._ways(rows)
        replays = self._progresses(
            [row["fields"]["replay"] for row in rows.values() if row["fields"]["replay"]]
        )
        return {
            consumer_id: self._status(consumer_id, row, ways, replays.get(row["fields"]["replay"]), now_ms)
            for consumer_id, row in rows.items()
        }

    def progress(self, replay_id: str) -> Progress | None:
        """Of the replay that is this consumer."""
        return self._progresses([replay_id])[replay_id]

    def _progresses(self, ids: Sequence[str]) -> dict[str, Progress | None]:
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
            replay_id: _progress(replay_id, self._fields(fields), _numbers(cursor), int(missed or 0))
            for replay_id, fields, cursor, missed in rows
        }

    def _first(self, ids: Sequence[str]) -> tuple[int, list[dict[str, Any]]]:
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
        rows = []
        for at in range(0, len(answers), 5):
            fields, cursor, counters, parked, open_ = answers[at : at + 5]
            rows.append(
                {
                    "fields": self._fields(fields),
                    "cursor": _numbers(cursor),
                    "counters": _numbers(counters),
                    "parked": parked,
                    "open": [member.decode() for member in open_],
                }
            )
        return int(seconds) * 1000 + int(micros) // 1000, rows

    def _fields(self, values: Sequence[bytes | None]) -> Fields:
        return {name: (value or b"").decode() for name, value in zip(_FIELDS, values, strict=True)}

    def _ways(self, rows: Mapping[str, Mapping[str, Any]]) -> dict[tuple[str, str], tuple[int, int | None]]:
        """(consumer, topic) → the last sequence of the log, and when the oldest that isn't delivered was published."""
        wanted = []
        pipe = self._client.pipeline(transaction=False)
        for consumer_id, row in rows.items():
            oldest = {topic: at + 1 for topic, at in row["cursor"].items()}
            for member in row["open"]:
                topic, sequence, *_ = member.split("|")
                oldest[topic] = min(oldest.get(topic, int(sequence)), int(sequence))
            for topic, sequence in oldest.items():
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
        self,
        consumer_id: str,
        row: Mapping[str, Any],
        ways: Mapping[tuple[str, str], tuple[int, int | None]],
        replay: Progress | None,
        now_ms: int,
    ) -> ConsumerStatus:
        fields: Fields = row["fields"]
        # One that listens has handled all that it wants; what its filter lets by isn't behind it.
        idle = fields["state"] == "active" and not (fields["wake"] or fields["token"] or fields["notBefore"])
        behind, ages = len(row["open"]), [0]
        for topic in {*row["cursor"], *(member.split("|")[0] for member in row["open"])}:
            last, oldest_ms = ways[consumer_id, topic]
            at = row["cursor"].get(topic, last)
            if not idle:
                behind += max(0, last - at)
            if oldest_ms is not None and (not idle or row["open"]):
                ages.append(now_ms - oldest_ms)
        counters = row["counters"]
        return ConsumerStatus(
            id=consumer_id,
            state=ConsumerState.FAILING
            if fields["told"] and fields["state"] == "active"
            else ConsumerState(fields["state"]),
            reason=fields["reason"],
            lag_events=behind,
            lag_seconds=max(0, *ages, 0) / 1000 if behind else 0.0,
            open=len(row["open"]),
            parked=int(row["parked"]),
            counters={name: count for name, count in counters.items() if not name.startswith("delay:")},
            delays={name[6:]: count for name, count in counters.items() if name.startswith("delay:")},
            cursor=row["cursor"],
            missed=_missed(fields["missed"]),
            failing_since_ms=int(fields["failingSince"] or 0) or None,
            failures_in_a_row=int(fields["failures"] or 0),
            last_error=_failure(fields),
            next_try_ms=int(fields["notBefore"] or 0) or None,
            last_delivered_ms=int(fields["deliveredAt"] or 0) or None,
            replay=replay,
        )


def _progress(replay_id: str, fields: Fields, cursor: Mapping[str, int], missed: int) -> Progress | None:
    if not fields["state"]:
        return None
    start, end = json.loads(fields["from"] or "{}"), json.loads(fields["until"] or "{}")
    # A topic that was unsubscribed meanwhile counts as done.
    gone_through = sum(
        min(cursor.get(topic, int(end[topic])), int(end[topic])) - int(start[topic]) for topic in end
    )
    return Progress(
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


def _numbers(raw: Mapping[bytes, bytes]) -> dict[str, int]:
    return {name.decode(): int(value) for name, value in raw.items()}
