"""The worker's side of a consumer in Redis: claim, acknowledge and renew, each one script of `lua/`.

All methods raise `Unavailable` while the store is away. An acknowledgement whose outcome is unknown may be
repeated: its number keeps it from counting twice.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from redis import Redis

from app.events.catalogue import entity_of
from app.events.consumers.acknowledgement import Ack
from app.events.consumers.model import Acked, Claimed, Item, Position, ReadLimits, replay_id
from app.events.log import SCRIPTS as LOG_SCRIPTS
from app.events.sinks.base import Config, Delivery
from app.platform.dispatch import TEMPLATES
from app.platform.encryption import Encryption
from app.platform.keys import Keys
from app.platform.scripts import ScriptFolder, Scripts, templates, unique

SCRIPTS: Final = Path(__file__).parent / "lua"
LEASE_MS: Final = 8_000  # renewed every other second while the process lives, see leases.LeaseRenewer


# What claim.lua answers after "ok".
_CLAIM: Final = (
    "now", "owner", "revision", "ordered", "slots", "failures", "failingSince", "pace", "queue", "probation",
    "waiting", "ahead", "items", "position", "more", "sink", "secrets",
)  # fmt: skip
Control = Mapping[str, Any]  # of a script


def consumer_folder(*, flags: bool = True, messages: Mapping[str, str] = TEMPLATES) -> ScriptFolder:
    """The scripts on disk. `messages` replaces the hand-built messages in tests."""
    return ScriptFolder(SCRIPTS, shared=(LOG_SCRIPTS,), made=templates(messages), flags=flags)


class ConsumerScripts(Scripts):
    """Runs them. `log_length`: as the event log has it; `now_ms` replaces the server's clock in tests."""

    def __init__(
        self,
        client: Redis,
        keys: Keys,
        folder: ScriptFolder,
        *,
        log_length: int = 1_000_000,
        now_ms: Callable[[], int] | None = None,
    ) -> None:
        common = {"lease_ms": LEASE_MS, "log_length": log_length}
        super().__init__(client, keys, folder, common=common, now_ms=now_ms)


class ConsumerClaims:
    """See the module."""

    lease_s: Final = LEASE_MS / 1000

    def __init__(self, scripts: ConsumerScripts, encryption: Encryption) -> None:
        self._scripts = scripts
        self._encryption = encryption

    def opened(self, secrets: bytes) -> Config:
        """The secrets of a claimed consumer. Raises Unreadable."""
        return opened(self._encryption, secrets)

    def claim(self, consumer_id: str, known: int, read: ReadLimits) -> Claimed | None:
        """Take a consumer that is awake, with the first of what there is; None: there is nothing, or it
        isn't to be had.

        `known`: the revision whose configuration the caller has, 0 for none.
        """
        token = unique()
        control = {"id": consumer_id, "token": token, "known": known, "read": _reading(read)}
        word, *values = self._scripts.run("claim", control)
        if word != b"ok":
            return None
        found = dict(zip(_CLAIM, values, strict=True))
        owner = found["owner"].decode()
        return Claimed(
            id=consumer_id,
            owner=owner,
            token=token,
            revision=int(found["revision"]),
            at_ms=int(found["now"]),
            ordered=bool(found["ordered"]),
            slots=int(found["slots"]),
            failures=int(found["failures"]),
            failing_since_ms=int(found["failingSince"]) or None,
            pace_ms=float(found["pace"]),
            queue=found["queue"].decode(),
            probation=int(found["probation"]),
            waiting=int(found["waiting"]),
            ahead=frozenset(key.decode() for key in found["ahead"]),
            items=self._items(found["items"], replay_id(consumer_id, owner)),
            position=_position(found["position"]),
            more=bool(found["more"]),
            config=(json.loads(found["sink"]), found["secrets"]) if found["sink"] else None,
        )

    def ack(self, claimed: Claimed, number: int, ack: Ack) -> Acked:
        """Write down what became of calls; `number` counts acknowledgements from 1. `going_on` only where
        `ack.read` was asked for and there is something."""
        control, payloads = _ack_control(ack)
        whose = {"id": claimed.id, "token": claimed.token, "turn": number, "revision": claimed.revision}
        word, *rest = self._scripts.run("ack", {**control, **whose}, *payloads)
        if word != b"ok":
            return Acked(going_on=False, word=word.decode())
        items, position, _, waiting = rest
        found = self._items(items, claimed.replay_id)
        return Acked(True, "ok", found, _position(position), int(waiting))

    def renew(self, leases: Sequence[tuple[str, str]]) -> list[bool]:
        """Renew leases, (consumer, token) each; which of them are still this worker's."""
        return [bool(one) for one in self._scripts.run("renew", {"leases": [list(pair) for pair in leases]})]

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
            tenant=self._scripts.keys.prefix[:-1],
            event=event,
            at_ms=int(at),
            attempt=int(count or 0) + 1,
            redelivery=place.rpartition("|")[2] or replay,
        )
        return Item(delivery, place, int(first) if first else None)


def opened(encryption: Encryption, secrets: bytes) -> Config:
    """A consumer's secrets, as they are stored. Raises Unreadable."""
    found: Config = json.loads(encryption.decrypt(secrets.decode()))
    return found


def _reading(read: ReadLimits) -> Control:
    where = {} if read.position is None else {"position": _listed(read.position)}
    keep = {"keep": True} if read.keep else {}
    limits = {"limit": read.limit, "max_bytes": read.max_bytes, "open_limit": read.open_limit}
    return {**limits, **where, **keep}


def _position(rows: Sequence[Any]) -> Position:
    return {topic.decode(): (int(at), int(previous)) for topic, at, previous in rows}


def _listed(position: Position) -> Mapping[str, list[int]]:
    return {topic: list(place) for topic, place in position.items()}


def _ack_control(ack: Ack) -> tuple[Control, list[str]]:
    """The control object of the script; texts travel beside it as they are, and it holds their numbers."""
    calls = ack.calls
    payloads = [text for _, text in (*calls.park, *calls.journal)]
    if calls.failure:
        payloads.append(calls.failure[1])
    journal_at = len(calls.park) + 1
    control: Control = {
        "cursor": _listed(ack.place.cursor),
        "ahead": ack.place.ahead,
        "done": calls.done,
        "retry": calls.retry,
        "attempts": calls.attempts,
        "forget": calls.forget,
        "park": [[key, number] for number, (key, _) in enumerate(calls.park, 1)],
        "counts": calls.counts,
        "journal": [[outcome, number] for number, (outcome, _) in enumerate(calls.journal, journal_at)],
        "delivered": calls.delivered or None,
        "failure": [calls.failure[0], len(payloads)] if calls.failure else None,
        "failed_calls": calls.failed_calls,
        "disable": ack.stop.disable,
        "rest_ms": ack.stop.rest_ms,
        "retry_rest_ms": calls.retry_rest_ms,
        "pace": ack.pace_ms,
        "probation": ack.probation,
        "queue": ack.queue,
        "read": None if ack.read is None else _reading(ack.read),
    }
    return {name: value for name, value in control.items() if value is not None}, payloads
