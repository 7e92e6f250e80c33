"""How a document of AVOS shows what was or would be sent. Pure functions.

Only `lastModified` is promised. Keys compare without regard to case, times as instants (no zone is
UTC), structures as structures; a null inside a structure is the same as a missing member.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from typing import Any, Final

from app.outgoing.model import ABSENT
from app.platform.clock import parse_time

MAX_LAST_MODIFIED: Final = 1024  # bytes
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")


class Match(StrEnum):
    EQUAL = "equal"
    DIFFERENT = "different"
    NOT_SHOWN = "not_shown"


def last_modified_of(document: Mapping[str, Any]) -> str | None:
    """The opaque string to echo, or None where it is missing or unusable: not a non-empty string,
    over 1 KiB, with control characters, or not valid Unicode."""
    value = member_of(document, "lastModified")
    if not isinstance(value, str) or not value or _CONTROL.search(value):
        return None
    try:
        size = len(value.encode())
    except UnicodeEncodeError:
        return None
    return value if size <= MAX_LAST_MODIFIED else None


def compare(
    document: Mapping[str, Any], members: Mapping[str, Any], section: Sequence[str] = ()
) -> dict[str, Match]:
    """How `document` shows each member that isn't ABSENT, in the object that `section` leads to
    (`paths.section_of`)."""
    part = in_section(document, section)
    return {
        name: _verdict(member_of(part, name), wanted)
        for name, wanted in members.items()
        if wanted is not ABSENT
    }


def in_section(document: Mapping[str, Any], section: Sequence[str]) -> Mapping[str, Any]:
    """The object of `document` that `section` leads to; empty where there is none."""
    shown: Any = document
    for name in section:
        shown = member_of(shown, name) if isinstance(shown, Mapping) else ABSENT
    return shown if isinstance(shown, Mapping) else {}


def overall(verdicts: Mapping[str, Match]) -> Match:
    """One word for all: different when any is, equal when all are, else not shown."""
    if Match.DIFFERENT in verdicts.values():
        return Match.DIFFERENT
    if Match.NOT_SHOWN in verdicts.values() or not verdicts:
        return Match.NOT_SHOWN
    return Match.EQUAL


def same(left: Any, right: Any) -> bool:
    """Equality of two JSON values as described above."""
    if isinstance(left, Mapping) and isinstance(right, Mapping):
        ours, theirs = _folded(left), _folded(right)
        return ours.keys() == theirs.keys() and all(same(ours[name], theirs[name]) for name in ours)
    if isinstance(left, list | tuple) and isinstance(right, list | tuple):
        return len(left) == len(right) and all(map(same, left, right))
    if isinstance(left, str) and isinstance(right, str):
        return left == right or _same_instant(left, right)
    if isinstance(left, bool) or isinstance(right, bool):
        return left is right
    return bool(left == right)


def _verdict(shown: Any, wanted: Any) -> Match:
    if shown is ABSENT:
        return Match.NOT_SHOWN
    return Match.EQUAL if same(shown, wanted) else Match.DIFFERENT


def member_of(document: Mapping[str, Any], name: str) -> Any:
    """The member by its own spelling, else by the first that differs in case only, else ABSENT."""
    if name in document:
        return document[name]
    folded = name.casefold()
    return next((value for key, value in document.items() if key.casefold() == folded), ABSENT)


def _folded(value: Mapping[str, Any]) -> dict[str, Any]:
    return {name.casefold(): inner for name, inner in value.items() if inner is not None}


def _same_instant(left: str, right: str) -> bool:
    first = _instant(left)
    return first is not None and first == _instant(right)


def _instant(text: str) -> datetime | None:
    try:
        return parse_time(text)
    except (ValueError, OverflowError):
        return None
