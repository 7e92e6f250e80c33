"""A slice of the campaign in every test run: the same seed, so that a failure can be repeated with `make chaos`."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Final

import pytest

from tests.chaos.campaign import run
from tests.chaos.report import BOUND, IN_STEP, Plan
from tests.chaos.script import DELIVERING, FAR, PROCESSES, STORE, SUBSCRIBERS, script
from tests.chaos.subscribers import KINESIS

PLAN: Final = Plan(seconds=55, seed=20261121, kills=12, planners=2, programmes=12, pause_s=0.02, hanging=20)
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
    assert report.counts["kill deliverer"] >= 2
    assert report.counts["pause"] >= 1
    assert report.counts["replay"] >= 1
    for name in ("whole", KINESIS):
        assert report.events.counted[f"{name}: received"] >= PLAN.events_in_all
    in_step, bound = float(report.figures[IN_STEP]), float(report.figures[BOUND])
    assert in_step <= _SLACK * bound + 20, report.text()


def test_a_seed_gives_one_script() -> None:
    assert script(7, 120, 30) == script(7, 120, 30)
    assert script(7, 120, 30) != script(8, 120, 30)
    assert sum(fault.kind == "kill worker" for fault in script(7, 120, 30)) == 30


@pytest.mark.parametrize(
    ("seed", "seconds", "kills", "coarse", "known"),
    [
        (101, 400, 80, False, "3ceb3f1a23288365"),
        (102, 380, 76, False, "deca33b9b0b45082"),
        (103, 300, 75, True, "cd57618bce5a15d5"),
        (108, 240, 64, False, "6cf5a961854ad42c"),
    ],
)
def test_a_seed_whose_figures_were_told_gives_the_same_faults_for_ever(
    seed: int, seconds: float, kills: int, coarse: bool, known: str
) -> None:
    later = (
        "deliverers",
        "subscribers",
        "topic",
        "operators",
        "lane",
        "blinks",
    )  # tracks that were added since
    faults = [one for one in script(seed, seconds, kills, coarse=coarse) if one.track not in later]
    told = repr([(one.at, one.track, one.kind, one.lasts, one.whom) for one in faults])
    assert hashlib.sha256(told.encode()).hexdigest()[:16] == known


def test_every_fault_has_its_turn_in_four_minutes() -> None:
    for seed in range(20):
        kinds = {fault.kind for fault in script(seed, 240, 60)}
        assert kinds >= {*PROCESSES, *STORE, *FAR, *DELIVERING, *SUBSCRIBERS}, seed
