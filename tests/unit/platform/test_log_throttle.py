"""Connection trouble that comes again and again is logged once a minute, everything else each time."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator
from typing import Any

import kombu.exceptions
import pytest
import redis.exceptions
import structlog

from app.platform.errors import Unavailable
from app.platform.log import configure
from app.platform.log_throttle import EVERY_S, KEPT, Repeats

library = logging.getLogger("some.library")


class Lines:
    """What the root logger has written, with a clock that the test moves."""

    def __init__(self) -> None:
        self.stream = io.StringIO()
        self.now = 0.0
        configure("INFO", [], self.stream)
        (handler,) = logging.getLogger().handlers
        handler.filters[:] = [Repeats(lambda: self.now)]

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return iter([json.loads(line) for line in self.stream.getvalue().splitlines()])

    def __len__(self) -> int:
        return sum(1 for _ in self)


@pytest.fixture
def lines() -> Iterator[Lines]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield Lines()
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.captureWarnings(False)
    structlog.reset_defaults()


def fail(error: Exception, cause: Exception | None = None) -> None:
    try:
        raise error from cause
    except type(error) as caught:
        library.error("try %d failed: %s", 7, caught, exc_info=True)


@pytest.mark.parametrize(
    "error",
    [
        ConnectionRefusedError(),
        TimeoutError(),
        redis.exceptions.ConnectionError(),
        redis.exceptions.TimeoutError(),
        kombu.exceptions.OperationalError(),
        Unavailable("The store is not reachable."),
    ],
    ids=lambda error: f"{type(error).__module__}.{type(error).__name__}",
)
def test_an_outage_is_a_line_a_minute_and_says_what_was_left_out(lines: Lines, error: Exception) -> None:
    for _ in range(100):
        fail(error)
        lines.now += EVERY_S / 50
    first, second = lines
    assert "left_out" not in first
    assert "Traceback" in first["exception"]
    assert second["left_out"] == 49


def test_what_stands_behind_an_error_counts(lines: Lines) -> None:
    for _ in range(3):
        fail(RuntimeError("it broke off"), redis.exceptions.ConnectionError())
    assert len(lines) == 1


def test_an_error_that_is_only_named_in_the_text_counts(lines: Lines) -> None:
    for number in range(3):
        library.warning("cannot connect: %s, trying again in %d", ConnectionRefusedError(), number)
    assert len(lines) == 1


def test_two_places_and_two_kinds_are_not_one(lines: Lines) -> None:
    fail(ConnectionRefusedError())
    fail(TimeoutError())
    library.error("elsewhere: %s", TimeoutError())
    assert len(lines) == 3


def test_everything_else_is_logged_each_time(lines: Lines) -> None:
    for _ in range(3):
        fail(ValueError("a fault of ours"))
        library.warning("a disk is nearly full")
        library.info("no trouble: %s", ConnectionRefusedError())
    assert len(lines) == 9


def test_what_is_remembered_is_bounded() -> None:
    repeats = Repeats()
    for number in range(10 * KEPT):
        args = (ConnectionRefusedError(),)
        assert repeats.filter(logging.LogRecord("x", logging.ERROR, "file", number, "%s", args, None))
    assert len(repeats._seen) == KEPT
