from __future__ import annotations

import re

from app.outgoing.lanes import Mark
from app.outgoing.scripts import SCRIPTS


def test_the_kinds_of_marks_are_the_scripts_own() -> None:
    found = re.findall(r"^  (\w+) = '(\w)',", (SCRIPTS / "_marks.lua").read_text(), re.MULTILINE)
    assert found == [(kind.name.lower(), kind.value) for kind in Mark]
