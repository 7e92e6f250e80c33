"""Mutants of Lua, from its tokens."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from tests.mutation.lua_tokens import Token, blocks, scope_at, statement_ends, tokens
from tests.mutation.model import Mutant, numbered

_OTHER: Final = {
    "==": ("~=",), "~=": ("==",), "<": ("<=", ">="), "<=": ("<", ">"), ">": (">=", "<="), ">=": (">", "<"),
    "and": ("or",), "or": ("and",), "true": ("false",), "false": ("true",), "+": ("-",), "-": ("+",), "*": ("/",),
    "/": ("*",), "min": ("max",), "max": ("min",), "floor": ("ceil",),
}  # fmt: skip
_NAMES: Final = {"min", "max", "floor"}
_LOGGED: Final = ("note_request", "note")  # the timeline: for people to read


def mutants(path: str, text: str) -> list[Mutant]:
    """All of one file, in its order."""
    found = tokens(text)
    around = blocks(text)
    made = [*_operators(found), *_conditions(found, text), *_deleted(found, text), *_returned(found, text)]
    return numbered(
        Mutant(path, start, end, line, scope_at(around, start, line), kind, text[start:end], after)
        for start, end, line, kind, after in sorted(made)
    )


_Change = tuple[int, int, int, str, str]


def _operators(found: Sequence[Token]) -> Iterator[_Change]:
    for number, token in enumerate(found):
        before = found[number - 1] if number else None
        if token.kind == "number":
            yield _number(token)
        elif token.text == "not":
            yield token.start, token.end + 1, token.line, "not", ""
        elif token.kind != "string" and token.text in _OTHER:
            if token.text in _NAMES and (before is None or before.text != "."):
                continue
            if token.text == "-" and before is not None and before.text in {"(", ",", "=", "return", "{"}:
                continue
            for other in _OTHER[token.text]:
                yield token.start, token.end, token.line, "operator", other


def _number(token: Token) -> _Change:
    more = "2" if token.text == "1" else str(int(float(token.text)) + 1)
    return token.start, token.end, token.line, "number", more


def _conditions(found: Sequence[Token], text: str) -> Iterator[_Change]:
    """`if a then` becomes `if not (a) then`, and `if false then`."""
    for number, token in enumerate(found):
        if token.kind == "name" and token.text in {"if", "elseif"}:
            closing = next(n for n in range(number, len(found)) if found[n].text == "then")
            start, end = found[number + 1].start, found[closing - 1].end
            yield start, end, token.line, "negated", f"not ({text[start:end]})"
            yield start, end, token.line, "never", "false"


def _deleted(found: Sequence[Token], text: str) -> Iterator[_Change]:
    """Statements that begin a line or follow `then` or `else`: calls, and members of a table that are set."""
    for number, token in enumerate(found):
        before = found[number - 1] if number else None
        begins = before is None or before.line != token.line or before.text in {"then", "else", "do"}
        if not begins or (
            before is not None and before.text in {"(", ",", "{", "=", "and", "or", "..", "return"}
        ):
            continue
        end = statement_ends(found, number)
        if end is not None:
            after = found[end + 1] if end + 1 < len(found) else None
            # `f(x) or g(y)` and `a(b).c = d` are no statements of one call.
            whole = after is None or after.line != found[end].line or after.text in {"end", "return", "else"}
            if whole and token.text not in _LOGGED:
                yield token.start, found[end].end, token.line, "deleted", ""
        elif token.kind == "name" and _sets_member(found, number):
            line_end = text.find("\n", token.start)
            statement = text[token.start : line_end if line_end > 0 else len(text)]
            if statement.count("(") == statement.count(")") and statement.count("{") == statement.count("}"):
                statement = statement.split(" end")[0].split(" --")[0].rstrip()
                yield token.start, token.start + len(statement), token.line, "deleted", ""


def _sets_member(found: Sequence[Token], number: int) -> bool:
    """`a.b = …` or `a[b] = …`."""
    for token in found[number + 1 : number + 12]:
        if token.text == "=":
            return found[number + 1].text in {".", "["}
        if token.kind == "name" and token.text in {"end", "then", "return", "local"}:
            return False
    return False


def _returned(found: Sequence[Token], text: str) -> Iterator[_Change]:
    """`return x` becomes `return nil`, and where a condition is returned, `return true`."""
    for number, token in enumerate(found):
        if token.text != "return" or token.kind != "name" or number + 1 >= len(found):
            continue
        following = found[number + 1]
        if following.text in {"end", "true", "false", "nil", "0"} or following.line != token.line:
            continue
        line_end = text.find("\n", token.start)
        value = text[following.start : line_end if line_end > 0 else len(text)]
        value = value.split(" --")[0].split(" end")[0].rstrip()
        if value.count("(") != value.count(")") or value.count("{") != value.count("}"):
            continue
        end = following.start + len(value)
        yield following.start, end, token.line, "returned", "nil"
        if any(word in value for word in ("==", "~=", "<", ">", "not ", " and ", " or ")):
            yield following.start, end, token.line, "returned", "true"
