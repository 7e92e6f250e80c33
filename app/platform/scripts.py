"""Lua scripts: files on disk, joined with what they include, run by their digest.

A file's header names its keys, arguments and result. A line `-- include: name.lua` is replaced by
that file, once, so that shared fragments are written once: it is looked for in the package's own folder, then in
those that the package shares, then in this one's. A shebang (`#!lua flags=allow-oom`) stays the first line.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from redis import Redis
from redis.exceptions import NoScriptError

GROUND: Final = Path(__file__).parent / "lua"
_INCLUDE = re.compile(r"^-- include: (?P<name>[\w.]+)$", re.MULTILINE)


class Script:
    """One script, ready to run. `flags` False leaves the shebang off, for servers that can't read it."""

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
    """The scripts of one package's `lua/` folder, by file name without `.lua`; `shared` are folders of packages below."""

    def __init__(self, folder: Path, *, shared: Sequence[Path] = (), flags: bool = True) -> None:
        self._folders = (folder, *shared, GROUND)
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
            return _INCLUDE.sub(join, self._find(file).read_text())

        text = _INCLUDE.sub(join, (self._folders[0] / f"{name}.lua").read_text())
        if text.startswith("#!") and not self._flags:
            text = text.split("\n", 1)[1]
        return text

    def _find(self, file: str) -> Path:
        for folder in self._folders:
            if (folder / file).exists():
                return folder / file
        raise FileNotFoundError(f"no script folder of {', '.join(map(str, self._folders))} has {file}")
