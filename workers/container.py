"""The services of a worker process. Its container is made when the first task needs it, not when a
module is imported."""

from __future__ import annotations

import threading
from functools import cache

from app.packages import build
from app.platform.container import Container
from app.settings import Settings

_lock = threading.Lock()


def system() -> Container:
    """This process's one container: `system()[RequestService]`."""
    with _lock:  # a hundred threads may ask at once
        return _container()


@cache
def _container() -> Container:
    return build(Settings.load())
