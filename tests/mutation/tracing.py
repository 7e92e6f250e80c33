"""A plugin of pytest: which tests run which lines of the packages, Python's and Lua's, and how long each takes.

Python's lines are seen by a trace function. A Lua script is sent with a note at the beginning of each block, which a test's
scripts collect in a key of their own; it is read after every script.
"""

from __future__ import annotations

import json
import sys
import threading
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import FrameType
from typing import Any, Final

import pytest

from app.platform import scripts
from tests.mutation.lua_tokens import Block, blocks
from tests.mutation.model import PACKAGES

_KEY: Final = "mutation:ran"
_MANY: Final = 10_000


class Tracing:
    """`into`: a file of JSON, {test: {"seconds": s, "lines": {path: [line, …]}}}."""

    def __init__(self, root: Path, into: Path) -> None:
        self._root = root
        self._into = into
        self._wanted: dict[str, str | None] = {}
        self._lines: dict[str, set[int]] = defaultdict(set)
        self._tests: dict[str, dict[str, Any]] = {}
        self._notes: list[tuple[str, set[int]]] = []  # of each note: the lines of its block alone
        self._texts: dict[Path, str] = {}

    # Around a test ----------------------------------------------------------------------------------------------------

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Iterator[None]:
        self._lines = defaultdict(set)
        self._tests[item.nodeid] = {"seconds": 0.0}
        sys.settrace(self._called)
        threading.settrace(self._called)
        try:
            return (yield)
        finally:
            sys.settrace(None)
            threading.settrace(None)
            lines = {path: sorted(found) for path, found in self._lines.items()}
            self._tests[item.nodeid]["lines"] = lines

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.nodeid in self._tests:
            self._tests[report.nodeid]["seconds"] += report.duration

    def pytest_sessionfinish(self) -> None:
        self._into.write_text(json.dumps(self._tests))

    # Python -----------------------------------------------------------------------------------------------------------

    def _called(self, frame: FrameType, event: str, argument: object) -> Any:
        name = frame.f_code.co_filename
        if name not in self._wanted:
            self._wanted[name] = self._path(name)
        path = self._wanted[name]
        if path is None:
            return None
        lines = self._lines[path]
        lines.add(frame.f_lineno)

        def stepped(frame: FrameType, event: str, argument: object) -> Any:
            lines.add(frame.f_lineno)
            return stepped

        return stepped

    def _path(self, name: str) -> str | None:
        try:
            path = Path(name).relative_to(self._root).as_posix()
        except ValueError:
            return None
        return path if path.startswith(tuple(f"{package}/" for package in PACKAGES)) else None

    # Lua --------------------------------------------------------------------------------------------------------------

    def noting(self) -> None:
        """From here on scripts note their blocks."""
        real_read, real_run = Path.read_text, scripts.Script.run

        def read(file: Path, *args: Any, **options: Any) -> str:
            text = real_read(file, *args, **options)
            return self._noted(file, text) if file.suffix == ".lua" else text

        def run(script: scripts.Script, client: Any, keys: Any, args: Any) -> Any:
            try:
                return real_run(script, client, keys, args)
            finally:
                self._collect(client, script.source)

        Path.read_text = read  # type: ignore[method-assign,assignment]
        scripts.Script.run = run  # type: ignore[method-assign,assignment]

    def _noted(self, file: Path, text: str) -> str:
        path = self._path(str(file.resolve()))
        if path is None:
            return text
        if file not in self._texts:
            made = text
            all_blocks = blocks(text)
            for block in sorted(all_blocks, key=lambda one: -one.at):
                self._notes.append((path, _own_lines(block, all_blocks)))
                # `pcall`, which tests that break scripts off at their n-th call don't count.
                note = f" redis.pcall('SADD', '{_KEY}', {len(self._notes) - 1}) "
                made = made[: block.at] + note + made[block.at :]
            self._texts[file] = made
        return self._texts[file]

    def _collect(self, client: Any, source: str) -> None:
        if _KEY not in source:
            return
        try:
            noted = client.execute_command("SPOP", _KEY, _MANY)
        except Exception:  # noqa: BLE001 - a test that breaks its server on purpose: what it runs isn't known then
            return
        for number in noted or ():
            path, lines = self._notes[int(number)]
            self._lines[path] |= lines


def _own_lines(block: Block, all_blocks: Sequence[Block]) -> set[int]:
    """Not those of blocks inside, which may not run though this one does; but where they begin and end."""
    lines = set(range(block.first, block.last + 1))
    for other in all_blocks:
        if other.at > block.at and other.last <= block.last:
            lines -= set(range(other.first + 1, other.last))
    return lines


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--trace-into", type=Path, required=True)


def pytest_configure(config: pytest.Config) -> None:
    tracing = Tracing(config.rootpath.resolve(), config.getoption("--trace-into"))
    tracing.noting()
    config.pluginmanager.register(tracing)
