"""What comes from outside is checked here first: ids, texts, times, lists. No Flask; marshmallow only.

Rooms build their schemas from `Schema` and the fields below: unknown members are refused, a number is no
string, a string is no number, and how long something is counts before what is in it.
"""

# ruff: noqa: ARG002 - the fields below have marshmallow's signatures
from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import datetime
from itertools import islice
from typing import Any, Final

import marshmallow as ma

from app.platform.clock import parse_time, rfc3339
from app.platform.errors import InvalidInput
from app.platform.turns import in_turns

MAX_ID: Final = 256
MAX_TEXT: Final = 2_000
LAST_YEAR: Final = 2999  # deadlines are computed from times; and some senders write 9999 for "never"
SHOWN_PROBLEMS: Final = 20
# C0, DEL, C1, lone surrogates, and what a decoder puts where bytes weren't UTF-8.
_BAD_CHARACTER: Final = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff\ufffd]")


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


def invalid(error: ma.ValidationError, path: str = "") -> InvalidInput:
    """The answerable form of a marshmallow error, of what stands at `path`."""
    return InvalidInput(list(islice(problems_of(error.messages, path), SHOWN_PROBLEMS)))


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
    """An RFC 3339 time from 1970 to `LAST_YEAR`: an aware datetime inside, UTC with `Z` outside."""

    def _serialize(self, value: Any, attr: str | None, obj: Any, **kwargs: Any) -> Any:
        return rfc3339(value) if isinstance(value, datetime) else value

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> datetime:
        if not isinstance(value, str):
            raise ma.ValidationError("A time is a string such as 2026-11-21T19:30:00Z.")
        try:
            time = parse_time(value)
        except (ValueError, OverflowError) as error:
            raise ma.ValidationError(f"{str(error)[:1].upper()}{str(error)[1:]}.") from error
        if time.year > LAST_YEAR:
            raise ma.ValidationError(f"A time after the year {LAST_YEAR}; leave it out where there is none.")
        return time


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


class List(ma.fields.List[Any]):
    """A list of at most `most` items. A longer one is refused before any item is looked at, and long ones are read in turns."""

    def __init__(self, inner: ma.fields.Field[Any], *, most: int, least: int = 0, **kwargs: Any) -> None:
        super().__init__(inner, **kwargs)
        self._length = ma.validate.Length(min=least or None, max=most)
        self.validators.insert(0, self._length)  # for the description of the API

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> Any:
        if isinstance(value, list):
            self._length(value)
            value = in_turns(value)
        return super()._deserialize(value, attr, data, **kwargs)


class Members(ma.fields.Dict):
    """An object of any names, at most `most` of them: more are refused before any is looked at."""

    def __init__(self, *, most: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._length = ma.validate.Length(max=most)
        self.validators.insert(0, self._length)

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> Any:
        if not isinstance(value, dict):
            raise ma.ValidationError("Not a JSON object.")
        self._length(value)
        return super()._deserialize(value, attr, data, **kwargs)  # type: ignore[no-untyped-call]  # marshmallow's


class PageSchema(Schema):
    limit = ma.fields.Integer(
        load_default=100, validate=ma.validate.Range(min=1, max=1000), metadata={"default": 100}
    )
    cursor = Text(longest=200)


class AnswerSchema(Schema):
    """Base of answers: they describe what views return as JSON, which may have members beyond these."""

    class Meta:
        unknown = ma.INCLUDE
