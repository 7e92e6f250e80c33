"""Canaries: messages whose task does nothing but record when, and in which process, it was run.

One goes into each queue and is run by whoever takes it: it measures the time from wake-up to run, and shows a queue that
nobody consumes. One goes to each worker process by name, through the same connection, consumer and pool as its work, so
that a process that is connected and runs nothing (frozen, deadlocked, no longer consuming) can't hide behind the others.
Beat sends them itself, not a task: else nobody would watch the workers that run the tasks of beat. At most one of a target
is in its queue.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from typing import Any, Final, TypeVar

from redis import Redis

from app.platform.dispatch import Envelope, direct_queue
from app.platform.keys import Keys
from app.platform.packages import Queue
from app.platform.redis import store_errors, typed
from app.platform.ticks import TickLease
from app.settings import Settings
from app.watch.evaluation import Report, judge, worker_rounds
from app.watch.keys import WatchKeys
from app.watch.model import ROUND_S, Pulse, Ran, Sent, WatchReading, Worker

# A canary that was popped by a process that then died is gone: after so many rounds another one is sent.
_RESEND_AFTER: Final = 2
# A process that was silent for a quarter of an hour won't come back: its machine is gone, or its name has changed.
FORGET_S: Final = 900
T = TypeVar("T")


class Canaries:
    """All of the watch's reading and writing. Methods raise `Unavailable` while the store is away or full.

    `attempt_s`: how long one task may take (MEDIAOPS_AVOS_TIMEOUT_S). `most_live`: messages in the queue `live`
    (MEDIAOPS_AVOS_MAX_IN_FLIGHT), the canary's included.
    """

    def __init__(
        self,
        client: Redis,
        keys: Keys,
        envelope: Envelope,
        queues: Sequence[Queue],
        *,
        attempt_s: float = 10,
        most_live: int = 200,
    ) -> None:
        self._client = typed(client)
        self._keys = WatchKeys.of(keys)
        self._envelope = envelope
        self._queues = queues
        self._lease = TickLease(client, keys)
        self._rounds = worker_rounds(attempt_s)
        self._most_live = most_live

    # Worker processes and beats report themselves ------------------------------------------------------------------------

    def enrol(self, name: str, pid: int, queues: tuple[str, ...]) -> None:
        """A worker process consumes from now on; what was known of one of this name is forgotten."""
        worker = Worker(name, pid, queues, self._now_ms())
        pipe = self._pipeline()
        self._forget(pipe, name)
        pipe.hset(self._key("workers"), name, worker.encode())
        self._execute(pipe)

    def withdraw(self, name: str) -> None:
        """A worker process, or a beat, ends in order."""
        pipe = self._pipeline()
        self._forget(pipe, name)
        pipe.hdel(self._key("beats"), name)
        self._execute(pipe)

    def pulse(self, name: str, pid: int) -> None:
        """A beat process has sent something since its last pulse."""
        with store_errors():
            self._client.hset(self._key("beats"), name, Pulse(self._now_ms(), pid).encode())

    def ran(self, target: str, sent_ms: int, by: str) -> None:
        """A canary has been run, by the process of this name."""
        with store_errors():
            self._client.hset(self._key("ran"), target, Ran(sent_ms, self._now_ms(), by).encode())

    # Rounds -----------------------------------------------------------------------------------------------------------

    def round(self) -> None:
        """Send every target a canary, or count that the last one waits. Several beats make one round an interval."""
        self._lease.once("watch", ROUND_S, self._round)

    def _round(self) -> None:
        found = self.read()
        targets = {queue.name: queue.name for queue in self._queues} | {
            name: direct_queue(name) for name in found.workers
        }
        waiting = {target: sent for target in targets if (sent := found.outstanding(target))}
        queued = self._queued(targets, waiting)
        full = self._full()
        pipe = self._pipeline()
        for target, queue in targets.items():
            sent = waiting.get(target)
            if sent is None:
                sent, put = Sent(found.now_ms), True
            else:
                sent = Sent(sent.at_ms, sent.missed + 1)
                put = sent.missed >= _RESEND_AFTER and target not in queued
            pipe.hset(self._key("sent"), target, sent.encode())
            if put and queue not in full:
                pipe.lpush(self._envelope.queue_key(queue), self._envelope.canary(queue, target, sent.at_ms))
            if target in found.workers and sent.missed * ROUND_S > FORGET_S:
                self._forget(pipe, target)
        for name, pulse in found.beats.items():
            if found.now_ms - pulse.at_ms > FORGET_S * 1000:
                pipe.hdel(self._key("beats"), name)
        self._execute(pipe)

    def _full(self) -> set[str]:
        """Queues that are as long as they may get. Their canary is sent later."""
        with store_errors():
            length = self._client.llen(self._envelope.queue_key("live"))
        return {"live"} if length >= self._most_live else set()

    def _queued(self, targets: dict[str, str], waiting: dict[str, Sent]) -> set[str]:
        """Whose canary is still in its queue."""
        pipe = self._pipeline()
        for target, sent in waiting.items():
            queue = targets[target]
            pipe.lpos(self._envelope.queue_key(queue), self._envelope.canary(queue, target, sent.at_ms))
        positions = self._execute(pipe) if waiting else []
        return {target for target, at in zip(waiting, positions, strict=True) if at is not None}

    def _forget(self, pipe: Any, name: str) -> None:
        for part in ("workers", "sent", "ran"):
            pipe.hdel(self._key(part), name)
        pipe.delete(self._envelope.queue_key(direct_queue(name)))

    # Reading ----------------------------------------------------------------------------------------------------------

    def read(self) -> WatchReading:
        """In one round trip."""
        pipe = self._client.pipeline(transaction=False)
        pipe.time()
        for part in ("workers", "sent", "ran", "beats"):
            pipe.hgetall(self._key(part))
        (seconds, micros), workers, sent, ran, beats = self._execute(pipe)
        return WatchReading(
            now_ms=int(seconds) * 1000 + int(micros) // 1000,
            workers=_decoded(workers, Worker.decode),
            sent=_decoded(sent, Sent.decode),
            ran=_decoded(ran, Ran.decode),
            beats=_decoded(beats, Pulse.decode),
        )

    def report(self) -> Report:
        """What it means."""
        return judge(self.read(), self._queues, rounds=self._rounds)

    def check_writes(self) -> None:
        """Raises `Unavailable` where the store takes no writes: then a silent process may be well."""
        with store_errors():
            self._client.set(self._key("writable"), "1", px=1000)

    # ------------------------------------------------------------------------------------------------------------------

    def _key(self, part: str) -> str:
        return self._keys.watch(part)

    def _now_ms(self) -> int:
        with store_errors():
            seconds, micros = self._client.time()
        return int(seconds) * 1000 + int(micros) // 1000

    def _pipeline(self) -> Any:
        return self._client.pipeline(transaction=True)

    def _execute(self, pipe: Any) -> list[Any]:
        with store_errors():
            answers: list[Any] = pipe.execute()
        return answers


def watch(settings: Settings, client: Redis, queues: Sequence[Queue]) -> Canaries:
    """The watch of the installation that these settings are of."""
    return Canaries(
        client,
        Keys(settings.tenant),
        Envelope(settings.tenant),
        queues,
        attempt_s=settings.avos_timeout_s,
        most_live=settings.avos_max_in_flight,
    )


def _decoded(raw: dict[bytes, bytes], decode: Callable[[bytes], T]) -> dict[str, T]:
    found = {}
    for name, value in raw.items():
        with contextlib.suppress(ValueError, KeyError):  # written by a release with another form
            found[name.decode()] = decode(value)
    return found
