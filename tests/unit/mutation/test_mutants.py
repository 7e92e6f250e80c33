"""What the mutation tool changes, and that its lists still fit the code."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Final

import fakeredis
import pytest

from tests.mutation import campaign, lua_code, python_code
from tests.mutation.lua_tokens import blocks, tokens
from tests.mutation.model import Mutant, sample

ROOT: Final = Path(__file__).parents[3]

PYTHON: Final = '''
"""A docstring with 1 number."""
MOST: Final = 8


def few(count: int, more: bool = True) -> int | None:
    if not more and count >= MOST:
        raise ValueError(f"{count} < {MOST}")
    log.info("counted", count=1)
    told.add(count, 2)
    return min(count, MOST)
'''

LUA: Final = """#!lua flags=allow-oom
-- 1 comment, x == y
local function may(r)
  if r.seq > 7 and r.state ~= 'a == b' then return false end
  redis.call('ZADD', 'k', 1,
    'member')
  r.state = 'live'
  return not r.barrier
end
mark('k')
return 1
"""


def changes(mutants: list[Mutant]) -> set[tuple[str, str, str]]:
    return {(one.kind, " ".join(one.before.split()), one.after) for one in mutants}


def test_python_is_changed_where_it_decides_and_does_something() -> None:
    found = changes(python_code.mutants("app/x.py", PYTHON))
    assert found >= {
        ("constant", "8", "9"),
        ("constant", "8", "7"),
        ("constant", "True", "False"),
        ("and, or", "not more and count >= MOST", "(not more or count >= MOST)"),
        ("comparison", "count >= MOST", "(count > MOST)"),
        ("not", "not more", "(more)"),
        ("never", "not more and count >= MOST", "False"),
        ("deleted", 'raise ValueError(f"{count} < {MOST}")', "pass"),
        ("deleted", "told.add(count, 2)", "pass"),
        ("swapped", "told.add(count, 2)", "(told.add(2, count))"),
        ("other end", "min", "max"),
        ("returned", "min(count, MOST)", "None"),
    }
    assert not [change for change in found if "log.info" in change[1] or "docstring" in change[1]]


def test_lua_is_changed_where_it_decides_and_does_something() -> None:
    found = changes(lua_code.mutants("app/x.lua", LUA))
    assert found >= {
        ("operator", ">", ">="),
        ("operator", "and", "or"),
        ("operator", "~=", "=="),
        ("operator", "false", "true"),
        ("number", "7", "8"),
        ("not", "not", ""),
        ("never", "r.seq > 7 and r.state ~= 'a == b'", "false"),
        ("deleted", "redis.call('ZADD', 'k', 1, 'member')", ""),
        ("deleted", "r.state = 'live'", ""),
        ("deleted", "mark('k')", ""),
        ("returned", "not r.barrier", "true"),
    }
    assert not [change for change in found if change[1] == "=="], "only strings and comments have it"


def test_every_mutant_of_the_code_can_be_read() -> None:
    """Python's by its own parser; a script's blocks still end where they begin."""
    lua = fakeredis.FakeRedis()
    for file in (ROOT / "app/outgoing/decision.py", ROOT / "app/avos/paths.py"):
        text = file.read_text()
        for one in python_code.mutants(file.name, text):
            ast.parse(one.apply(text))
    text = LUA
    for one in lua_code.mutants("x.lua", text):
        changed = one.apply(text).split("\n", 1)[1].replace("mark('k')", "")
        lua.script_load(changed)


def test_an_id_outlives_a_move_and_no_change() -> None:
    before = {one.id for one in python_code.mutants("app/x.py", PYTHON)}
    assert {one.id for one in python_code.mutants("app/x.py", f"import os\n{PYTHON}")} == before
    changed = {
        one.id for one in python_code.mutants("app/x.py", PYTHON.replace("count >= MOST", "count == 3"))
    }
    assert len(before - changed) >= 2


def test_a_block_ends_where_its_end_stands() -> None:
    found = [(block.first, block.last, block.function) for block in blocks(LUA)]
    assert found == [(1, 12, ""), (3, 9, "may"), (4, 4, "")]
    assert tokens(LUA)[0].text == "local"


def test_a_sample_is_spread_over_packages_and_the_same_for_a_seed() -> None:
    mutants = campaign.all_mutants(ROOT)
    assert len({one.id for one in mutants}) == len(mutants)
    some = sample(mutants, 100, 7)
    assert [one.id for one in some] == [one.id for one in sample(mutants, 100, 7)]
    assert [one.id for one in some] != [one.id for one in sample(mutants, 100, 8)]
    assert 90 <= len(some) <= 110
    assert {one.path.split("/")[1] for one in some} == {
        "outgoing",
        "planning",
        "registrations",
        "avos",
        "events",
    }
    assert {Path(one.path).suffix for one in some} == {".py", ".lua"}


def test_every_named_fault_still_has_its_place() -> None:
    names = [one.id for one in campaign.named(ROOT)]
    assert len(names) == len(set(names)) >= 9


def test_every_accepted_survivor_still_is_a_mutant_and_has_a_reason() -> None:
    known = {one.id for one in campaign.all_mutants(ROOT)}
    gone = [name for name in campaign.accepted() if name not in known]
    assert not gone, "their code has changed: try them again, or take them out of survivors.toml"
    assert all(len(reason) > 20 for reason in campaign.accepted().values())


@pytest.mark.parametrize("text", ["local x = 'no end", "a ? b"])
def test_what_is_no_lua_is_said(text: str) -> None:
    with pytest.raises(ValueError, match="line 1"):
        tokens(text)
