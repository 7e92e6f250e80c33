"""One event as its publisher sent it: checked against its family, and the envelope completed.

What is missing is appended to the text itself, so that everything the publisher wrote stays byte for byte:
the spelling of a timestamp, `{}` against `[]`, `0.0`, members that no schema knows.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC
from typing import Final

from app.events.catalogue import GONE_REASON, Topic, is_gone, name_fault
from app.events.families import SCHEMAS
from app.platform.clock import utcnow
from app.platform.errors import BadRequest, InvalidInput, MediaopsError, TooLarge
from app.platform.inputs import load
from app.platform.json_text import MOST_BULK_VALUES, check_values, decode_utf8, json_errors, strict_json

MAX_EVENT: Final = 1024 * 1024
MAX_EVENTS: Final = 1_000
VERSIONS: Final = ("1.0",)
_BLANK: Final = " \t\n\r"


@dataclass(frozen=True, slots=True)
class Filling:
    """What an envelope gets where its publisher left something out; `originator` is who published it."""

    tenant: str
    originator: str
    guid: str


@dataclass(frozen=True, slots=True)
class Checked:
    """An event that fits its family, with a complete envelope."""

    name: str
    guid: str
    event: bytes


@dataclass(frozen=True, slots=True)
class RefusedEvent:
    """An event of several that wasn't taken, and why."""

    index: int
    error: MediaopsError

    @property
    def problems(self) -> list[tuple[str | None, str]]:
        """(Path of the field within the event, what is wrong with it), at least one."""
        if isinstance(self.error, InvalidInput):
            return self.error.problems
        return [(self.error.field, self.error.detail)]


def complete(topic: Topic, raw: bytes, filling: Filling) -> Checked:
    """Check one event's text and append what its envelope lacks. Raises InvalidInput naming each field,
    BadRequest for what is no JSON or gone since 2.x, TooLarge."""
    if len(raw) > MAX_EVENT:
        raise TooLarge(
            f"An event has at most {MAX_EVENT} bytes; this one has {len(raw)}.", code="event_too_large"
        )
    body = strict_json(raw)
    if not isinstance(body, dict):
        raise InvalidInput([(None, "An event is a JSON object.")])
    name = body.get("eventName")
    if not isinstance(name, str) or not name:
        raise InvalidInput([("eventName", "An event says by this member, a string, which one it is.")])
    if is_gone(name) and name not in topic.events:
        raise BadRequest(f"The event {name} is gone: {GONE_REASON}.", code="gone", field="eventName")
    fault = name_fault(topic, name)
    if fault:
        raise InvalidInput([("eventName", fault)])
    load(SCHEMAS[topic.events[name]], body)
    missing = {member: value for member, value in _envelope(filling).items() if member not in body}
    return Checked(name, body.get("guid", filling.guid), _append(raw, missing))


def _envelope(filling: Filling) -> Mapping[str, object]:
    return {
        "originator": filling.originator,
        "tenant": filling.tenant,
        "versions": list(VERSIONS),
        "timestamp": timestamp(),
        "guid": filling.guid,
    }


def timestamp() -> str:
    """Now, as it is written where we fill it in: milliseconds and `Z`."""
    return utcnow().astimezone(UTC).replace(tzinfo=None).isoformat(timespec="milliseconds") + "Z"


def _append(raw: bytes, members: Mapping[str, object]) -> bytes:
    """The object's text with members added at its end. It has one member at least already."""
    text = raw.strip(_BLANK.encode())
    if not members:
        return text
    added = json.dumps(members, ensure_ascii=False, separators=(",", ":"))
    return text[:-1].rstrip(_BLANK.encode()) + b"," + added[1:].encode()


def split(body: bytes) -> tuple[list[bytes], bool]:
    """The texts of the events in a body, and whether it is an array (one object otherwise). Raises
    BadRequest, TooLarge."""
    check_values(body, MOST_BULK_VALUES)
    text = decode_utf8(body).strip(_BLANK)
    if not text.startswith("["):
        return [text.encode()], False
    with json_errors():
        return _items(text), True


def _items(text: str) -> list[bytes]:
    """The texts of an array's items, as they stand."""
    decoder = json.JSONDecoder()
    items: list[bytes] = []
    place = _skip(text, 1)
    if text[place : place + 1] == "]":
        _end(text, place)
        raise InvalidInput([(None, "The array holds no event.")])
    while True:
        _, end = decoder.raw_decode(text, place)
        items.append(text[place:end].encode())
        place = _skip(text, end)
        follows = text[place : place + 1]
        if follows == "]":
            _end(text, place)
            break
        if follows != ",":
            raise json.JSONDecodeError("Expecting ',' delimiter", text, place)
        place = _skip(text, place + 1)
        if len(items) == MAX_EVENTS:
            raise TooLarge(f"One call takes at most {MAX_EVENTS} events.", code="too_many_events")
    return items


def _skip(text: str, place: int) -> int:
    while place < len(text) and text[place] in _BLANK:
        place += 1
    return place


def _end(text: str, place: int) -> None:
    if place != len(text) - 1:
        raise json.JSONDecodeError("Extra data", text, place + 1)
