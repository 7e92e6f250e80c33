"""A run: copies of the tree, a runner in each, what became of each mutant, and the table."""

from __future__ import annotations

import json
import queue
import shutil
import subprocess
import sys
import threading
import time
import tomllib
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, Final, Self

from tests.mutation import lua_code, python_code
from tests.mutation.model import PACKAGES, Mutant, files, package_of
from tests.mutation.trace import Trace, stories

HERE: Final = Path(__file__).parent
NAMED: Final = HERE / "named.toml"
ACCEPTED: Final = HERE / "survivors.toml"
KILLED: Final = ("killed", "timed out")


def all_mutants(root: Path, packages: Iterable[str] = PACKAGES) -> list[Mutant]:
    found: list[Mutant] = []
    for file in files(root, packages):
        make = lua_code.mutants if file.suffix == ".lua" else python_code.mutants
        found += make(file.relative_to(root).as_posix(), file.read_text())
    return found


def named(root: Path) -> list[Mutant]:
    """The faults of named.toml. Raises ValueError for one whose text doesn't stand exactly once in its file."""
    found = []
    for fault in tomllib.loads(NAMED.read_text())["fault"]:
        text = (root / fault["path"]).read_text()
        if text.count(fault["old"]) != 1:
            raise ValueError(
                f"{fault['name']}: its text stands {text.count(fault['old'])} times in {fault['path']}"
            )
        start = text.index(fault["old"])
        line = text.count("\n", 0, start) + 1
        end = start + len(fault["old"])
        found.append(
            Mutant(fault["path"], start, end, line, "", "named", fault["old"], fault["new"], fault["name"])
        )
    return found


def own_tests() -> dict[str, list[str]]:
    """Of faults that name their tests."""
    faults = tomllib.loads(NAMED.read_text())["fault"]
    return {fault["name"]: fault["tests"] for fault in faults if "tests" in fault}


def accepted() -> dict[str, str]:
    """Reasons, by id."""
    return {one["id"]: one["reason"] for one in tomllib.loads(ACCEPTED.read_text()).get("survivor", [])}


def copy_tree(root: Path, to: Path) -> Path:
    """What git knows or would know, as it is now."""
    command = ["git", "ls-files", "-co", "--exclude-standard", "-z"]
    listed = subprocess.run(command, cwd=root, capture_output=True, check=True).stdout.decode().split("\0")
    for name in filter(None, listed):
        if (root / name).is_file():
            (to / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(root / name, to / name)
    return to


class Workshop:
    """A runner in each copy."""

    def __init__(self, copies: Sequence[Path]) -> None:
        self._copies = copies
        self._runners: list[subprocess.Popen[str]] = []

    def __enter__(self) -> Self:
        for copy in self._copies:
            self._runners.append(
                subprocess.Popen(
                    [sys.executable, "-m", "tests.mutation.runner"],
                    cwd=copy,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    text=True,
                )
            )
        return self

    def __exit__(self, *_: object) -> None:
        for runner in self._runners:
            assert runner.stdin is not None
            runner.stdin.close()
        for runner in self._runners:
            runner.wait()

    def run(
        self, jobs: Iterable[dict[str, Any]], done: Callable[[dict[str, Any], dict[str, Any]], None]
    ) -> None:
        """Each job at whichever runner is free; `done` is called with the job and its answer, one at a time."""
        waiting: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
        for job in jobs:
            waiting.put(job)
        lock = threading.Lock()

        def serve(runner: subprocess.Popen[str]) -> None:
            assert runner.stdin is not None
            assert runner.stdout is not None
            while True:
                try:
                    job = waiting.get_nowait()
                except queue.Empty:
                    return
                runner.stdin.write(json.dumps(job) + "\n")
                runner.stdin.flush()
                line = runner.stdout.readline()
                answer = json.loads(line) if line else {"outcome": "no answer", "by": "", "seconds": 0.0}
                with lock:
                    done(job, answer)
                if not line:
                    return

        threads = [threading.Thread(target=serve, args=(runner,)) for runner in self._runners]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()


def job_for(mutant: Mutant, root: Path, trace: Trace | None, only: Sequence[str]) -> dict[str, Any]:
    """What a runner needs. `only`: tests or files to run instead of the traced ones."""
    tests = trace.covering(mutant) if trace is not None else []
    seconds = [trace.seconds[test] for test in tests] if trace is not None else []
    return {
        "id": mutant.id,
        "path": mutant.path,
        "text": mutant.apply((root / mutant.path).read_text()),
        "tests": tests,
        "paths": list(only) or sorted({test.split("::")[0] for test in tests}),
        "stories": [] if only else stories(mutant),
        "timeout_s": 600 if only else 30 + 2 * sum(seconds),
        "each_s": 120 if only else 4 * max([5.0, *seconds]),
    }


class Results:
    """What became of each mutant, written down as it comes."""

    def __init__(self, mutants: Sequence[Mutant], root: Path, into: Path, say: Callable[[str], None]) -> None:
        self._mutants = {one.id: one for one in mutants}
        self._root, self._into, self._say = root, into, say
        self._reasons = accepted()
        self.rows: list[dict[str, Any]] = []
        self._began = time.monotonic()
        into.parent.mkdir(parents=True, exist_ok=True)
        into.write_text("")

    def note(self, job: dict[str, Any], answer: dict[str, Any]) -> None:
        mutant = self._mutants[job["id"]]
        row = {
            "id": mutant.id, "path": mutant.path, "line": mutant.line, "scope": mutant.scope, "kind": mutant.kind,
            **answer, "tests": len(job["tests"]),
        }  # fmt: skip
        if answer["outcome"] not in KILLED:
            row["diff"] = mutant.diff((self._root / mutant.path).read_text())
            if mutant.id in self._reasons:
                row["reason"] = self._reasons[mutant.id]
        self.rows.append(row)
        with self._into.open("a") as file:
            file.write(json.dumps(row) + "\n")
        self._say(
            f"{time.monotonic() - self._began:6.0f} s  {len(self.rows):4}/{len(self._mutants)}  {mutant.id}  "
            f"{row['outcome']:<9} {answer['seconds']:6.1f} s  {mutant.path}:{mutant.line}  {answer['by'].split('::')[-1]}"
        )

    def table(self) -> str:
        counts: dict[str, Counter[str]] = {}
        for row in self.rows:
            counts.setdefault(package_of(row["path"]), Counter())[_word(row)] += 1
        total = sum(counts.values(), Counter())
        lines = [
            f"{'':<24}{'mutants':>9}{'killed':>9}{'timed out':>11}{'accepted':>10}{'survived':>10}{'share':>9}"
        ]
        for name, found in [*sorted(counts.items()), ("all", total)]:
            killed = sum(found[word] for word in KILLED)
            # Those that are accepted with a reason count as survivors all the same.
            share = f"{100 * killed / found.total():.1f} %" if found.total() else ""
            lines.append(
                f"{name:<24}{found.total():>9}{found['killed']:>9}{found['timed out']:>11}"
                f"{found['accepted']:>10}{found['survived']:>10}{share:>9}"
            )
        return "\n".join(lines)

    def survivors(self) -> str:
        left = [row for row in self.rows if row["outcome"] not in KILLED]
        return "\n".join(
            f"\n{row['id']}  {row['path']}:{row['line']}  {row['outcome']}, {row['tests']} tests"
            + (f": {row['reason']}" if "reason" in row else "")
            + f"\n{row['diff']}"
            for row in left
        )


def _word(row: dict[str, Any]) -> str:
    if row["outcome"] in KILLED:
        return str(row["outcome"])
    return "accepted" if "reason" in row else "survived"
