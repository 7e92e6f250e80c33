"""The worker's side of a consumer in Redis: claim, acknowledge, renew, and what the ticks do. Each is one script of `lua/`.

All methods raise `Unavailable` while the store is away. An acknowledgement whose outcome is unknown may be repeated: its
number keeps it from counting twice.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol

from redis import Redis

from app.events.catalogue import TOPICS, entity_of
from app.events.consumers.acknowledgement import Ack
from app.events.consumers.model import FAN_OUT, FAST, SLOW, Acked, Claimed, Item, Position, Read
from app.events.sinks.base import Delivery
from app.platform.encryption import Encryption
from app.platform.keys import Keys
from app.platform.redis import store_errors, typed
from app.platform.scripts import ScriptFolder

SCRIPTS: Final = Path(__file__).parent / "lua"
SHARED: Final = SCRIPTS.parents[1] / "lua"
LEASE_MS: Final = 8_000  # renewed every other second while the process lives, see leases.LeaseKeeper
# Of one script call, so that nothing holds the server for long (microseconds a consumer, quiet: 40 either way).
TICK_CHUNK: Final = 32
AUDIT_CHUNK: Final = 32
_encode: Final = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode
# So many entries may pass a listening consumer's filter by, until it is made to note that it has seen them.
PASSED: Final = 5_000


class Templates(Protocol):
    """Hand-built Celery messages (`platform.dispatch.Envelope`)."""

    def templates(self) -> dict[str, str]: ...


@dataclass(frozen=True, slots=True)
class Ground:
    """What every script call needs. `now_ms` replaces the server's clock in tests; `flags` False leaves the scripts'
    shebang off for fakeredis, which can't read it."""

    client: Redis
    keys: Keys
    envelope: Templates
    tenant: str
    log_length: int = 1_000_000
    lease_ms: int = LEASE_MS
    now_ms: Callable[[], int] | None = None
    flags: bool = True
    scripts: ScriptFolder | None = None
    encryption: Encryption | None = None


class ConsumerScripts:
    """Runs the package's scripts."""

    def __init__(self, ground: Ground) -> None:
        self.client = typed(ground.client)
        self.keys = ground.keys
        self.tenant = ground.tenant
        self.encryption = ground.encryption or Encryption()
        self._raw = ground.client
        self._now_ms = ground.now_ms
        self._scripts = ground.scripts or ScriptFolder(SCRIPTS, shared=(SHARED,), flags=ground.flags)
        self._common = {"lease_ms": ground.lease_ms, "log_length": ground.log_length}
        templates = ground.envelope.templates()
        self.messages: Final = {queue: templates[queue] for queue in (FAST, SLOW, FAN_OUT)}
        self.lease_s: Final = ground.lease_ms / 1000

    def opened(self, secrets: bytes) -> dict[str, Any]:
        """A consumer's secrets as they are stored. Raises Unreadable."""
        opened: dict[str, Any] = json.loads(self.encryption.decrypt(secrets.decode()))
        return opened

    def run(self, name: str, control: Mapping[str, Any], *payloads: str | bytes | int) -> Any:
        """One script; `control` becomes its ARGV[1]."""
        arguments = {**self._common, **control, "seed": _unique()}
        if self._now_ms is not None:
            arguments["now"] = self._now_ms()
        with store_errors():
            return self._scripts[name].run(self._raw, [self.keys.prefix], [_encode(arguments), *payloads])

    def time_ms(self) -> int:
        """The server's clock, which decides."""
        if self._now_ms is not None:
            return self._now_ms()
        with store_errors():
            seconds, micros = self.client.time()
        return int(seconds) * 1000 + int(micros) // 1000


class ConsumerClaims:
    """See the module."""

    def __init__(self, scripts: ConsumerScripts) -> None:
        self._scripts = scripts

    @property
    def lease_s(self) -> float:
        return self._scripts.lease_s

    def opened(self, secrets: bytes) -> dict[str, Any]:
        """The secrets of a claimed consumer. Raises Unreadable."""
        return self._scripts.opened(secrets)

    def claim(self, consumer_id: str, known: int, read: Read) -> Claimed | None:
        """Take a consumer that is awake, with the first of what there is; None: there is nothing, or it isn't to be had.

        `known`: the revision whose configuration the caller has, 0 for none.
        """
        token = _unique()
        control = {"id": consumer_id, "token": token, "known": known, "read": _reading(read)}
        word, *rest = self._scripts.run("claim", control)
        if word != b"ok":
            return None
        (at, owner, revision, ordered, slots, failures, failing_since, pace, queue, probation, waiting, ahead, items, position, more, sink, secrets) = rest  # fmt: skip
        replay = None if owner.decode() == consumer_id else consumer_id.rpartition(".")[2]
        return Claimed(
            id=consumer_id,
            owner=owner.decode(),
            token=token,
            revision=int(revision),
            at_ms=int(at),
            ordered=bool(ordered),
            slots=int(slots),
            failures=int(failures),
            failing_since_ms=int(failing_since) or None,
            pace_ms=float(pace),
            queue=queue.decode(),
            probation=int(probation),
            waiting=int(waiting),
            ahead=frozenset(key.decode() for key in ahead),
            items=self._items(items, replay),
            position=_position(position),
            more=bool(more),
            config=(json.loads(sink), secrets) if sink else None,
        )

    def ack(self, claimed: Claimed, number: int, ack: Ack) -> Acked:
        """Write down what became of calls; `number` counts acknowledgements from 1. `going_on` only where `ack.read` was
        asked for and there is something."""
        control, payloads = _ack_control(ack)
        control |= {"id": claimed.id, "token": claimed.token, "turn": number, "revision": claimed.revision}
        word, *rest = self._scripts.run("ack", control, *payloads)
        if word != b"ok":
            return Acked(going_on=False, word=word.decode())
        items, position, more, waiting = rest
        found = self._items(items, claimed.replay_id)
        return Acked(True, "ok", found, _position(position), bool(more), int(waiting))

    def renew(self, held: Sequence[tuple[str, str]]) -> list[bool]:
        """Renew leases, (consumer, token) each; which of them are still this worker's."""
        return [bool(one) for one in self._scripts.run("renew", {"held": [list(pair) for pair in held]})]

    def tick(self) -> int:
        """Wake, take back, look for lost wake-ups, and wake those whose topic's message was lost; how many consumers were looked
        at."""
        looked = 0
        while True:
            control = {"limit": TICK_CHUNK, "messages": self._scripts.messages}
            count = int(self._scripts.run("tick", control))
            looked += count
            if count < TICK_CHUNK:
                break
        with store_errors():
            topics = self._scripts.client.smembers(self._scripts.keys.consumers_news)
        for topic in topics:
            self.fan_out(topic.decode(), called=False)
        return looked

    def fan_out(self, topic: str, *, called: bool = True) -> int:
        """Wake whoever listens to a topic that has news, some dozens a script; how many. `called`: by the topic's message."""
        woken, more = 0, True
        while more:
            count, more = self._scripts.run(
                "fan_out", {"topic": topic} | ({"called": True} if called else {})
            )
            woken += int(count)
        return woken

    def audit(self) -> int:
        """Mend what no script should have left; how many consumers that were (those whose filter lets little through among
        them, which only note how far they have seen)."""
        mended, place = 0, 0
        while True:
            control = {"from": place, "limit": AUDIT_CHUNK, "passed": PASSED}
            some, looked = self._scripts.run("audit", control)
            mended += int(some)
            place += int(looked)
            if int(looked) < AUDIT_CHUNK:
                break
        with store_errors():
            # Where the release before kept its listeners. Whoever stood there is listening by now, or awake.
            self._scripts.client.delete(*(f"{self._scripts.keys.log(topic)}:feeds" for topic in TOPICS))
        return mended

    def _items(self, rows: Sequence[Any], replay: str | None) -> tuple[Item, ...]:
        return tuple(self._item(row, replay) for row in rows)

    def _item(self, row: Sequence[Any], replay: str | None) -> Item:
        topic, sequence, previous, name, guid, at, member, tries, event = row
        count, _, first = tries.partition(b"|")
        place = member.decode()
        delivery = Delivery(
            topic=topic.decode(),
            sequence=int(sequence),
            previous=int(previous),
            event_name=name.decode(),
            guid=guid.decode(),
            entity=entity_of(topic.decode(), name.decode(), event),
            tenant=self._scripts.tenant,
            event=event,
            at_ms=int(at),
            attempt=int(count or 0) + 1,
            redelivery=place.rpartition("|")[2] or replay,
        )
        return Item(delivery, place, int(first) if first else None)


def _unique() -> str:
    """32 hex digits that nobody else has, and nobody has to guess. Asking the system for them, as uuid4 does, lets the
    worker's other threads go first: three times for every delivery."""
    return f"{random.getrandbits(128):032x}"


def _reading(read: Read) -> dict[str, Any]:
    control: dict[str, Any] = {
        "limit": read.limit,
        "max_bytes": read.max_bytes,
        "open_limit": read.open_limit,
    }
    if read.position is not None:
        control["position"] = {topic: list(way) for topic, way in read.position.items()}
    if read.keep:
        control["keep"] = True
    return control


def _position(rows: Sequence[Any]) -> Position:
    return {topic.decode(): (int(at), int(previous)) for topic, at, previous in rows}


def _ack_control(ack: Ack) -> tuple[dict[str, Any], list[str]]:
    """The control object of the script; texts travel beside it, as they are."""
    payloads: list[str] = []

    def text(value: str) -> int:
        payloads.append(value)
        return len(payloads)

    control: dict[str, Any] = {
        "cursor": {topic: list(way) for topic, way in ack.cursor.items()},
        "done": ack.done,
        "retry": ack.retry,
        "attempts": ack.attempts,
        "forget": ack.forget,
        "park": [[key, text(why)] for key, why in ack.park],
        "counts": ack.counts,
        "journal": [[outcome, text(entry)] for outcome, entry in ack.journal],
        "failed_calls": ack.failed_calls,
    }
    if ack.delivered:
        control["delivered"] = True
    if ack.failure is not None:
        control["failure"] = [ack.failure[0], text(ack.failure[1])]
    for name in ("ahead", "disable", "pace", "probation", "queue", "rest_ms", "retry_rest_ms"):
        value = getattr(ack, "pace_ms" if name == "pace" else name)
        if value is not None:
            control[name] = value
    if ack.read is not None:
        control["read"] = _reading(ack.read)
    return control, payloads
