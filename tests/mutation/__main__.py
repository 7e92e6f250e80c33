"""Put small faults into the code, one at a time, and see whether a test fails for each. Exits with 1 where one survives
that survivors.toml doesn't name."""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Final

from tests.mutation import campaign
from tests.mutation.model import PACKAGES, Mutant, sample
from tests.mutation.trace import traced

ROOT: Final = Path(__file__).parents[2]
KEPT: Final = ROOT / ".data" / "mutation"


def say(text: str) -> None:
    print(text, flush=True)  # noqa: T201 - a program for people


def chosen(options: argparse.Namespace, root: Path) -> list[Mutant]:
    if options.named:
        return campaign.named(root)
    mutants = campaign.all_mutants(root, [options.package] if options.package else PACKAGES)
    wanted = options.only or options.show
    if not wanted:
        return sample(mutants, options.count, options.seed)
    found = {one.id: one for one in [*mutants, *campaign.named(root)]}
    unknown = [name for name in wanted.split(",") if name not in found]
    if unknown:
        raise SystemExit(f"There is no mutant {', '.join(unknown)}: its code has changed, perhaps.")
    return [found[name] for name in wanted.split(",")]


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.mutation", description=__doc__)
    parser.add_argument("--count", type=int, default=300, help="how many mutants")
    parser.add_argument("--seed", type=int, default=1, help="of the sample")
    parser.add_argument("--package", choices=PACKAGES, help="this one alone")
    parser.add_argument("--only", help="ids of mutants or names of faults, with commas between them")
    parser.add_argument("--show", help="ids of mutants: their diff, nothing is run")
    parser.add_argument("--named", action="store_true", help="the faults of named.toml")
    parser.add_argument(
        "--tests", nargs="+", default=[], help="tests to run instead of those that were traced"
    )
    parser.add_argument(
        "--as-traced", action="store_true", help="take no new trace although code has changed"
    )
    parser.add_argument("--processes", type=int, default=min(2, os.cpu_count() or 1))
    parser.add_argument("--into", type=Path, default=KEPT / "results.ndjson", help="the results")
    options = parser.parse_args()
    if options.show:
        for one in chosen(options, ROOT):
            say(f"{one.id}  {one.path}:{one.line} {one.scope}\n{one.diff((ROOT / one.path).read_text())}")
        return 0
    folder = Path(tempfile.mkdtemp(prefix="mutation-"))
    try:
        # As it is now, whatever is written meanwhile.
        root = campaign.copy_tree(ROOT, folder / "whole")
        mutants = chosen(options, root)
        count = min(options.processes, len(mutants))
        copies = [Path(shutil.copytree(root, folder / f"copy{number}")) for number in range(count)]
        trace = None
        if not options.tests:
            trace = traced(root, copies, KEPT / "trace", say, as_it_is=options.as_traced)
        results = campaign.Results(mutants, root, options.into, say)
        with campaign.Workshop(copies) as workshop:
            own = campaign.own_tests()
            jobs = [
                campaign.job_for(one, root, trace, options.tests or own.get(one.id, [])) for one in mutants
            ]
            workshop.run(jobs, results.note)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    say(f"{results.survivors()}\n\n{results.table()}")
    unexplained = [
        row for row in results.rows if row["outcome"] not in campaign.KILLED and "reason" not in row
    ]
    return 1 if unexplained else 0


if __name__ == "__main__":
    sys.exit(main())
