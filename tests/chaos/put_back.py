"""Put a mended fault back, in a copy of the tree, and let the campaign find it.

    python -m tests.chaos.put_back                 all of put_back.toml, one after the other (about twenty minutes)
    python -m tests.chaos.put_back --only 1,5
    python -m tests.chaos.put_back --only 1 --mended   the same scenario without the patches: it must pass

Exits with 1 where the checker doesn't find one.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.mutation.campaign import copy_tree

ROOT: Final = Path(__file__).parents[2]
LISTED: Final = Path(__file__).with_name("put_back.toml")
_SHOWN: Final = 12  # lines of a report


@dataclass(frozen=True)
class Patch:
    path: str
    old: str
    new: str

    def apply(self, root: Path) -> None:
        """Raises ValueError where the old text doesn't stand exactly once in its file."""
        file = root / self.path
        text = file.read_text()
        if text.count(self.old) != 1:
            raise ValueError(f"{self.old!r} stands {text.count(self.old)} times in {self.path}")
        file.write_text(text.replace(self.old, self.new))


@dataclass(frozen=True)
class Fault:
    """`found`: what the report of `scenario` says with the fault in place."""

    name: str
    what: str
    scenario: str
    seconds: int
    found: str
    patches: Sequence[Patch]

    def put_back(self, root: Path) -> None:
        for patch in self.patches:
            patch.apply(root)


def listed() -> list[Fault]:
    return [
        Fault(
            one["name"], one["what"], one["scenario"], one["seconds"], one["found"],
            [Patch(**patch) for patch in one["patch"]],
        )
        for one in tomllib.loads(LISTED.read_text())["fault"]
    ]  # fmt: skip


def campaign(root: Path, fault: Fault, seed: int) -> tuple[bool, str]:
    """Whether the scenario passed, and its report."""
    command = [sys.executable, "-m", "tests.chaos", "--scenario", fault.scenario, "--seed", str(seed)]
    command += ["--seconds", str(fault.seconds), "--events", str(10 * fault.seconds)]
    ended = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    if "PASSED" not in ended.stdout and "FAILED" not in ended.stdout:
        raise RuntimeError(f"the campaign broke off: {ended.stdout[-2000:]}{ended.stderr[-2000:]}")
    return ended.returncode == 0, ended.stdout


def say(text: str) -> None:
    print(text, flush=True)  # noqa: T201 - a program for people


def show(fault: Fault, seed: int, *, mended: bool) -> bool:
    """Whether it went as it should."""
    folder = Path(tempfile.mkdtemp(prefix="put-back-"))
    try:
        root = copy_tree(ROOT, folder / "tree")
        if not mended:
            fault.put_back(root)
        passed, report = campaign(root, fault, seed)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    right = passed if mended else not passed and fault.found in report
    told = [line for line in report.splitlines() if fault.found in line or line.startswith("problem: ")]
    seen = "passes, mended" if passed else "fails"
    say(f"{'ok  ' if right else 'BAD '} fault {fault.name} ({fault.what}): {fault.scenario} {seen}")
    for line in told[:_SHOWN]:
        say(f"       {line[:200]}")
    return right


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos.put_back", description=__doc__)
    parser.add_argument("--only", help="numbers of faults, with commas between them")
    parser.add_argument("--seed", type=int, default=5)
    parser.add_argument("--mended", action="store_true", help="put nothing back: the scenarios must pass")
    options = parser.parse_args()
    wanted = options.only.split(",") if options.only else [fault.name for fault in listed()]
    chosen = [fault for fault in listed() if fault.name in wanted]
    ended = [show(fault, options.seed, mended=options.mended) for fault in chosen]
    return 0 if ended and all(ended) else 1


if __name__ == "__main__":
    sys.exit(main())
