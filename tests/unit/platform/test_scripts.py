"""Scripts are joined from fragments of their own package, of packages below, and of the common folder."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import fakeredis
import pytest
from lupa.lua51 import LuaRuntime

from app.events.consumers.claims import SCRIPTS as CONSUMER_SCRIPTS
from app.events.log import SCRIPTS as LOG_SCRIPTS
from app.outgoing.destinations import Destinations
from app.outgoing.scripts import SCRIPTS, OutgoingScripts
from app.platform.dispatch import TEMPLATES, fill
from app.platform.errors import Unavailable
from app.platform.keys import Keys
from app.platform.scripts import COMMON_FOLDER, ScriptFolder, Scripts, lua, unique
from tests.support.lua_names import defined, included, taken


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
    assert (COMMON_FOLDER / "_base.lua").read_text().strip() in text
    assert not ScriptFolder(own, shared=[below], flags=False).text("main").startswith("#!")


def test_a_fragment_that_is_nowhere_is_said(tmp_path: Path) -> None:
    own = folder(tmp_path / "own", main="-- include: gone.lua\n")
    with pytest.raises(FileNotFoundError, match=r"gone\.lua"):
        ScriptFolder(own).text("main")


FOLDERS = {
    "outgoing": (SCRIPTS, OutgoingScripts(Destinations())),
    "events": (LOG_SCRIPTS, ScriptFolder(LOG_SCRIPTS)),
    "consumers": (CONSUMER_SCRIPTS, ScriptFolder(CONSUMER_SCRIPTS, shared=[LOG_SCRIPTS])),
    "platform": (COMMON_FOLDER, ScriptFolder(COMMON_FOLDER)),
}
FILES = [(name, path) for name, (where, _) in FOLDERS.items() for path in sorted(where.glob("*.lua"))]


@pytest.fixture(params=FILES, ids=[f"{name}/{path.stem}" for name, path in FILES])
def file(request: pytest.FixtureRequest) -> tuple[ScriptFolder, Path]:
    name, path = request.param
    return FOLDERS[name][1], path


def test_every_script_is_joined_whole(file: tuple[ScriptFolder, Path]) -> None:
    text = file[0].text(file[1].stem)
    assert "-- include:" not in text
    assert text.count("local P = KEYS[1]") <= 1


def test_a_file_has_everything_that_it_uses(file: tuple[ScriptFolder, Path]) -> None:
    """Each fragment by itself, too: what it needs it includes, whoever includes it."""
    assert taken(file[0].text(file[1].stem)) == set()


def test_a_file_uses_what_it_includes(file: tuple[ScriptFolder, Path]) -> None:
    scripts, path = file
    names = taken(path.read_text())
    for one in included(path.read_text()):
        assert names & defined(scripts.fragment(one)), f"{path.name} needs nothing of {one}"


def test_a_fragment_that_python_makes_stands_in_the_text(tmp_path: Path) -> None:
    own = folder(tmp_path / "own", main="-- include: _limits.lua\nreturn LIMIT\n")
    text = ScriptFolder(own, made={"_limits.lua": "local LIMIT = 7\n"}).text("main")
    assert text == "local LIMIT = 7\n\nreturn LIMIT\n"


@pytest.mark.parametrize(
    "value",
    ["", "it's [[plain]] \\ text\n\t\x7f", "Brøndby – 😀 \x00", 7, 1.5, True, False, {"a b": {"'": 1}}],
)
def test_what_python_says_in_lua_is_the_same_there(value: Any) -> None:
    found = LuaRuntime(encoding="utf-8").eval(lua(value))

    def plain(some: Any) -> Any:
        return some if isinstance(some, (str, int, float)) else {name: plain(some[name]) for name in some}

    assert plain(found) == value


def test_what_has_no_form_in_lua_is_refused() -> None:
    with pytest.raises(TypeError, match="NoneType"):
        lua(None)


@pytest.fixture
def echo(tmp_path: Path) -> ScriptFolder:
    """Answers with its prefix, its arguments, and the time."""
    text = "-- include: _base.lua\nreturn {P, ARGV[1], ARGV[2], ARGV[3], int(now)}\n"
    return ScriptFolder(folder(tmp_path / "own", echo=text), flags=False)


def test_a_script_gets_the_tenant_its_control_object_and_the_payloads(echo: ScriptFolder) -> None:
    scripts = Scripts(fakeredis.FakeRedis(), Keys("t"), echo, common={"a": 1, "b": 2}, now_ms=lambda: 5)
    prefix, control, *payloads, now = scripts.run("echo", {"b": "ø"}, b"\xff", "ø")
    given = json.loads(control)
    assert len(given.pop("seed")) == 32
    assert (prefix, given, payloads, now) == (
        b"t:",
        {"a": 1, "b": "ø", "now": 5},
        [b"\xff", "ø".encode()],
        b"5",
    )
    assert b" " not in control


def test_every_call_has_a_seed_of_its_own_and_the_clock_of_the_server(echo: ScriptFolder) -> None:
    scripts = Scripts(fakeredis.FakeRedis(), Keys("t"), echo)
    answers = [scripts.run("echo", {}, "", "") for _ in range(2)]
    assert len({json.loads(answer[1])["seed"] for answer in answers}) == 2
    assert abs(int(answers[1][4]) - scripts.time_ms()) < 60_000
    assert "now" not in json.loads(answers[0][1])


def test_a_store_that_is_away_is_said(echo: ScriptFolder) -> None:
    server = fakeredis.FakeServer()
    server.connected = False
    scripts = Scripts(fakeredis.FakeRedis(server=server), Keys("t"), echo)
    for ask in (lambda: scripts.run("echo", {}), scripts.time_ms):
        with pytest.raises(Unavailable):
            ask()


def test_unique_is_hexadecimal() -> None:
    made = {unique() for _ in range(100)}
    assert len(made) == 100
    assert all(len(one) == 32 and int(one, 16) >= 0 for one in made)


def test_the_messages_are_filled_by_the_scripts(tmp_path: Path) -> None:
    text = """
-- include: _messages.lua
local found = {}
for i, name in ipairs(ARGV) do found[i] = message(name, 'id', 'argument', 'line') end
return found
"""
    script = ScriptFolder(folder(tmp_path / "own", fill=text), flags=False)["fill"]
    found = script.run(fakeredis.FakeRedis(), ["t:"], list(TEMPLATES))
    wanted = [
        fill(one, task_id="id", link_id="id-patch", delivery_tag="id", argument="argument", line="line")
        for one in TEMPLATES.values()
    ]
    assert [one.decode() for one in found] == wanted
    assert not any("@@" in one for one in wanted)
