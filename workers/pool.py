"""Celery's pool of threads, which when it stops in order gives back the messages that it hasn't
begun.

Celery's own pool drops them, and they come back only when all running tasks have ended. Until then,
or until its lease runs out, their lane would wait.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from celery import concurrency
from celery.concurrency.thread import TaskPool

from app.platform import log
from app.platform.errors import Unavailable
from app.platform.redis import store_errors
from workers.container import system
from workers.transport import Payload, put_back

_log = log.get_logger()

# Typed loosely: celery-types has other signatures for some of its methods than Celery.
_TaskPool: Any = TaskPool


class Pool(_TaskPool):  # type: ignore[misc]
    """See `install`."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._unstarted: list[Payload] = []

    def on_apply(
        self, target: Any, args: Any = None, kwargs: Any = None, callback: Any = None, **options: Any
    ) -> Any:
        result = super().on_apply(target, args, kwargs, callback, **options)
        request = getattr(callback, "__self__", None)  # the callback is its `on_success`
        result.f.add_done_callback(partial(self._note, getattr(request, "message", None)))
        return result

    def _note(self, message: Any, future: Any) -> None:
        payload = getattr(message, "_raw", None)
        if future.cancelled() and isinstance(payload, Payload):
            self._unstarted.append(payload)

    def on_stop(self) -> None:
        self.executor.shutdown(wait=False, cancel_futures=True)
        try:
            with store_errors():
                put_back(system().redis, self._unstarted)
        except Unavailable as error:
            _log.warning(
                "messages not put back; their leases will run out",
                count=len(self._unstarted),
                error=error.detail,
            )
        super().on_stop()  # waits for the running tasks


def install() -> None:
    """Make Celery use this pool for `threads`."""
    aliases: dict[str, str] = vars(concurrency)["ALIASES"]
    aliases["threads"] = f"{__name__}:{Pool.__qualname__}"
