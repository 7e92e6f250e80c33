"""Logs: JSON lines, ours and the libraries', without secrets."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
import structlog

from app.platform.log import configure, get_logger

SECRET = 'tok"en-12345678'


@pytest.fixture
def lines() -> Iterator[io.StringIO]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    stream = io.StringIO()
    configure("INFO", [SECRET, None, "abc"], stream)
    yield stream
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


def read(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_a_line_is_one_json_object(lines: io.StringIO) -> None:
    log = get_logger()
    log.info("attempt", outcome="delivered", ms=5)
    log.debug("not shown")
    logging.getLogger("some.library").warning("said %s", "this")
    ours, theirs = read(lines)
    assert (ours["event"], ours["outcome"], ours["ms"], ours["level"]) == ("attempt", "delivered", 5, "info")
    assert ours["at"].endswith("Z")
    assert (theirs["event"], theirs["logger"], theirs["level"]) == ("said this", "some.library", "warning")


def test_members_named_after_a_secret_are_blanked(lines: io.StringIO) -> None:
    get_logger().info("x", Authorization="Bearer y", headers={"X-Api-Key": "y", "Accept": "z"}, apiToken=None)
    (line,) = read(lines)
    assert (line["Authorization"], line["headers"]) == ("***", {"X-Api-Key": "***", "Accept": "z"})
    assert line["apiToken"] is None


def test_known_secrets_are_blanked_wherever_they_turn_up(lines: io.StringIO) -> None:
    get_logger().info("x", url=f"http://u:{SECRET}@host", word="abc")
    try:
        raise ValueError(SECRET)
    except ValueError:
        logging.getLogger("lib").exception("failed with %s", SECRET)
    assert "12345678" not in lines.getvalue()
    ours, theirs = read(lines)
    assert (ours["url"], ours["word"]) == ("http://u:***@host", "abc")
    assert "ValueError: ***" in theirs["exception"]
