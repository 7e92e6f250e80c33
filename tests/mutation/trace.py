"""Which tests run which lines, as traced: kept by test file, and taken again where a file or the code has changed."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import SimpleQueue
from typing import Any, Final

from tests.mutation.model import Mutant, package_of

FOLDERS: Final = ("tests/unit", "tests/contract")
# What says nothing about the packages, or starts processes, which can't be traced.
_OTHERS: Final = (
    "tests/unit/mutation",
    "tests/unit/benchmarks",
    "tests/unit/sample",
    "tests/unit/simulators",
)
# What plays whole stories, each in many seconds: not traced, and tried with mutants of scripts that nothing else has killed.
_STORIES: Final = {
    "app/outgoing": (
        "tests/unit/outgoing/test_against_a_model.py",
        "tests/unit/outgoing/test_never_stale.py",
        "tests/contract/test_broken_scripts.py",
    ),
    "app/events/consumers": (
        "tests/unit/events/consumers/test_killed_anywhere.py",
        "tests/contract/test_consumer_broken_scripts.py",
    ),
}
_UNTRACED: Final = (
    *_OTHERS,
    "tests/contract/test_openapi.py",
    *(one for some in _STORIES.values() for one in some),
)
# What is declared shows in the API's description, whoever has loaded it.
_OF_SCHEMAS: Final = "tests/unit/http/test_description.py"
_PART: Final = 6  # files
_SLOW_S: Final = 2.0
_MOST_S: Final = 60.0  # of tests for one mutant, as traced


class Trace:
    """`tests`: of each test its seconds and the lines it runs."""

    def __init__(self, tests: dict[str, dict[str, Any]]) -> None:
        self.seconds: dict[str, float] = {}
        self._by_line: dict[str, dict[int, set[str]]] = defaultdict(lambda: defaultdict(set))
        twins = {test.replace("[fakeredis", "[valkey") for test in tests if "[valkey" in test}
        for test, found in tests.items():
            # Of two of a kind, the one on the real server.
            if "[fakeredis" in test and test.replace("[fakeredis", "[valkey") in twins & tests.keys():
                continue
            self.seconds[test] = found["seconds"]
            for path, lines in found["lines"].items():
                for line in lines:
                    self._by_line[path][line].add(test)

    def covering(self, mutant: Mutant) -> list[str]:
        """Tests that run the mutant's lines; of what runs when a module is loaded, those that run any of its file. The quick
        ones first."""
        lines = self._by_line.get(mutant.path, {})
        last = mutant.line + mutant.before.count("\n")
        tests: set[str] = set().union(*(lines.get(line, set()) for line in range(mutant.line, last + 1)))
        if not tests or outside_functions(mutant):
            tests = set().union(*lines.values())
        if mutant.path.endswith("/schemas.py"):
            tests |= {test for test in self.seconds if test.startswith(_OF_SCHEMAS)}
        found, seconds = [], 0.0
        for test in sorted(tests, key=lambda test: (self.seconds[test] > _SLOW_S, self.seconds[test], test)):
            seconds += self.seconds[test]
            if seconds > _MOST_S:
                break
            found.append(test)
        return found


def outside_functions(mutant: Mutant) -> bool:
    """In a module's or a class's own lines, which run for whoever loads it first."""
    return not mutant.scope or mutant.scope.rpartition(".")[2][:1].isupper()


def stories(mutant: Mutant) -> tuple[str, ...]:
    return _STORIES.get(package_of(mutant.path), ()) if mutant.path.endswith(".lua") else ()


def test_files(root: Path) -> list[str]:
    found = [
        file.relative_to(root).as_posix() for folder in FOLDERS for file in (root / folder).rglob("test_*.py")
    ]
    return sorted(file for file in found if not file.startswith(_UNTRACED))


def _digest(root: Path, files: Iterable[Path]) -> str:
    found = hashlib.sha256()
    for file in sorted(files):
        found.update(file.relative_to(root).as_posix().encode() + b"\0" + file.read_bytes())
    return found.hexdigest()


def _common(root: Path) -> str:
    """Of what all tests depend on."""
    code = [file for file in (root / "app").rglob("*") if file.suffix in {".py", ".lua"}]
    return _digest(
        root, [*code, *(root / "tests/support").glob("*.py"), *(root / "tests").rglob("conftest.py")]
    )


def traced(
    root: Path, copies: Sequence[Path], kept: Path, say: Callable[[str], None], *, as_it_is: bool = False
) -> Trace:
    """What is kept, with what is missing taken now. `as_it_is`: also what was taken of other code or tests."""
    kept.mkdir(parents=True, exist_ok=True)
    common = _common(root)
    tests: dict[str, dict[str, Any]] = {}
    missing = []
    for name in test_files(root):
        place = kept / f"{name.replace('/', '.')}.json"
        found = json.loads(place.read_text()) if place.exists() else None
        digest = f"{common} {_digest(root, [root / name])}"
        if found is None or (found["digest"] != digest and not as_it_is):
            missing.append((name, place, digest))
        else:
            tests |= found["tests"]
    if missing:
        say(f"tracing {len(missing)} test files")
        # In parts, each of which is kept: a run that is broken off needn't begin anew.
        parts = [missing[start : start + _PART] for start in range(0, len(missing), _PART)]
        free: SimpleQueue[Path] = SimpleQueue()
        for copy in copies:
            free.put(copy)
        with ThreadPoolExecutor(len(copies)) as pool:
            for taken in pool.map(lambda part: _take(free, part), parts):
                tests |= taken
    return Trace(tests)


def _take(free: SimpleQueue[Path], part: Sequence[tuple[str, Path, str]]) -> dict[str, dict[str, Any]]:
    """Trace these files in a copy of the tree that is free."""
    copy = free.get()
    try:
        return _traced_in(copy, part)
    finally:
        free.put(copy)


def _traced_in(copy: Path, part: Sequence[tuple[str, Path, str]]) -> dict[str, dict[str, Any]]:
    """That a test fails when it is traced doesn't matter."""
    into = copy / ".mutation-trace"
    into.unlink(missing_ok=True)
    names = [name for name, _, _ in part]
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "tests.mutation.tracing"]
    log = copy / ".mutation-trace-log"
    with log.open("wb") as out:
        subprocess.run(
            [*command, "--timeout=900", "--trace-into", str(into), "--hypothesis-seed=0", *names],
            cwd=copy, stdout=out, stderr=out, stdin=subprocess.DEVNULL, check=False,
        )  # fmt: skip
    if not into.exists():
        raise RuntimeError(f"tracing failed: {log.read_text(errors='replace')[-2000:]}")
    taken: dict[str, dict[str, Any]] = json.loads(into.read_text())
    for name, place, digest in part:
        tests = {test: found for test, found in taken.items() if test.split("::")[0] == name}
        place.write_text(json.dumps({"digest": digest, "tests": tests}))
    return taken
