"""Beat, which also reports that it sends, and starts the canaries: `beat_scheduler` in
celeryconfig.py."""

from __future__ import annotations

import os
import socket
import time
from typing import Any, Final

from celery.beat import Scheduler

from app.platform import log
from app.platform.dispatch import Envelope
from app.platform.errors import Unavailable
from app.platform.ticks import is_waiting
from app.watch.canaries import Canaries
from workers.container import system

PULSE_S: Final = 2.0
_log = log.get_logger()

# Typed loosely: celery-types has other signatures for some of its methods than Celery.
_Scheduler: Any = Scheduler


class WatchedScheduler(_Scheduler):  # type: ignore[misc]
    """Reports each few seconds that it has *sent* something. A scheduler whose clock was set back
    sends nothing, though its loop runs."""

    def __init__(self, *args: Any, **options: Any) -> None:
        self._sent = False
        self._looked = 0.0
        self._name = f"beat@{socket.gethostname()}"
        super().__init__(*args, **options)

    def apply_async(self, entry: Any, *args: Any, **options: Any) -> Any:
        """Send a tick, unless its last message still waits. That counts as sent too: beat works, it
        is the worker that doesn't."""
        found = system()
        queue_key = Envelope(found.settings.tenant).queue_key("ticks")
        result = None
        if not is_waiting(found.redis, queue_key, entry.task):
            result = super().apply_async(entry, *args, **options)
        self._sent = True
        return result

    def tick(self, *args: Any, **options: Any) -> Any:
        pause = super().tick(*args, **options)
        if time.monotonic() - self._looked >= PULSE_S:
            self._looked = time.monotonic()
            self._watch()
        return pause

    def _watch(self) -> None:
        try:
            if self._sent:
                system()[Canaries].pulse(self._name, os.getpid())
                self._sent = False
            system()[Canaries].round()
        except Unavailable as error:
            # Beat's own messages fail too then, and are logged as errors.
            _log.debug("no pulse", error=error.detail)

    def close(self) -> None:
        super().close()
        try:
            system()[Canaries].withdraw(self._name)
        except Unavailable as error:
            _log.warning("not withdrawn from the watch", error=error.detail)
