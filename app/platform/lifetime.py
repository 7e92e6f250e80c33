"""Whether this process is about to end."""

from __future__ import annotations

from collections.abc import Callable


class Lifetime:
    """What has no end of its own, such as a stream of events, asks now and then, and ends with its process."""

    def __init__(self) -> None:
        self._asked: Callable[[], bool] = lambda: False

    def ends_when(self, asked: Callable[[], bool]) -> None:
        """Whoever runs the process says how to find out."""
        self._asked = asked

    def is_ending(self) -> bool:
        return self._asked()
