"""Scripts are joined from fragments of their own package, of packages below, and of the common ground."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.events.log import SCRIPTS as LOG_SCRIPTS
from app.outgoing.store import SCRIPTS, SHARED_SCRIPTS
from app.platform.scripts import GROUND, ScriptFolder


def folder(path: Path, **files: str) -> Path:
    path.mkdir()
    for name, text in files.items():
        (path / f"{name}.lua").write_text(text)
    return path


def test_a_fragment_is_taken_once_and_from_the_nearest_folder(tmp_path: Path) -> None:
    own = folder(
        tmp_path / "own",
        main="#!lua\n-- include: a.lua\n-- include: b.lua\nreturn 1\n",
        a="local a = 'own'\n",
    )
    below = folder(
        tmp_path / "below", a="local a = 'below'\n", b="-- include: a.lua\n-- include: _base.lua\nlocal b\n"
    )
    text = ScriptFolder(own, shared=[below]).text("main")
    assert text.startswith("#!lua\n")
    assert text.count("local a = 'own'") == 1
    assert "'below'" not in text
    assert (GROUND / "_base.lua").read_text().strip() in text
    assert not ScriptFolder(own, shared=[below], flags=False).text("main").startswith("#!")


def test_a_fragment_that_is_nowhere_is_said(tmp_path: Path) -> None:
    own = folder(tmp_path / "own", main="-- include: gone.lua\n")
    with pytest.raises(FileNotFoundError, match=r"gone\.lua"):
        ScriptFolder(own).text("main")


@pytest.mark.parametrize(("folder", "shared"), [(SCRIPTS, SHARED_SCRIPTS), (LOG_SCRIPTS, ())])
def test_every_script_is_joined_whole(folder: Path, shared: tuple[Path, ...]) -> None:
    scripts = ScriptFolder(folder, shared=shared)
    names = [path.stem for path in folder.glob("*.lua") if not path.stem.startswith("_")]
    assert names
    for name in names:
        text = scripts.text(name)
        assert "-- include:" not in text
        assert text.count("local P = KEYS[1]") == 1
