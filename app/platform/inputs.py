"""What comes from outside is checked here first: JSON text, ids, times. No Flask; marshmallow only.

Rooms build their schemas from `Schema` and the fields below: unknown members are refused, a number is no
string, and a string is no number.
"""

# ruff: noqa: ARG002 - the fields below have marshmallow's signatures
from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any, Final, NoReturn

import marshmallow as ma

from app.platform.clock import parse_time, rfc3339
from app.platform.errors import BadRequest, InvalidInput

MAX_ID: Final = 256
MAX_TEXT: Final = 2_000
MAX_DEPTH: Final = 32
_SHOWN_PROBLEMS: Final = 20
# C0, DEL, C1, lone surrogates, and what a decoder puts where bytes weren't UTF-8.
_BAD_CHARACTER: Final = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff\ufffd]")
# Possessive and with the closing quote optional, so that no text can make it go back over itself.
_BAD_SURROGATE: Final = re.compile("[\ud800-\udfff]")
_JSON_STRING: Final = re.compile(r'"(?:[^"\\]++|\\.)*+"?', re.DOTALL)
_SUSPECT_ESCAPE: Final = re.compile(r"\\u(?:0000|[dD][89a-fA-F])")


def identifier_fault(value: str) -> str | None:
    """What is wrong with an id, or None. Ids are opaque: only what no system could mean is refused."""
    if not value or value.isspace():
        return "An id can't be empty."
    if len(value) > MAX_ID:
        return f"An id has at most {MAX_ID} characters."
    if _BAD_CHARACTER.search(value):
        return "An id can't hold control characters or invalid text."
    if value in (".", ".."):
        return "An id can't be . or .. ."
    return None


def check_identifier(value: str, field: str) -> str:
    """The id itself; raises InvalidInput naming the field."""
    fault = identifier_fault(value)
    if fault:
        raise InvalidInput([(field, fault)])
    return value


def strict_json(raw: bytes) -> Any:
    """Read JSON as RFC 8259 has it: UTF-8, no NaN or Infinity, no member twice, at most 32 levels, no NUL
    and no half surrogate in a string. Raises BadRequest."""
    try:
        text = raw.decode()
    except UnicodeDecodeError as error:
        raise BadRequest(f"The body is not UTF-8 (byte {error.start}).", code="invalid_json") from error
    if _deeper_than(text, MAX_DEPTH):
        raise BadRequest(f"The JSON is nested deeper than {MAX_DEPTH} levels.", code="json_too_deep")
    try:
        value = json.loads(text, object_pairs_hook=_members, parse_constant=_no_constant, parse_float=_finite)
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        raise BadRequest(
            f"The body is not valid JSON ({where}: {error.msg}).", code="invalid_json"
        ) from error
    except ValueError as error:  # an integer of more than 4,300 digits
        raise BadRequest("The JSON holds a number that is too long.", code="invalid_json") from error
    if _SUSPECT_ESCAPE.search(text) or "\x00" in text:
        for path, string in _strings(value, ""):
            if "\x00" in string or _BAD_SURROGATE.search(string):
                raise InvalidInput([(path or None, "Text can't hold NUL or half a surrogate pair.")])
    return value


def _deeper_than(text: str, limit: int) -> bool:
    if text.count("[") + text.count("{") <= limit:
        return False
    depth = 0
    for bracket in re.findall(r"[\[\]{}]", _JSON_STRING.sub("", text)):
        depth += 1 if bracket in "[{" else -1
        if depth > limit:
            return True
    return False


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


def _strings(value: Any, path: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, str):
        yield path, value
    elif isinstance(value, dict):
        for name, member in value.items():
            yield path, name
            yield from _strings(member, f"{path}.{name}" if path else name)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _strings(item, f"{path}[{index}]")


def problems_of(messages: Any, path: str = "") -> Iterator[tuple[str | None, str]]:
    """marshmallow's nested messages as (path, text): `livestreams[0].preKoUtc`."""
    if isinstance(messages, Mapping):
        for name, inner in messages.items():
            if name == "_schema":
                yield from problems_of(inner, path)
            elif isinstance(name, int):
                yield from problems_of(inner, f"{path}[{name}]")
            else:
                yield from problems_of(inner, f"{path}.{name}" if path else str(name))
    elif isinstance(messages, list):
        for inner in messages:
            yield from problems_of(inner, path)
    else:
        yield path[:MAX_ID] or None, str(messages)


def invalid(error: ma.ValidationError) -> InvalidInput:
    """The answerable form of a marshmallow error."""
    return InvalidInput(list(problems_of(error.messages))[:_SHOWN_PROBLEMS])


def load(schema: ma.Schema, data: Any) -> Any:
    """`schema.load` that raises InvalidInput."""
    try:
        return schema.load(data)
    except ma.ValidationError as error:
        raise invalid(error) from error


class Schema(ma.Schema):
    """Base of every schema: members in their order, unknown ones refused."""

    class Meta:
        unknown = ma.RAISE


class Text(ma.fields.String):
    """A string without control characters, of at most `longest` characters."""

    def __init__(self, *, longest: int = MAX_TEXT, **kwargs: Any) -> None:
        self.longest = longest
        super().__init__(**kwargs)
        self.validators.insert(0, ma.validate.Length(max=longest))

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> Any:
        text = super()._deserialize(value, attr, data, **kwargs)
        if _BAD_CHARACTER.search(text):
            raise ma.ValidationError("Text can't hold control characters or invalid text.")
        return text


class Identifier(ma.fields.String):
    """An opaque id: not empty, at most 256 characters, no control characters."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.validators.insert(0, ma.validate.Length(min=1, max=MAX_ID))

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> Any:
        text = super()._deserialize(value, attr, data, **kwargs)
        fault = identifier_fault(text)
        if fault:
            raise ma.ValidationError(fault)
        return text


class Instant(ma.fields.Field[datetime]):
    """An RFC 3339 time: an aware datetime inside, UTC with `Z` outside."""

    def _serialize(self, value: Any, attr: str | None, obj: Any, **kwargs: Any) -> Any:
        return rfc3339(value) if isinstance(value, datetime) else value

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> datetime:
        if not isinstance(value, str):
            raise ma.ValidationError("A time is a string such as 2026-11-21T19:30:00Z.")
        try:
            return parse_time(value)
        except (ValueError, OverflowError) as error:
            raise ma.ValidationError(f"{str(error)[:1].upper()}{str(error)[1:]}.") from error


class Whole(ma.fields.Integer):
    """A JSON number without a fraction; neither "1" nor true."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> Any:
        if isinstance(value, bool) or not isinstance(value, int):
            raise ma.ValidationError("Not a whole number.")
        return super()._deserialize(value, attr, data, **kwargs)


class Flag(ma.fields.Boolean):
    """JSON true or false; neither "yes" nor 1."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> Any:
        if not isinstance(value, bool):
            raise ma.ValidationError("Neither true nor false.")
        return value


class PageSchema(Schema):
    limit = ma.fields.Integer(
        load_default=100, validate=ma.validate.Range(min=1, max=1000), metadata={"default": 100}
    )
    cursor = Text(longest=200)


class Shown(Schema):
    """Base of answers: they describe what views return as JSON, which may have members beyond these."""

    class Meta:
        unknown = ma.INCLUDE
