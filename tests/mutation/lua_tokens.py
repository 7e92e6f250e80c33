"""Lua, as far as mutants need it: tokens with their places, statements that are calls, blocks."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

_TOKEN: Final = re.compile(
    r"""
    (?P<comment>--\[\[.*?\]\]|--[^\n]*|\A\#![^\n]*)
  | (?P<string>'(?:\\.|[^'\\\n])*'|"(?:\\.|[^"\\\n])*"|\[\[.*?\]\])
  | (?P<number>\d+(?:\.\d+)?)
  | (?P<name>[A-Za-z_]\w*)
  | (?P<symbol>==|~=|<=|>=|\.\.\.|\.\.|[-+*/%^\#<>=(){}\[\];:,.])
  | (?P<space>\s+)
    """,
    re.VERBOSE | re.DOTALL,
)
_OPENING: Final = {"function", "then", "do", "repeat", "else"}
KEYWORDS: Final = frozenset((
    "and", "break", "do", "else", "elseif", "end", "false", "for", "function", "if", "in", "local", "nil", "not", "or",
    "repeat", "return", "then", "true", "until", "while",
))  # fmt: skip


@dataclass(frozen=True)
class Token:
    kind: str
    text: str
    start: int
    line: int

    @property
    def end(self) -> int:
        return self.start + len(self.text)


def tokens(text: str) -> list[Token]:
    """Without spaces and comments. Raises ValueError where something isn't Lua as it is written here."""
    found = []
    at, line = 0, 1
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None:
            raise ValueError(f"line {line}: {text[at : at + 20]!r}")
        kind = str(match.lastgroup)
        if kind not in {"space", "comment"}:
            found.append(Token(kind, match[0], at, line))
        line += match[0].count("\n")
        at = match.end()
    return found


@dataclass(frozen=True)
class Block:
    """Where a block's statements begin, and the line of its last one. The first of a file is the whole file."""

    at: int
    first: int
    last: int
    function: str = ""


def blocks(text: str) -> list[Block]:
    """Every block of a file, outer ones first."""
    all_tokens = tokens(text)
    shebang = text.index("\n") + 1 if text.startswith("#!") else 0
    found = [Block(shebang, 1, text.count("\n") + 1)]
    open_: list[tuple[int, int, str]] = []
    number = 0
    while number < len(all_tokens):
        token = all_tokens[number]
        if token.text in {"end", "until", "else", "elseif"} and token.kind == "name" and open_:
            at, first, function = open_.pop()
            found.append(Block(at, first, token.line, function))
        if token.kind == "name" and token.text in _OPENING:
            function = ""
            if token.text == "function":
                closing = next(n for n in range(number, len(all_tokens)) if all_tokens[n].text == ")")
                named = all_tokens[number + 1]
                function = named.text if named.kind == "name" else "(function)"
                number = closing
            open_.append((all_tokens[number].end, token.line, function))
        number += 1
    return sorted(found, key=lambda block: (block.first, block.at))


def scope_at(found: Sequence[Block], at: int, line: int) -> str:
    """The innermost named function around a place."""
    around = [block.function for block in found if block.function and block.at <= at and line <= block.last]
    return around[-1] if around else ""


def statement_ends(all_tokens: Sequence[Token], number: int) -> int | None:
    """For a token that begins a line: the number of the last token of its statement where that is a call; else None."""
    at = number
    if all_tokens[at].kind != "name" or all_tokens[at].text in KEYWORDS:
        return None
    while at + 2 < len(all_tokens) and all_tokens[at + 1].text in {".", ":"}:
        at += 2
    if at + 1 >= len(all_tokens) or all_tokens[at + 1].text != "(":
        return None
    depth = 0
    for end in range(at + 1, len(all_tokens)):
        depth += {"(": 1, ")": -1}.get(all_tokens[end].text, 0)
        if depth == 0:
            return end
    return None
