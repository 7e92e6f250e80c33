"""Which names a Lua file takes from elsewhere, and which it defines for others: read from the compiled code of Lua 5.1."""

from __future__ import annotations

import re
import struct
from typing import Final

from lupa.lua51 import LuaRuntime

# What a server gives to every script.
GIVEN: Final = frozenset(
    [
        "KEYS",
        "ARGV",
        "redis",
        "cjson",
        "cmsgpack",
        "bit",
        "struct",
        "server",
        "math",
        "string",
        "table",
        "tonumber",
        "tostring",
        "type",
        "pairs",
        "ipairs",
        "next",
        "select",
        "unpack",
        "pcall",
        "error",
        "assert",
        "rawget",
        "rawset",
        "setmetatable",
        "getmetatable",
    ]
)
_GET_GLOBAL, _SET_GLOBAL = 5, 7
_DEFINED: Final = re.compile(r"^local (?:function (\w+)|([\w, ]+?)(?: =.*)?$)", re.MULTILINE)
_INCLUDE: Final = re.compile(r"^ *-- include: ([\w.]+)$", re.MULTILINE)


def taken(text: str) -> set[str]:
    """Names that the text uses and neither defines nor gets from the server."""
    plain = "--" + text if text.startswith("#!") else text
    dump = LuaRuntime(encoding=None).eval(b"function(text) return string.dump(assert(loadstring(text))) end")
    return _Compiled(dump(plain.encode())).globals() - GIVEN


def defined(text: str) -> set[str]:
    """Names that the text gives to whoever includes it: its outermost locals."""
    return {name.strip() for one, some in _DEFINED.findall(text) for name in (one or some).split(",")}


def included(text: str) -> list[str]:
    """The files that the text itself includes."""
    return _INCLUDE.findall(text)


class _Compiled:
    """A dumped function: <https://www.lua.org/source/5.1/ldump.c.html>, little-endian, 64 bits."""

    def __init__(self, code: bytes) -> None:
        assert code[:6] == b"\x1bLua\x51\x00", "not Lua 5.1"
        self._code = code
        self._at = 12

    def globals(self) -> set[str]:
        self._text()  # the source's name
        self._number("<iiBBBB")
        code = [self._number("<I") for _ in range(self._number("<i"))]
        constants = [self._constant() for _ in range(self._number("<i"))]
        found = {constants[one >> 14] for one in code if one & 0x3F in (_GET_GLOBAL, _SET_GLOBAL)}
        for _ in range(self._number("<i")):
            found |= self.globals()
        self._debug_information()
        return found

    def _constant(self) -> str:
        match self._number("<B"):
            case 1:
                self._number("<B")
            case 3:
                self._number("<d")
            case 4:
                return self._text()
        return ""

    def _debug_information(self) -> None:
        for _ in range(self._number("<i")):
            self._number("<i")
        for _ in range(self._number("<i")):
            self._text()
            self._number("<ii")
        for _ in range(self._number("<i")):
            self._text()

    def _text(self) -> str:
        length = self._number("<Q")
        text = self._code[self._at : self._at + length]
        self._at += length
        return text[:-1].decode("utf-8", "replace")

    def _number(self, form: str) -> int:
        values = struct.unpack_from(form, self._code, self._at)
        self._at += struct.calcsize(form)
        return int(values[0])
