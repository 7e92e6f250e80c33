"""Waiting on a condition; tests never sleep for a fixed time."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def until(condition: Callable[[], T], *, timeout_s: float = 20, what: str = "the condition") -> T:
    """Wait until `condition` answers something true, and return it. Raises AssertionError with its last answer."""
    deadline = time.monotonic() + timeout_s
    while True:
        answer = condition()
        if answer:
            return answer
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {timeout_s:g} s for {what}; the last answer was {answer!r}")
        time.sleep(0.01)
