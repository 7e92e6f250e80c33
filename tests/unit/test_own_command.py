"""What the command line is called in what it says: something that can be typed where it is read."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

from app.settings import own_command
from tests.support.worker import ROOT


@pytest.fixture
def environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An environment in the current directory, that the PATH doesn't name."""
    (tmp_path / "env" / "bin").mkdir(parents=True)
    monkeypatch.setattr(sys, "executable", str(tmp_path / "env" / "bin" / "python"))
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.chdir(tmp_path)
    return tmp_path / "env" / "bin"


def install(directory: Path) -> None:
    (directory / "mediaops-sync").touch(mode=0o755)


def test_where_the_path_has_it_its_name_is_enough(environment: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(environment)
    monkeypatch.setenv("PATH", f"/nowhere:{environment}")
    assert own_command("status") == "mediaops-sync status"


def test_else_it_is_named_with_its_path_from_here(environment: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(environment)
    assert own_command("why C1") == "env/bin/mediaops-sync why C1"
    monkeypatch.chdir(environment)
    monkeypatch.setattr(sys, "executable", "/elsewhere/bin/python")
    assert own_command() == "/elsewhere/bin/python -m app"
    monkeypatch.setattr(sys, "executable", str(environment / "python"))
    (environment.parent / "other").mkdir()
    monkeypatch.chdir(environment.parent / "other")
    assert own_command() == f"{environment}/mediaops-sync"


def test_where_it_is_not_installed_the_module_is_named(environment: Path) -> None:
    assert own_command("up") == "env/bin/python -m app up"


def test_no_message_spells_it_by_itself() -> None:
    spelled = re.compile(r"""^[^#]*["'(][^"]*`(mediaops-sync|python -m app) """, re.MULTILINE)
    sources = [path for folder in ("cli", "local", "watch") for path in (ROOT / "app" / folder).glob("*.py")]
    found = [path.name for path in sources if any(spelled.findall(_without_docstrings(path.read_text())))]
    assert found == []


def _without_docstrings(text: str) -> str:
    return re.sub(r'""".*?"""', "", text, flags=re.DOTALL)
