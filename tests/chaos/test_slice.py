"""A slice of the campaign in every test run: the same seed, so that a failure can be repeated with `make chaos`."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import pytest

from tests.chaos.campaign import BOUND, IN_STEP, Plan, run
from tests.chaos.faults import FAR, PROCESSES, STORE, script

PLAN: Final = Plan(seconds=55, seed=20261121, kills=12, planners=2, programmes=12, pause_s=0.02)
_SLACK: Final = 4.0  # of the formula of recovery, for a machine that does other things as well


@pytest.mark.processes
@pytest.mark.slow
@pytest.mark.xdist_group("chaos")
@pytest.mark.timeout(600)
def test_under_a_minute_of_faults_nothing_is_lost_stale_or_wrong(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with capsys.disabled():
        said: list[str] = []
        report = run(PLAN, tmp_path, said.append)
    print("\n".join([*said, report.text()]))  # noqa: T201 - pytest shows it with a failure
    again = f"make chaos ARGS='--seconds {PLAN.seconds:.0f} --seed {PLAN.seed} --kills {PLAN.kills}'"
    assert report.good, f"{report.text()}\nSeed {PLAN.seed}; again: {again}"
    assert report.counts["kill worker"] >= PLAN.kills - 2
    in_step, bound = float(report.figures[IN_STEP]), float(report.figures[BOUND])
    assert in_step <= _SLACK * bound + 20, report.text()


def test_a_seed_gives_one_script() -> None:
    assert script(7, 120, 30) == script(7, 120, 30)
    assert script(7, 120, 30) != script(8, 120, 30)
    assert sum(fault.kind == "kill worker" for fault in script(7, 120, 30)) == 30


def test_every_fault_has_its_turn_in_four_minutes() -> None:
    for seed in range(20):
        kinds = {fault.kind for fault in script(seed, 240, 60)}
        assert kinds >= {*PROCESSES, *STORE, *FAR}, seed
