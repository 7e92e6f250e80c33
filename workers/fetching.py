"""Messages fetched some at a time: kombu's Redis transport asks for one with BRPOP, ours for a few with BLMPOP.

Each question costs the worker a turn of its loop, and the server a write that waits for the disk: a tenth and more of all
that an update costs. What a worker holds is bounded by its prefetch count as before; what dies with it, a lease gives back.
"""

from __future__ import annotations

import json
from queue import Empty
from time import monotonic
from typing import Any, Final

from kombu.transport import TRANSPORT_ALIASES, redis
from kombu.utils.encoding import bytes_to_str

# Under a backlog. Few enough that one worker doesn't take what another one is waiting for.
AT_ONCE: Final = 8

# Typed loosely: kombu ships no types for its transports.
_Channel: Any = redis.Channel
_Transport: Any = redis.Transport


class Channel(_Channel):  # type: ignore[misc]
    """The two halves of kombu's own asking; everything round them (polling, pausing, errors) stays kombu's."""

    def _brpop_start(self, timeout: float | None = None) -> None:
        queues = self._queue_cycle.consume(len(self.active_queues))
        if not queues:
            return
        keys = [
            f"{self.global_keyprefix}{self._q_for_pri(queue, step)}"
            for step in self.priority_steps
            for queue in queues
        ]
        room = self.qos.can_consume_max_estimate()  # None: no bound is set
        count = AT_ONCE if room is None else max(1, min(AT_ONCE, room))
        self._in_poll = self.client.connection
        self._brpop_sent_at = monotonic()
        wait = (self.brpop_timeout if timeout is None else timeout) or 0
        self.client.connection.send_command("BLMPOP", wait, len(keys), *keys, "RIGHT", "COUNT", count)

    def _brpop_read(self, **options: Any) -> bool:
        try:
            try:
                answer = self.client.parse_response(self.client.connection, "BLMPOP", **options)
            except self.connection_errors:
                # So that the next turn connects anew.
                self.client.connection.disconnect()
                raise
            if not answer:
                raise Empty
            key, items = answer
            queue = bytes_to_str(key).removeprefix(self.global_keyprefix).rsplit(self.sep, 1)[0]
            self._queue_cycle.rotate(queue)
            for item in items:
                self.connection._deliver(json.loads(item), queue)  # noqa: SLF001 - as kombu's own does
            return True
        finally:
            self._in_poll = None
            self._flush_brpop_reauth()


class Transport(_Transport):  # type: ignore[misc]
    """See `install`."""

    Channel = Channel


def install() -> None:
    """Let it be meant by every `redis…://` URL of this process."""
    for scheme in ("redis", "rediss"):
        TRANSPORT_ALIASES[scheme] = f"{__name__}:{Transport.__qualname__}"
