"""Reads rows out of an import file, one at a time: NDJSON, a JSON array, or an object that wraps one.

A file may be larger than memory, and one bad row must not cost the good ones: a row that can't be read is
yielded as such, with its line, and reading goes on.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO, Final

from app.platform.errors import MediaopsError
from app.platform.json_text import strict_json

LONGEST_ROW: Final = 8 * 1024 * 1024  # what the API takes in one call, by default
_CHUNK: Final = 256 * 1024
_BOM: Final = b"\xef\xbb\xbf"
_WRAPPED: Final = re.compile(rb'\s*\{\s*"(?:messages|registrations|activeLivestreams)"\s*:\s*\[')
_OPENED: Final = re.compile(rb"\s*\[")
_SPECIAL: Final = re.compile(rb'["\[\]{},]')
_IN_STRING: Final = re.compile(rb'["\\]')


@dataclass(frozen=True, slots=True)
class Row:
    """One row: its line in the file (from 1), its size, and its value, or the fault that kept it from being read."""

    line: int
    size: int
    value: Any = None
    fault: str | None = None


def rows(stream: BinaryIO) -> Iterator[Row]:
    """All rows of a file, in order."""
    head = _head(stream)
    begin = _WRAPPED.match(head) or _OPENED.match(head)
    if begin is None:
        yield from _lines(stream, head)
    else:
        yield from _elements(stream, head, begin.end())


def _head(stream: BinaryIO) -> bytes:
    head = b""
    while len(head) < _CHUNK:
        read = stream.read(_CHUNK - len(head))
        if not read:
            break
        head += read
    return head.removeprefix(_BOM)


def _row(line: int, raw: bytes) -> Row:
    try:
        return Row(line, len(raw), strict_json(raw))
    except MediaopsError as error:
        return Row(line, len(raw), fault=error.detail.replace("The body", "The row"))
    except RecursionError:
        return Row(line, len(raw), fault="The row is nested too deep.")


def _lines(stream: BinaryIO, head: bytes) -> Iterator[Row]:
    """NDJSON; blank lines are skipped, a line that is too long is a bad row and isn't kept in memory."""
    line, pending, too_long = 0, b"", False
    chunk = head
    while chunk:
        *whole, rest = chunk.split(b"\n")
        for part in whole:
            line += 1
            raw, pending = pending + part, b""
            if too_long or raw.strip():
                yield _too_long(line, len(raw)) if too_long or len(raw) > LONGEST_ROW else _row(line, raw)
            too_long = False
        pending += rest
        if len(pending) > LONGEST_ROW:
            pending, too_long = b"", True
        chunk = stream.read(_CHUNK)
    if too_long:
        yield _too_long(line + 1, len(pending))
    elif pending.strip():
        yield _row(line + 1, pending)


def _too_long(line: int, size: int) -> Row:
    return Row(line, size, fault=f"The row is longer than {LONGEST_ROW // 1024 // 1024} MiB.")


class _Scanner:
    """Finds where an element of a JSON array ends, by brackets and strings alone, so that a malformed element
    can be skipped. `cut` is the offset behind the element's last byte, None where more must be read."""

    def __init__(self) -> None:
        self.depth = 0
        self.in_string = False
        self.at = 0

    def next_end(self, buffer: bytearray) -> tuple[int, bytes] | None:
        """(offset of the `,` or `]` that ends the element, that byte), or None: the buffer ends before."""
        while self.at < len(buffer):
            match = (_IN_STRING if self.in_string else _SPECIAL).search(buffer, self.at)
            if match is None:
                self.at = len(buffer)
                return None
            character = match.group()
            if character == b"\\":
                if match.end() >= len(buffer):
                    self.at = match.start()  # what is escaped comes with the next read
                    return None
                self.at = match.end() + 1
                continue
            self.at = match.end()
            if self._ends(character):
                return match.start(), character
        return None

    def _ends(self, character: bytes) -> bool:
        if character == b'"':
            self.in_string = not self.in_string
        elif character in b"[{":
            self.depth += 1
        elif self.depth == 0:
            return character in b",]"
        elif character in b"]}":
            self.depth -= 1
        return False


def _elements(stream: BinaryIO, head: bytes, begin: int) -> Iterator[Row]:
    """The elements of an array. What stands behind the array is not read."""
    line = 1 + head.count(b"\n", 0, begin)
    buffer, scanner, first = bytearray(head[begin:]), _Scanner(), True
    while True:
        end = scanner.next_end(buffer)
        if end is None:
            read = stream.read(_CHUNK)
            if not read or len(buffer) > LONGEST_ROW:
                yield Row(line, len(buffer), fault=_unfinished(buffer, whole=not read))
                return
            buffer += read
            continue
        offset, character = end
        raw = bytes(buffer[:offset])
        blank = len(raw) - len(raw.lstrip())
        if raw.strip():
            yield _row(line + raw.count(b"\n", 0, blank), raw.strip())
        elif not (first and character == b"]"):
            yield Row(line + raw.count(b"\n"), 0, fault="A row is missing between two commas.")
        if character == b"]":
            return
        line += raw.count(b"\n")
        first, scanner.at = False, 0
        del buffer[: offset + 1]


def _unfinished(buffer: bytearray, *, whole: bool) -> str:
    if whole:
        return (
            "The file ends inside its list: rows may be missing."
            if buffer
            else "The file ends before its list does."
        )
    return f"A row is longer than {LONGEST_ROW // 1024 // 1024} MiB, or a quotation mark isn't closed; the rest wasn't read."
