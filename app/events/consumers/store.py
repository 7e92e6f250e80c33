"""Consumers as operators and the subscriptions' service see them: made, changed, stopped, replayed, looked
at.

Every change is one script, which also runs the caller's own writes (`also`), so that there is never a
subscription without its consumer, or the reverse. All methods raise `Unavailable` while the store is away.
"""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Mapping, Sequence
from typing import Any, Final

from app.events.consumers.claims import ConsumerScripts, opened
from app.events.consumers.model import Command, ConsumerSpec, ConsumerStatus, Parked, ReplayProgress
from app.events.consumers.status import StatusReader
from app.events.consumers.summary import FIELDS, Trouble, trouble
from app.events.keys import EventKeys
from app.events.log import EventLog
from app.events.sinks.base import Config, Delivery, Kind, Outcome, SinkError, SinkFactory
from app.platform.clock import from_ms
from app.platform.encryption import Encryption, Standing
from app.platform.errors import Conflict, NotFound
from app.platform.redis import store_errors
from app.platform.scripts import unique

TEST_TOPIC: Final = "delivery-operations"
TEST_EVENT: Final = "subscription-test"
_TEST_S: Final = 15.0
_UNPARK_CHUNK: Final = 200


class ConsumerStore:
    """See the module. `log` finds where a time began, `sinks` sends the test event."""

    def __init__(
        self, scripts: ConsumerScripts, log: EventLog, sinks: SinkFactory, encryption: Encryption
    ) -> None:
        self._scripts = scripts
        self._encryption = encryption
        self._client = scripts.client
        self._keys = EventKeys.of(scripts.keys)
        self._log = log
        self._sinks = sinks
        self._reader = StatusReader(scripts.client, scripts.keys)

    def time_ms(self) -> int:
        """The server's clock, which decides."""
        return self._scripts.time_ms()

    # Making and changing --------------------

    def create(self, spec: ConsumerSpec, *, also: Sequence[Command] = ()) -> None:
        """A new consumer, listening or awake. Raises Conflict where there is one of this id."""
        control, payloads = _changing(spec, also, self._encryption)
        if not self._scripts.run("create", control, *payloads):
            raise Conflict("There is a subscription of this id already.", code="subscription_exists")

    def update(self, spec: ConsumerSpec, *, also: Sequence[Command] = ()) -> None:
        """Another configuration, from the next call on; topics that stay keep their place. Raises
        NotFound."""
        control, payloads = _changing(spec, also, self._encryption)
        if not self._scripts.run("update", control, *payloads):
            raise _not_found()

    def delete(self, consumer_id: str, *, also: Sequence[Command] = ()) -> None:
        """The consumer with its place, its parked events and its replay. Raises NotFound."""
        numbers, payloads = _also(also)
        if not self._scripts.run("delete", {"id": consumer_id, "also": numbers}, "", "", "", *payloads):
            raise _not_found()

    def config(self, consumer_id: str) -> tuple[Config, Config]:
        """Its sink and its secrets. Raises NotFound, Unreadable."""
        with store_errors():
            sink, secrets = self._client.hmget(self._keys.consumer(consumer_id), "sink", "secrets")
        if sink is None or secrets is None:
            raise _not_found()
        return json.loads(sink), opened(self._encryption, secrets)

    @property
    def encrypts(self) -> bool:
        """Whether there is a key to encrypt secrets with."""
        return self._encryption.has_key

    def reencrypt(self, consumer_id: str) -> bool:
        """Store its secrets under the newest key; False where they are. Raises NotFound, Unreadable."""
        encryption = self._encryption
        with store_errors():
            stored = self._client.hget(self._keys.consumer(consumer_id), "secrets")
        if stored is None:
            raise _not_found()
        if encryption.standing(stored.decode()) is Standing.NEWEST:
            return False
        anew = encryption.encrypt(encryption.decrypt(stored.decode()))
        # A change meanwhile has stored them under the newest key.
        return bool(self._scripts.run("reencrypt", {"id": consumer_id}, stored, anew))

    # Operating --------------------

    def pause(self, consumer_id: str, reason: str = "") -> bool:
        """Begin no further call, nor one of its replay; whether that changed anything. Raises NotFound."""
        return self._act({"id": consumer_id, "verb": "pause", "reason": reason})

    def resume(self, consumer_id: str) -> bool:
        """Go on where it stopped, also where it was disabled."""
        return self._act({"id": consumer_id, "verb": "resume"})

    def _act(self, control: Mapping[str, Any]) -> bool:
        changed = self._scripts.run("act", control)
        if changed is None:
            raise _not_found()
        return bool(changed)

    def replay(self, consumer_id: str, since_ms: int) -> ReplayProgress:
        """Deliver once more what was published since, up to what the live delivery has handled. Raises
        Conflict while another replay of it is under way or it stands still."""
        with store_errors():
            topics = [
                topic.decode()
                for topic in self._client.hgetall(self._keys.consumer_part(consumer_id, "cursor"))
            ]
        start = {topic: self._log.first_after(topic, since_ms) for topic in topics}
        replay_id = unique()[:16]
        control = {"id": consumer_id, "replay": replay_id, "start": start, "since": since_ms}
        match self._scripts.run("replay", control):
            case b"busy":
                raise Conflict("A replay of this subscription is under way.", code="replay_running")
            case b"stopped":
                raise Conflict(
                    "The subscription is paused or disabled; resume it first.", code="subscription_stopped"
                )
        progress = self.replay_progress(consumer_id, replay_id)
        if progress is None:
            raise _not_found()
        return progress

    def replay_progress(self, consumer_id: str, replay_id: str) -> ReplayProgress | None:
        """How far the replay is; None: there is none of this id any more."""
        return self._reader.progress(f"{consumer_id}.replay.{replay_id}")

    def cancel_replay(self, consumer_id: str, replay_id: str) -> bool:
        """End a replay; False where there is none of this id."""
        control = {"id": consumer_id, "verb": "cancel", "replay": f"{consumer_id}.replay.{replay_id}"}
        return self._scripts.run("act", control) is not None

    def test(self, consumer_id: str) -> tuple[Outcome, Config]:
        """Send one event that isn't in the log, now, whatever the consumer's state; what came back, and
        what was sent where. Raises NotFound, InvalidInput where the sink isn't allowed any more."""
        sink_config, secrets = self.config(consumer_id)
        delivery = _test_event(self._keys.prefix[:-1], consumer_id, self.time_ms())
        sink = self._sinks.build(sink_config, secrets, ordered=True)
        try:
            [outcome] = sink.send([delivery], time.monotonic() + _TEST_S)
            return outcome, sink.request_summary([delivery])
        finally:
            sink.close()

    # Parked events --------------------

    def parked(self, consumer_id: str, limit: int, start: int = 0) -> tuple[list[Parked], int | None]:
        """Events that were refused for good, the oldest first, and where to go on."""
        parked, why = (self._keys.consumer_part(consumer_id, part) for part in ("parked", "parked:why"))
        with store_errors():
            keys = [key.decode() for key in self._client.zrange(parked, start, start + limit - 1)]
            pipe = self._client.pipeline(transaction=False)
            for key in keys:
                topic, _, sequence = key.partition("|")
                pipe.zscore(parked, key)
                pipe.hget(why, key)
                pipe.xrange(self._keys.log(topic), f"{sequence}-0", f"{sequence}-0")
            rows = pipe.execute() if keys else []
        found = zip(keys, rows[::3], rows[1::3], rows[2::3], strict=True)
        return [_parked(*row) for row in found if row[1] is not None], (
            start + limit if len(keys) == limit else None
        )

    def retry_parked(self, consumer_id: str, parked_id: str | None = None) -> int:
        """Deliver once more, outside of any order: one (`Parked.id`), or all there are now; how many."""
        return self._unpark(consumer_id, "retry", parked_id)

    def discard_parked(self, consumer_id: str, parked_id: str | None = None) -> int:
        """Give up: one (`Parked.id`), or all there are now; how many."""
        return self._unpark(consumer_id, "discard", parked_id)

    def _unpark(self, consumer_id: str, verb: str, parked_id: str | None) -> int:
        control = {
            "id": consumer_id,
            "verb": verb,
            "keys": [parked_id.replace(":", "|")] if parked_id else [],
            "limit": _UNPARK_CHUNK,
            "before": self.time_ms(),
        }
        changed = 0
        while True:
            count = int(self._scripts.run("unpark", control))
            changed += count
            if parked_id or count < _UNPARK_CHUNK:
                return changed

    # Looking --------------------

    def status(self, consumer_id: str) -> ConsumerStatus | None:
        return self.statuses([consumer_id]).get(consumer_id)

    def trouble(self, consumer_id: str, word: str) -> Trouble | None:
        """Why a wake-up that ended with this word hasn't delivered, where the receiver is the reason."""
        with store_errors():
            return trouble(word, self._client.hmget(self._keys.consumer(consumer_id), *FIELDS))

    def statuses(self, ids: Sequence[str]) -> dict[str, ConsumerStatus]:
        """Those that there are, by id."""
        return self._reader.statuses(ids)


def _changing(
    spec: ConsumerSpec, also: Sequence[Command], encryption: Encryption
) -> tuple[Mapping[str, Any], list[str | bytes | int]]:
    """The control object of `create` and `update`; everything of the user's travels as it is."""
    topics = [[topic, sorted(names)] for topic, names in spec.topics]
    numbers, arguments = _also(also)
    control = {
        "id": spec.id,
        "ordered": "1" if spec.ordered else "0",
        "slots": spec.slots,
        "topics": topics,
        "start": dict(spec.start),
        "also": numbers,
    }
    topics_text, sink, secrets = (
        json.dumps(one, ensure_ascii=False) for one in (topics, dict(spec.sink), dict(spec.secrets))
    )
    return control, [topics_text, sink, encryption.encrypt(secrets), *arguments]


def _also(commands: Sequence[Command]) -> tuple[list[list[int]], list[str | bytes | int]]:
    """The commands' words as payloads, and of each command the numbers of its words."""
    numbers: list[list[int]] = []
    words: list[str | bytes | int] = []
    for command in commands:
        numbers.append([*range(len(words) + 1, len(words) + 1 + len(command))])
        words += command
    return numbers, words


def _parked(key: str, score: float, why: bytes | None, entries: Sequence[Any]) -> Parked:
    topic, _, sequence = key.partition("|")
    noted = json.loads(why or b"{}")
    return Parked(
        topic=topic,
        sequence=int(sequence),
        parked_ms=int(score),
        error=SinkError(noted.get("code", ""), noted.get("detail", ""), Kind.REFUSED),
        event_name=noted.get("name", ""),
        guid=noted.get("guid", ""),
        event=entries[0][1][b"event"] if entries else None,
    )


def _test_event(tenant: str, consumer_id: str, now_ms: int) -> Delivery:
    guid = str(uuid.uuid4())
    event = {
        "eventName": TEST_EVENT,
        "originator": "mediaops-sync",
        "tenant": tenant,
        "timestamp": from_ms(now_ms).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "guid": guid,
        "versions": ["1.0"],
        "subscriptionId": consumer_id,
    }
    raw = json.dumps(event, separators=(",", ":")).encode()
    return Delivery(TEST_TOPIC, 0, 0, TEST_EVENT, guid, consumer_id, tenant, raw, now_ms)


def _not_found() -> NotFound:
    return NotFound("There is no such subscription.", code="subscription_not_found", field="subscriptionId")
