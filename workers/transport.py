"""Messages fetched some at a time: kombu's Redis transport pops one with BRPOP, ours pops a few
with BLMPOP.

Each BRPOP costs the worker a turn of its loop, and the server a write that waits for the disk: a
tenth and more of all that an update costs. The prefetch count bounds the messages that a worker
holds, as before. Requests whose message dies with a worker come back when their lease runs out. A
worker that stops in order withdraws its BLMPOP, and puts back the messages that were popped for it,
and those that it hasn't begun.
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

# How many messages are fetched at once under a backlog: few, so that a worker doesn't take what
# another one could run.
AT_ONCE: Final = 8
_UNBLOCK_MS: Final = 10_000  # the answer comes at once; if the worker dies in between, the key expires
_SHOWN: Final = 200  # characters of a message that can't be read
_log = log.get_logger()

# Typed loosely: kombu ships no types for its transports.
_Channel: Any = redis.Channel
_Transport: Any = redis.Transport


class Payload(dict[str, Any]):
    """A message as kombu takes it. It keeps its text and its list, so that it can be put back as it
    was."""

    def __init__(self, text: bytes, key: str) -> None:
        super().__init__(json.loads(text))
        self.text = text
        self.key = key


class Channel(_Channel):  # type: ignore[misc]
    """Replaces sending BRPOP and reading its answer; everything around that (polling, pausing,
    errors) stays kombu's."""

    # When a channel closes, kombu would put back messages that aren't acknowledged, or write them
    # to a file where it can't. After a lost connection those messages are still run here. A worker
    # that stops in order has put its messages back before (workers/pool.py).
    do_restore = False

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        # A list of this channel's own, which BLMPOP waits for too: a push to it ends a BLMPOP that
        # waits. CLIENT UNBLOCK would need rights of its own.
        self._unblock = f"unblock:{uuid.uuid4().hex}"

    def _brpop_start(self, timeout: float | None = None) -> None:
        queues = self._queue_cycle.consume(len(self.active_queues))
        if not queues:
            return
        names = [self._q_for_pri(queue, step) for step in self.priority_steps for queue in queues]
        keys = [f"{self.global_keyprefix}{name}" for name in (*names, self._unblock)]
        free = self.qos.can_consume_max_estimate()  # None: no bound is set
        count = AT_ONCE if free is None else max(1, min(AT_ONCE, free))
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
        """None: it is no message. It is logged and dropped, and the messages after it are
        delivered."""
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
            # The next turn then connects anew.
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
        """Withdraw the BLMPOP that waits: nobody would read the message that it pops."""
        if not self._in_poll:
            return
        with self.conn_or_acquire() as client:
            with client.pipeline() as pipe:
                pipe.lpush(self._unblock, "")
                pipe.pexpire(self._unblock, _UNBLOCK_MS)
                pipe.execute()
            try:
                key, items = self._answer()
            except Empty:  # its time-out had passed
                return
            finally:
                client.delete(self._unblock)
        if not key.endswith(self._unblock):
            self._put_back(key, items)

    def _put_back(self, key: str, items: Sequence[bytes]) -> None:
        """Put them where they are fetched next, in their order."""
        if items:
            with self.conn_or_acquire() as client:
                client.rpush(key.removeprefix(self.global_keyprefix), *reversed(items))

    def _restore(self, message: Any, leftmost: bool = False) -> None:  # noqa: FBT001 - kombu's signature
        """A message that a consumer rejects goes back as it came."""
        payload = message._raw  # noqa: SLF001 - as kombu's own does
        if isinstance(payload, Payload):
            self._put_back(payload.key, [payload.text])
        else:
            super()._restore(message, leftmost)


def put_back(client: Any, payloads: Iterable[Payload]) -> None:
    """Put messages that were fetched and not begun where they are fetched next, in their order."""
    by_key: dict[str, list[bytes]] = {}
    for payload in payloads:
        by_key.setdefault(payload.key, []).append(payload.text)
    for key, texts in by_key.items():
        client.rpush(key, *reversed(texts))


class BatchTransport(_Transport):  # type: ignore[misc]
    """See `install`."""

    Channel = Channel


def install() -> None:
    """Make every `redis…://` URL of this process use this transport."""
    for scheme in ("redis", "rediss"):
        TRANSPORT_ALIASES[scheme] = f"{__name__}:{BatchTransport.__qualname__}"
