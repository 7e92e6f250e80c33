"""Messages fetched some at a time: kombu's Redis transport asks for one with BRPOP, ours for a few with BLMPOP.

Each question costs the worker a turn of its loop, and the server a write that waits for the disk: a tenth and more of all
that an update costs. What a worker holds is bounded by its prefetch count as before; what dies with it, a lease gives back.
A worker that stops in order takes its question back, and puts back what was popped for it and what it hasn't begun.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterable, Sequence
from queue import Empty
from time import monotonic
from typing import Any, Final

from kombu.transport import TRANSPORT_ALIASES, redis
from kombu.utils.encoding import bytes_to_str

from app.platform import log

# Under a backlog. Few enough that one worker doesn't take what another one is waiting for.
AT_ONCE: Final = 8
_UNBLOCK_MS: Final = (
    10_000  # the answer comes at once; should the worker die in between, the key goes by itself
)
_SHOWN: Final = 200  # characters of a message that can't be read
_log = log.get_logger()

# Typed loosely: kombu ships no types for its transports.
_Channel: Any = redis.Channel
_Transport: Any = redis.Transport


class Payload(dict[str, Any]):
    """A message as kombu takes it, which remembers its text, so that it can be put back as it was, and its list."""

    def __init__(self, text: bytes, key: str) -> None:
        super().__init__(json.loads(text))
        self.text = text
        self.key = key


class Channel(_Channel):  # type: ignore[misc]
    """The two halves of kombu's own asking; everything round them (polling, pausing, errors) stays kombu's."""

    # At its end kombu would put back what isn't acknowledged, though after a lost connection it is still run here, and write it
    # to a file where it can't. Who stops in order has put back the rest before (workers/pool.py).
    do_restore = False

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        # A list of its own, asked for along with the queues: who pushes there ends a question that waits, without the
        # rights that CLIENT UNBLOCK needs.
        self._unblock = f"unblock:{uuid.uuid4().hex}"

    def _brpop_start(self, timeout: float | None = None) -> None:
        queues = self._queue_cycle.consume(len(self.active_queues))
        if not queues:
            return
        names = [self._q_for_pri(queue, step) for step in self.priority_steps for queue in queues]
        keys = [f"{self.global_keyprefix}{name}" for name in (*names, self._unblock)]
        room = self.qos.can_consume_max_estimate()  # None: no bound is set
        count = AT_ONCE if room is None else max(1, min(AT_ONCE, room))
        self._in_poll = self.client.connection
        self._brpop_sent_at = monotonic()
        wait = (self.brpop_timeout if timeout is None else timeout) or 0
        self.client.connection.send_command("BLMPOP", wait, len(keys), *keys, "RIGHT", "COUNT", count)

    def _brpop_read(self, **options: Any) -> bool:
        key, items = self._answer(**options)
        queue = key.removeprefix(self.global_keyprefix).rsplit(self.sep, 1)[0]
        self._queue_cycle.rotate(queue)
        for number, text in enumerate(items, start=1):
            payload = self._read(text, key)
            if payload is None:
                continue
            try:
                self.connection._deliver(payload, queue)  # noqa: SLF001 - as kombu's own does
            except BaseException:
                self._put_back(key, items[number:])
                raise
        return True

    def _read(self, text: bytes, key: str) -> Payload | None:
        """None: it is no message. That is said in the log, and others don't suffer by it."""
        try:
            payload = Payload(text, key)
            properties = payload["properties"]
            properties["delivery_tag"].encode()
            self.decode_body(payload["body"].encode(), properties.get("body_encoding"))
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            begins = text[:_SHOWN].decode(errors="replace")
            _log.error("a message can't be read and is dropped", queue=key, error=repr(error), begins=begins)
            return None
        return payload

    def _answer(self, **options: Any) -> tuple[str, Sequence[bytes]]:
        """The answer to BLMPOP: from which list, and what, the oldest first. Raises Empty."""
        try:
            answer = self.client.parse_response(self.client.connection, "BLMPOP", **options)
        except self.connection_errors:
            # So that the next turn connects anew.
            self.client.connection.disconnect()
            raise
        finally:
            self._in_poll = None
            self._flush_brpop_reauth()
        if not answer:
            raise Empty
        return bytes_to_str(answer[0]), answer[1]

    def _basic_cancel(self, consumer_tag: str) -> Any:
        answer = super()._basic_cancel(consumer_tag)
        if not self.active_queues:
            self._withdraw()
        return answer

    def _withdraw(self) -> None:
        """Take the question back: a message that came now would be popped for somebody who doesn't look any more."""
        if not self._in_poll:
            return
        with self.conn_or_acquire() as client:
            with client.pipeline() as pipe:
                pipe.lpush(self._unblock, "")
                pipe.pexpire(self._unblock, _UNBLOCK_MS)
                pipe.execute()
            try:
                key, items = self._answer()
            except Empty:  # its time had run out by itself
                return
            finally:
                client.delete(self._unblock)
        if not key.endswith(self._unblock):
            self._put_back(key, items)

    def _put_back(self, key: str, items: Sequence[bytes]) -> None:
        """Where they would be taken next, in their order."""
        if items:
            with self.conn_or_acquire() as client:
                client.rpush(key.removeprefix(self.global_keyprefix), *reversed(items))

    def _restore(self, message: Any, leftmost: bool = False) -> None:  # noqa: FBT001 - kombu's signature
        """One that a consumer doesn't want goes back as it came."""
        payload = message._raw  # noqa: SLF001 - as kombu's own does
        if isinstance(payload, Payload):
            self._put_back(payload.key, [payload.text])
        else:
            super()._restore(message, leftmost)


def put_back(client: Any, payloads: Iterable[Payload]) -> None:
    """Messages that were fetched and not begun go back to where they would be taken next, in their order."""
    by_key: dict[str, list[bytes]] = {}
    for payload in payloads:
        by_key.setdefault(payload.key, []).append(payload.text)
    for key, texts in by_key.items():
        client.rpush(key, *reversed(texts))


class BatchTransport(_Transport):  # type: ignore[misc]
    """See `install`."""

    Channel = Channel


def install() -> None:
    """Let it be meant by every `redis…://` URL of this process."""
    for scheme in ("redis", "rediss"):
        TRANSPORT_ALIASES[scheme] = f"{__name__}:{BatchTransport.__qualname__}"
