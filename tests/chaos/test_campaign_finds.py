"""The campaign as a whole finds what is broken: real workers run scripts without the versions of fields, the API and the
far side are as they are."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from app.outgoing.scripts import SCRIPTS
from tests.chaos.campaign import run
from tests.chaos.report import Plan
from tests.chaos.test_judge import SAFEGUARDS
from tests.support.processes import ROOT

# Read by every Python process that has this directory on its path, before it does anything else.
SITECUSTOMIZE = """\
import sys
from pathlib import Path

sys.path.insert(0, {root!r})
from app.outgoing import scripts

scripts.SCRIPTS = Path({scripts!r})
"""


def without(safeguard: str, directory: Path) -> Path:
    """A directory that makes Python processes use scripts with one safeguard switched off."""
    _, on, off = SAFEGUARDS[safeguard]
    scripts = directory / "lua"
    shutil.copytree(SCRIPTS, scripts)
    changed = [file for file in scripts.glob("*.lua") if on in file.read_text()]
    assert changed, f"{safeguard} no longer stands in the scripts as this test knows it"
    for file in changed:
        file.write_text(file.read_text().replace(on, off))
    (directory / "sitecustomize.py").write_text(SITECUSTOMIZE.format(root=str(ROOT), scripts=str(scripts)))
    return directory


@pytest.mark.processes
@pytest.mark.slow
@pytest.mark.xdist_group("chaos")
@pytest.mark.timeout(400)
def test_workers_that_know_no_versions_put_something_old_back(tmp_path: Path) -> None:
    changed = tmp_path / "changed"
    changed.mkdir()
    plan = Plan(seconds=25, seed=3, kills=3, planners=2, programmes=8, pause_s=0.02)
    report = run(plan, tmp_path / "deployment", lambda _: None, without("field versions", changed))
    assert not report.good
    assert report.verdict.wrong["stale"], report.text()
