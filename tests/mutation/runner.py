"""A process in a copy of the tree that tries one mutant after another: what it is told on its input, it answers on its output.

It has loaded what all tests load and nothing of the product; each try is a fork of it that runs pytest, in a session of its
own, so that whatever a try leaves running is ended with it.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import pytest

_LOADED: Final = (
    "fakeredis", "redis", "lupa", "celery", "kombu", "flask", "flask_smorest", "marshmallow", "requests", "structlog",
    "hypothesis", "hypothesis.stateful", "boto3", "botocore", "prometheus_client", "environs", "standardwebhooks", "responses",
    "pytest_httpserver", "schemathesis", "rich", "urllib3", "concurrent.futures", "xml.etree.ElementTree",
)  # fmt: skip
_OPTIONS: Final = (
    "-q", "-x", "--no-header", "--tb=short", "-p", "no:cacheprovider", "-p", "no:xdist", "--hypothesis-seed=0",
    "-W", "ignore::pytest.PytestAssertRewriteWarning",
)  # fmt: skip
_FAILED: Final = 1  # pytest's exit codes
_NONE: Final = 5
_STORY_S: Final = 240.0


class Chosen:
    """A plugin of pytest: runs these tests only, in this order, and notes which one failed."""

    def __init__(self, tests: Sequence[str], into: Path) -> None:
        self._order = {test: number for number, test in enumerate(tests)}
        self._into = into

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        if self._order:
            items[:] = sorted(
                (item for item in items if item.nodeid in self._order),
                key=lambda item: self._order[item.nodeid],
            )

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            self._into.write_text(report.nodeid)


def attempt(tests: Sequence[str], paths: Sequence[str], timeout_s: float, each_s: float) -> dict[str, Any]:
    """Run these tests on the tree as it is now (`paths`: the files that hold them)."""
    failed, log = Path(".mutation-failed"), Path(".mutation-log")
    failed.unlink(missing_ok=True)
    began = time.monotonic()
    pid = os.fork()
    if pid == 0:
        _run(tests, paths, each_s, failed, log)
    code = _wait(pid, timeout_s)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGKILL)
    if code is None:
        os.waitpid(pid, 0)
    named = failed.read_text() if failed.exists() else ""
    if code == 0:
        outcome = "survived"
    elif code is None or (code == _FAILED and not named and "Timeout" in log.read_text(errors="replace")):
        outcome = "timed out"
    elif code == _NONE:
        outcome = "no tests"
    else:
        outcome = "killed"
    return {"outcome": outcome, "by": named, "seconds": round(time.monotonic() - began, 2)}


def _run(tests: Sequence[str], paths: Sequence[str], each_s: float, failed: Path, log: Path) -> None:
    os.setsid()
    with log.open("wb") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    code = 3
    try:
        from hypothesis import Phase, settings

        # A failure needn't be made small, and examples of another mutant aren't wanted.
        settings.register_profile("mutation", database=None, phases=(Phase.explicit, Phase.generate))
        settings.load_profile("mutation")
        code = int(pytest.main([*_OPTIONS, f"--timeout={each_s}", *paths], plugins=[Chosen(tests, failed)]))
        sys.stdout.flush()
    finally:
        os._exit(code)


def _wait(pid: int, timeout_s: float) -> int | None:
    until = time.monotonic() + timeout_s
    while time.monotonic() < until:
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.02)
    return None


@contextlib.contextmanager
def changed(path: str, text: str) -> Iterator[None]:
    """A file with another text, for as long as this lasts. Its time goes with it, so that no compiled copy is mistaken."""
    file = Path(path)
    before, stat = file.read_bytes(), file.stat()
    file.write_text(text)
    try:
        yield
    finally:
        file.write_bytes(before)
        os.utime(file, ns=(stat.st_atime_ns, stat.st_mtime_ns))


class Runner:
    """Answers jobs; a test that fails a mutant must pass without it."""

    def __init__(self) -> None:
        self._sound: set[str] = set()
        self._unsound: set[str] = set()

    def answer(self, job: dict[str, Any]) -> dict[str, Any]:
        """First with the job's tests, then, if none fails, with its stories."""
        found: dict[str, Any] = {"outcome": "no tests", "seconds": 0.0}
        if job["paths"]:
            found = self._try(job, job["tests"], job["paths"])
        for story in job["stories"]:
            if found["outcome"] in {"killed", "timed out"}:
                break
            so_far = found["seconds"]
            found = self._try(job | {"timeout_s": _STORY_S, "each_s": _STORY_S}, [], [story])
            found["seconds"] = round(so_far + found["seconds"], 2)
        return {"by": "", **found}

    def _try(self, job: dict[str, Any], named: Sequence[str], paths: Sequence[str]) -> dict[str, Any]:
        """`named` tests of these files, or where none is named all of them."""
        seconds = 0.0
        while True:
            tests = [test for test in named if test not in self._unsound]
            if named and not tests:
                return {"outcome": "no tests", "seconds": seconds}
            with changed(job["path"], job["text"]):
                found = attempt(tests, paths, job["timeout_s"], job["each_s"])
            found["seconds"] = seconds = round(seconds + found["seconds"], 2)
            if not found["by"] or self._is_sound(found["by"], job):
                return found
            if not named:  # all of a file, and it fails without the mutant too
                return {"outcome": "survived", "seconds": seconds}

    def _is_sound(self, test: str, job: dict[str, Any]) -> bool:
        if test not in self._sound | self._unsound:
            found = attempt([test], [test.partition("::")[0]], job["timeout_s"], job["each_s"])
            (self._sound if found["outcome"] == "survived" else self._unsound).add(test)
        return test in self._sound


def main() -> None:
    sys.dont_write_bytecode = True
    sys.path.insert(0, str(Path.cwd()))
    for name in _LOADED:
        importlib.import_module(name)
    runner = Runner()
    for line in sys.stdin:
        sys.stdout.write(json.dumps(runner.answer(json.loads(line))) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
