"""JSON as callers send it: strict about RFC 8259, and bounded before anything is made of it."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from typing import Any, Final, NoReturn

from app.platform.errors import BadRequest, InvalidInput, TooLarge

MAX_DEPTH: Final = 32
MOST_VALUES: Final = 50_000  # of a body; a schema takes about 10 µs a value
MOST_BULK_VALUES: Final = 200_000  # of one with many messages or events, which are read in turns
_LONGEST_PATH: Final = 256
_BAD_TEXT: Final = re.compile("[\x00\ud800-\udfff]")
_SUSPECT_ESCAPE: Final = re.compile(r"\\u(?:0000|[dD][89a-fA-F])")
# What a value more needs, with all that stands before it. Possessive and ending at the text's end too, so that no text
# can make it go back over itself.
_SEPARATOR: Final = re.compile(rb'(?:[^\[{,"]++|"(?:[^"\\]++|\\.)*+"?)*+(?:[\[{,]|\Z)', re.DOTALL)


def check_values(raw: bytes, most: int) -> None:
    """Refuse JSON of about more than `most` values, before it is read: commas and opening brackets are counted. Raises TooLarge."""
    if raw.count(b",") + raw.count(b"[") + raw.count(b"{") < most:
        return  # with those in strings, so there can't be more
    if next(islice(_SEPARATOR.finditer(raw), most + 1, None), None) is not None:
        raise TooLarge(f"The JSON holds more than {most} values.", code="too_many_values")


def strict_json(raw: bytes, most: int = MOST_VALUES) -> Any:
    """Read JSON as RFC 8259 has it: UTF-8, no NaN or Infinity, no member twice, at most `most` values and 32 levels, no NUL
    and no half surrogate in a string. Raises BadRequest, TooLarge."""
    check_values(raw, most)
    text = decode_utf8(raw)
    with json_errors():
        value = json.loads(text, object_pairs_hook=_members, parse_constant=_no_constant, parse_float=_finite)
    if _deeper_than(value, MAX_DEPTH):
        raise _too_deep()
    if (_SUSPECT_ESCAPE.search(text) or "\x00" in text) and _has_bad_text(value):
        raise InvalidInput([(_where_bad(value), "Text can't hold NUL or half a surrogate pair.")])
    return value


def decode_utf8(raw: bytes) -> str:
    """A body's text. Raises BadRequest."""
    try:
        return raw.decode()
    except UnicodeDecodeError as error:
        raise BadRequest(f"The body is not UTF-8 (byte {error.start}).", code="invalid_json") from error


@contextmanager
def json_errors() -> Iterator[None]:
    """What Python's JSON raises, as a BadRequest that says where."""
    try:
        yield
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        raise BadRequest(
            f"The body is not valid JSON ({where}: {error.msg}).", code="invalid_json"
        ) from error
    except RecursionError as error:
        raise _too_deep() from error
    except ValueError as error:  # an integer of more than 4,300 digits
        raise BadRequest("The JSON holds a number that is too long.", code="invalid_json") from error


def _too_deep() -> BadRequest:
    return BadRequest(f"The JSON is nested deeper than {MAX_DEPTH} levels.", code="json_too_deep")


def _deeper_than(value: Any, limit: int) -> bool:
    level = [value] if isinstance(value, (dict, list)) else []
    for _ in range(limit):
        if not level:
            return False
        level = [
            inner
            for outer in level
            for inner in (outer.values() if isinstance(outer, dict) else outer)
            if isinstance(inner, (dict, list))
        ]
    return bool(level)


def _members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        seen: set[str] = set()
        twice = next(name for name, _ in pairs if name in seen or seen.add(name))  # type: ignore[func-returns-value]
        raise BadRequest(f"The member {twice[:80]!r} stands twice in one object.", code="duplicate_member")
    return members


def _no_constant(name: str) -> NoReturn:
    raise BadRequest(f"{name} is not JSON.", code="invalid_json")


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise BadRequest("The JSON holds a number that is too large.", code="invalid_json")
    return number


def _has_bad_text(value: Any) -> bool:
    waiting = [value]
    while waiting:
        one = waiting.pop()
        if isinstance(one, str):
            if _BAD_TEXT.search(one):
                return True
        elif isinstance(one, dict):
            waiting += one
            waiting += one.values()
        elif isinstance(one, list):
            waiting += one
    return False


def _where_bad(value: Any) -> str | None:
    """The path of the first text that can't be, None for the value itself."""
    waiting = [("", value)]
    while waiting:
        path, one = waiting.pop()
        if isinstance(one, str) and _BAD_TEXT.search(one):
            return path or None
        if isinstance(one, dict):
            inner = [(_member_path(path, name), member) for name, member in one.items()]
            if any(_BAD_TEXT.search(name) for name in one):
                return path or None
            waiting += reversed(inner)
        elif isinstance(one, list):
            waiting += [(f"{path}[{index}]", item) for index, item in enumerate(one)][::-1]
    return None


def _member_path(path: str, name: str) -> str:
    return f"{path}.{name[:_LONGEST_PATH]}"[:_LONGEST_PATH] if path else name[:_LONGEST_PATH]
