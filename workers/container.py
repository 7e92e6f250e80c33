"""The one System of a worker process, built when the first task needs it."""

from __future__ import annotations

import threading
from typing import Final

from app.settings import Settings
from app.system import System, build


class _Lazy:
    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._built: System | None = None

    def __call__(self) -> System:
        if self._built is None:
            with self._lock:  # a hundred threads may ask at once
                if self._built is None:
                    self._built = build(Settings.load())
        return self._built


system: Final = _Lazy()
