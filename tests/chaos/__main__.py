"""`make chaos`: run one campaign and say what it showed. Exits with 1 where anything is wrong."""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import time
from pathlib import Path

from tests.chaos.campaign import run
from tests.chaos.report import EVENTS_A_SECOND, Plan, as_json
from tests.chaos.scenarios import SCENARIOS


def say(text: str) -> None:
    print(text, flush=True)  # noqa: T201 - a program for people


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--scenario", choices=SCENARIOS, default="everything", help="what is broken")
    parser.add_argument("--seconds", type=float, default=120, help="how long faults are staged")
    parser.add_argument("--seed", type=int, default=int(time.time()) % 100_000)
    parser.add_argument("--kills", type=int, help="of workers; one every four seconds by default")
    parser.add_argument("--coarse", action="store_true", help="the far side's lastModified has whole seconds")
    parser.add_argument(
        "--pool", choices=("threads", "gevent"), default="threads", help="of the live workers"
    )
    parser.add_argument("--planners", type=int, default=4, help="callers at once")
    parser.add_argument("--programmes", type=int, default=30, help="matches of each planner")
    parser.add_argument("--pause", type=float, default=0.0, help="of each planner after a call, in seconds")
    parser.add_argument("--broker-chain", action="store_true", help="GET and PATCH as two messages")
    parser.add_argument(
        "--events", type=int, help=f"published meanwhile, in all; {EVENTS_A_SECOND} a second by default"
    )
    parser.add_argument("--hanging", type=int, help="receivers that never answer; as the scenario has it")
    parser.add_argument("--json", type=Path, help="the figures, for a table")
    parser.add_argument("--keep", action="store_true", help="keep the directory with the logs")
    options = parser.parse_args()
    plan = Plan(
        seconds=options.seconds,
        seed=options.seed,
        kills=options.kills if options.kills is not None else int(options.seconds / 4),
        coarse=options.coarse,
        pool=options.pool,
        planners=options.planners,
        programmes=options.programmes,
        pause_s=options.pause,
        inline=not options.broker_chain,
        events=options.events,
        scenario=options.scenario,
        hanging=options.hanging,
    )
    directory = Path(tempfile.mkdtemp(prefix="chaos-"))
    say(
        f"{plan.scenario}, seed {plan.seed}; {plan.seconds:.0f} s of faults, {plan.kills} worker kills; logs in {directory}"
    )
    report = run(plan, directory, say)
    say(report.text())
    if options.json:
        options.json.write_text(as_json(report) + "\n")
    if report.good and not options.keep:
        shutil.rmtree(directory)
    return 0 if report.good else 1


if __name__ == "__main__":
    sys.exit(main())
