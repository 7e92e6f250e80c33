"""README.md's table of settings is true: every setting stands there, and nothing else."""

from __future__ import annotations

import re

from app.settings.reader import PREFIX, SettingsReader
from tests.support.worker import ROOT


def read_settings() -> set[str]:
    """What app/settings reads, found out by reading."""
    reader = SettingsReader({})
    reader.values()
    return {name.removeprefix(PREFIX) for name in reader._read}


def documented() -> set[str]:
    """The names in the first column of README's table; a second one of a row leaves the prefix out."""
    text = (ROOT / "README.md").read_text()
    table = text[text.index("### Settings") :].split("\n---", 1)[0]
    cells = re.findall(r"^\| (`[^|]*) \|", table, re.MULTILINE)
    names = [name for cell in cells for name in re.findall(r"`([A-Z_]+)`", cell)]
    assert len(names) == len(set(names)), "a setting stands in two rows"
    return {name.removeprefix(PREFIX).removeprefix("_") for name in names}


def test_every_setting_is_documented_and_nothing_else_is() -> None:
    assert read_settings() - documented() == set(), "read, and not in README.md's table"
    assert documented() - read_settings() == set(), "in README.md's table, and not read"
