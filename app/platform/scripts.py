"""Lua scripts: files on disk, joined with what they include, run by their digest for one tenant.

A file's header names its keys, arguments and result. A line `-- include: name.lua` is replaced by that file, once:
it is looked for in the package's own folder, then in those that the package shares, then in this one's. A fragment
that Python makes (message templates, settings) is included in the same way; it stands in the script's text, so that
no call carries it. What is rarely needed is included within the function that needs it: a call makes the functions of
all that it includes anew, and these only when it comes to them. A shebang (`#!lua flags=allow-oom`) stays the first line.
"""

from __future__ import annotations

import hashlib
import json
import random
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from redis import Redis
from redis.exceptions import NoScriptError

from app.platform.dispatch import TEMPLATES
from app.platform.keys import Keys
from app.platform.redis import store_errors, typed

COMMON_FOLDER: Final = Path(__file__).parent / "lua"
_INCLUDE: Final = re.compile(r"^ *-- include: (?P<name>[\w.]+)$", re.MULTILINE)
_encode: Final = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode


class Script:
    """One script, ready to run."""

    def __init__(self, source: str) -> None:
        self.source = source
        self.sha = hashlib.sha1(source.encode(), usedforsecurity=False).hexdigest()

    def run(self, client: Redis, keys: Sequence[str], args: Sequence[str | bytes | int]) -> Any:
        """Run it; a server that doesn't know the digest yet is sent the text."""
        # Not `client.evalsha`, which looks for deprecated arguments among them at every call.
        command: Any = client.execute_command
        try:
            return command("EVALSHA", self.sha, len(keys), *keys, *args)
        except NoScriptError:
            return client.eval(self.source, len(keys), *keys, *args)


class ScriptFolder:
    """The scripts of one package's `lua/` folder, by file name without `.lua`.

    `shared` are folders of packages below. `made` are fragments that Python makes: file name → text. `flags` False
    leaves the shebang off, for servers that can't read it.
    """

    def __init__(
        self,
        folder: Path,
        *,
        shared: Sequence[Path] = (),
        made: Mapping[str, str] | None = None,
        flags: bool = True,
    ) -> None:
        self._folders = (folder, *shared, COMMON_FOLDER)
        self._made = {**templates(), **(made or {})}
        self._flags = flags
        self._loaded: dict[str, Script] = {}

    def __getitem__(self, name: str) -> Script:
        if name not in self._loaded:
            self._loaded[name] = Script(self.text(name))
        return self._loaded[name]

    def text(self, name: str) -> str:
        """The joined text of a script, as it is sent."""
        included: set[str] = set()

        def join(match: re.Match[str]) -> str:
            file = match["name"]
            if file in included:
                return ""
            included.add(file)
            return _INCLUDE.sub(join, self.fragment(file))

        text = _INCLUDE.sub(join, (self._folders[0] / f"{name}.lua").read_text())
        if text.startswith("#!") and not self._flags:
            text = text.split("\n", 1)[1]
        return text

    def fragment(self, file: str) -> str:
        """The text of a file that is included."""
        if file in self._made:
            return self._made[file]
        for folder in self._folders:
            if (folder / file).exists():
                return (folder / file).read_text()
        raise FileNotFoundError(f"no script folder of {', '.join(map(str, self._folders))} has {file}")


class Scripts:
    """Runs one package's scripts for one tenant.

    `common` stands in the control object of every call. `now_ms` replaces the server's clock in tests.
    """

    def __init__(
        self,
        client: Redis,
        keys: Keys,
        folder: ScriptFolder,
        *,
        common: Mapping[str, Any] | None = None,
        now_ms: Callable[[], int] | None = None,
    ) -> None:
        self.client = typed(client)
        self.keys = keys
        self._raw = client
        self._folder = folder
        self._common = dict(common or {})
        self._now_ms = now_ms

    def run(self, name: str, control: Mapping[str, Any], *payloads: str | bytes | int) -> Any:
        """One script's answer. `control` (names and numbers only) becomes its ARGV[1], with what the package has in
        common, a seed for unique ids, and a test's time; `payloads` follow as they are.

        Raises `Unavailable` while the store is away or full, `WrittenByNewer`.
        """
        arguments = {**self._common, **control, "seed": unique()}
        if self._now_ms is not None:
            arguments["now"] = self._now_ms()
        with store_errors():
            return self._folder[name].run(self._raw, [self.keys.prefix], [_encode(arguments), *payloads])

    def time_ms(self) -> int:
        """The server's clock, which decides."""
        if self._now_ms is not None:
            return self._now_ms()
        with store_errors():
            seconds, micros = self.client.time()
        return int(seconds) * 1000 + int(micros) // 1000


def unique() -> str:
    """32 hex digits that nobody else has, and that nobody has to guess. uuid4 asks the system for them, and lets the
    process's other threads run first, each time."""
    return f"{random.getrandbits(128):032x}"


def templates(messages: Mapping[str, str] = TEMPLATES) -> dict[str, str]:
    """The fragment that `_messages.lua` includes: the hand-built messages by name."""
    return {"_templates.lua": f"local TEMPLATES = {lua(messages)}\n"}


def lua(value: Any) -> str:
    """Text, numbers, truth values and mappings of them as a Lua expression."""
    match value:
        case bool():
            return "true" if value else "false"
        case int() | float():
            return repr(value)
        case str():
            return "'" + "".join(map(_lua_character, value)) + "'"
        case Mapping():
            return "{" + ",".join(f"[{lua(name)}]={lua(entry)}" for name, entry in value.items()) + "}"
    raise TypeError(f"{type(value).__name__} has no form in Lua here")


def _lua_character(one: str) -> str:
    return (
        one if one.isprintable() and one not in "'\\" else "".join(f"\\{byte:03d}" for byte in one.encode())
    )
