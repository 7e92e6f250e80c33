"""Trouble with a connection that a library logs again and again: one line a minute of each kind, with what was left out.

While the store is away each worker tries to connect, and beat to send seven ticks a second, each with its traceback: two
megabytes a minute that say the same.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from typing import Final

from app.platform.errors import Unavailable

EVERY_S: Final = 60.0
KEPT: Final = 200  # kinds; of more than that the one seen longest ago is forgotten
_LIBRARIES: Final = frozenset(
    {"redis", "kombu", "amqp"}
)  # whose errors mean a connection; known by name, not imported
_DEEPEST: Final = 10  # causes of an error that are looked at

Kind = tuple[str, str, int, str]


class Repeats(logging.Filter):
    """For a handler. What is let by after others were left out says how many, as `left_out`."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._clock = clock
        self._seen: OrderedDict[Kind, tuple[float, int]] = OrderedDict()
        self._lock = threading.Lock()

    def filter(self, record: logging.LogRecord) -> bool:
        kind = _kind(record)
        if kind is None:
            return True
        with self._lock:
            told, left_out = self._seen.pop(kind, (float("-inf"), 0))
            now = self._clock()
            if now - told < EVERY_S:
                self._seen[kind] = (told, left_out + 1)
                return False
            self._seen[kind] = (now, 0)
            while len(self._seen) > KEPT:
                self._seen.popitem(last=False)
        if left_out:
            record.left_out = left_out
        return True


def _kind(record: logging.LogRecord) -> Kind | None:
    """None: no trouble with a connection. By the place in the code: texts name times and numbers of tries."""
    if record.levelno < logging.WARNING:
        return None
    trouble = next((error for error in _errors(record) if _of_connection(error)), None)
    if trouble is None:
        return None
    return (record.name, record.pathname, record.lineno, type(trouble).__qualname__)


def _errors(record: logging.LogRecord) -> Iterator[BaseException]:
    """What it was raised for, and what was raised by that, the nearest first."""
    given = [record.exc_info[1]] if record.exc_info else []
    args = record.args.values() if isinstance(record.args, dict) else record.args or ()
    for error in (*given, *args):
        for _ in range(_DEEPEST):
            if not isinstance(error, BaseException):
                break
            yield error
            error = error.__cause__ or error.__context__  # noqa: PLW2901 - the next of the chain


def _of_connection(error: BaseException) -> bool:
    if isinstance(error, (OSError, Unavailable)):
        return True
    return any(kind.__module__.partition(".")[0] in _LIBRARIES for kind in type(error).__mro__)
