"""The faults that can be put back still have their places in the code."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Final

import pytest

from tests.chaos.put_back import Fault, Patch, listed
from tests.chaos.scenarios import SCENARIOS

ROOT: Final = Path(__file__).parents[2]


@pytest.mark.parametrize("fault", listed(), ids=lambda fault: fault.name)
def test_a_fault_can_be_put_back(fault: Fault, tmp_path: Path) -> None:
    assert fault.scenario in SCENARIOS
    for patch in fault.patches:
        (tmp_path / patch.path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / patch.path, tmp_path / patch.path)
    fault.put_back(tmp_path)
    for patch in fault.patches:
        assert (tmp_path / patch.path).read_text() != (ROOT / patch.path).read_text()


def test_code_that_has_changed_is_said(tmp_path: Path) -> None:
    (tmp_path / "code.py").write_text("a = 1\n")
    with pytest.raises(ValueError, match="stands 0 times"):
        Patch("code.py", "b = 1", "b = 2").apply(tmp_path)
