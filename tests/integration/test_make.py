"""`make` brings the command, so that what README and messages quote can be typed."""

from __future__ import annotations

import os
import subprocess
import sysconfig
from pathlib import Path

import pytest

from tests.support.worker import ROOT

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]


def make(venv: Path, *more: str) -> subprocess.CompletedProcess[str]:
    """Into an environment of its own. What the lock names counts as there already, so that no network is needed."""
    environ = {
        **os.environ,
        "PYTHONPATH": sysconfig.get_path("purelib"),
        "PYTHONDONTWRITEBYTECODE": "1",
        "PIP_NO_INDEX": "1",
    }
    return subprocess.run(
        ["make", "--no-print-directory", f"VENV={venv}", *(more or (f"{venv}/.installed",))],
        cwd=ROOT, env=environ, capture_output=True, text=True, timeout=200, check=False,
    )  # fmt: skip


def test_the_command_is_installed_once_and_completes_itself(tmp_path: Path) -> None:
    venv = tmp_path / "venv"
    made = make(venv)
    assert made.returncode == 0, made.stderr
    assert "Making the environment" in made.stdout
    assert "up to date" in make(venv).stdout
    environ = {
        **os.environ,
        "PYTHONPATH": sysconfig.get_path("purelib"),
        "PATH": f"{venv}/bin:{os.environ['PATH']}",
    }
    # As a shell does it: the script that `completion` prints, then what it calls for the words typed so far.
    typed = (
        'eval "$(mediaops-sync completion bash)"; COMP_WORDS=(mediaops-sync requests re); COMP_CWORD=2; '
        '_mediaops_sync_completion mediaops-sync; printf "%s\\n" "${COMPREPLY[@]}"'
    )
    done = subprocess.run(
        ["bash", "-c", typed],
        cwd=tmp_path,
        env=environ,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.stdout.split() == ["retry"], done.stderr


def test_an_environment_that_was_moved_is_made_afresh(tmp_path: Path) -> None:
    venv, moved = tmp_path / "venv", tmp_path / "moved"
    assert make(venv).returncode == 0
    venv.rename(moved)
    assert make(moved).returncode == 0
    for name in ("pip", "mediaops-sync"):
        assert str(moved) in (moved / "bin" / name).read_text().splitlines()[0]


def test_an_environment_that_is_linked_here_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "theirs").mkdir()
    (tmp_path / "venv").symlink_to(tmp_path / "theirs")
    assert make(tmp_path / "venv").returncode != 0
    assert list((tmp_path / "theirs").iterdir()) == []
    (tmp_path / "theirs" / ".installed").touch()
    assert "up to date" in make(tmp_path / "venv").stdout


def test_where_nothing_can_be_written_it_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    made = make(tmp_path / "file" / "venv")
    assert made.returncode != 0
    assert "make VENV=/somewhere/else" in made.stderr
