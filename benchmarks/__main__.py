"""`python -m benchmarks [--quick] [--only SECTION …] [--json FILE]`."""

from __future__ import annotations

import argparse
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

from rich.console import Console

from app.settings import Settings
from benchmarks.plan import FULL, QUICK, SECTIONS
from benchmarks.processes import Broken
from benchmarks.report import Report
from benchmarks.run import Run, comparisons


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one short round of each; no figures to rely on")
    parser.add_argument(
        "--only", nargs="+", choices=SECTIONS, default=SECTIONS, metavar="SECTION", help=", ".join(SECTIONS)
    )
    parser.add_argument("--json", type=Path, help="where the figures go; by default into the data directory")
    options = parser.parse_args()
    plan = QUICK if options.quick else FULL
    console = Console(width=None if sys.stdout.isatty() else 120)
    report = Report()
    run = Run(plan, report, _teller(console))
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # also then nothing is left running
    measurements = {
        "accepting": run.accepting,
        "updates": run.updates,
        "failed-table": run.failed_table,
        "events": run.events,
        "schedules": run.schedules,
    }
    problem = None
    try:
        for section in SECTIONS:
            if section in options.only:
                measurements[section]()
    except Broken as error:
        problem = f"The measurement broke off: {error}"
    except KeyboardInterrupt:
        problem = "Broken off; these are the rounds until then."
    rows = comparisons(plan, report)
    about = report.machine
    console.print()
    report.show(console, rows)
    console.print(
        f"{about['cores']} cores, {about['memoryGb']} GB, {about['system']}, Python {about['python']}, {about['server']}; "
        f"load before {about['loadBefore']}; median of {plan.rounds} round(s)",
        highlight=False,
    )
    command = f"python -m benchmarks {' '.join(sys.argv[1:])}".strip()
    file = (
        options.json
        or Settings.load(running=False).data_dir / "benchmarks" / f"{time.strftime('%Y%m%d-%H%M%S')}.json"
    )
    report.write(file, command, rows)
    console.print(f"{command} → {file}", highlight=False)
    if problem is not None:
        console.print(problem, style="red", markup=False)
    return 0 if problem is None else 1


def _teller(console: Console) -> Callable[[str], None]:
    started = time.monotonic()

    def tell(text: str) -> None:
        console.print(f"{time.monotonic() - started:6.1f} s  {text}", highlight=False)

    return tell


if __name__ == "__main__":
    sys.exit(main())
