"""What the stand-in keeps: content media and other resources, each with its lastModified."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

_TIME = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?)Z\Z")


@dataclass(slots=True)
class Record:
    """One content media (`fields` and `source`) or one other resource (`fields` only)."""

    name: str
    last_modified: str
    fields: dict[str, Any] = field(default_factory=dict)
    source: dict[str, Any] = field(default_factory=dict)
    deleted: bool = False
    writes: int = 0

    def as_json(self) -> dict[str, Any]:
        return {
            "id": self.name,
            "lastModified": self.last_modified,
            "fields": self.fields,
            "source": self.source,
            "deleted": self.deleted,
            "writes": self.writes,
        }


class Records:
    """By folded content media id or by path. Every write moves lastModified."""

    def __init__(self) -> None:
        self._records: dict[str, Record] = {}
        self._last_us = 0
        self._unsaved = False

    def clear(self) -> None:
        self._records.clear()
        self._unsaved = True

    def get(self, key: str, name: str, *, create: bool, coarse: bool = False) -> Record | None:
        record = self._records.get(key)
        if record is None and create:
            record = self._records[key] = Record(name, self._stamp(coarse=coarse))
            self._unsaved = True
        return record

    def touch(self, record: Record, *, coarse: bool) -> None:
        record.last_modified = self._stamp(coarse=coarse)
        record.writes += 1
        self._unsaved = True

    def _stamp(self, *, coarse: bool) -> str:
        """A time that is unique (seven digits, as .NET writes it) or, coarse, has whole seconds."""
        now = self._last_us = max(time.time_ns() // 1000, self._last_us + 1)
        seconds, rest = divmod(now, 1_000_000)
        text = datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")
        return f"{text}Z" if coarse else f"{text}.{rest:06d}0Z"

    def load(self, file: Path) -> None:
        if file.exists():
            for key, kept in json.loads(file.read_text()).items():
                self._records[key] = Record(**kept)

    def save(self, file: Path) -> None:
        """Whole or not at all, if anything has changed since the last time."""
        if not self._unsaved and file.exists():
            return
        self._unsaved = False
        kept = {
            key: {name: getattr(record, name) for name in Record.__slots__}
            for key, record in self._records.items()
        }
        draft = file.with_suffix(".part")
        draft.write_text(json.dumps(kept))
        draft.replace(file)


def document(record: Record, *, media: bool, shows: str, last_modified: str) -> dict[str, Any]:
    """What a GET answers, by the switches `shows` and `lastModified`."""
    shown: dict[str, Any] = {}
    if media:
        shown["contentMediaId"] = record.name
    shown |= _last_modified(record, last_modified)
    if shows == "none":
        return shown
    fields: Mapping[str, Any] = record.fields
    source: Mapping[str, Any] = record.source
    if shows == "some":
        fields, source = _every_second(fields), _every_second(source)
    ours: dict[str, Any] = dict(fields)
    if media:
        ours["technicalMedia"] = {"sourceMedia": source}
    if shows == "otherCase":
        ours = _other_case(ours)
    elif shows == "zoneless":
        ours = _zoneless(ours)
    return shown | ours


def _last_modified(record: Record, how: str) -> dict[str, Any]:
    variants: dict[str, dict[str, Any]] = {
        "normal": {"lastModified": record.last_modified},
        "missing": {},
        "otherCase": {"LastMODIFIED": record.last_modified},
        "empty": {"lastModified": ""},
        "number": {"lastModified": record.writes},
        "huge": {"lastModified": "x" * 2000},
    }
    return variants[how]


def _every_second(members: Mapping[str, Any]) -> dict[str, Any]:
    return {name: members[name] for name in sorted(members)[::2]}


def _other_case(value: Any) -> Any:
    if isinstance(value, dict):
        return {name[:1].upper() + name[1:]: _other_case(inner) for name, inner in value.items()}
    return [_other_case(inner) for inner in value] if isinstance(value, list) else value


def _zoneless(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _zoneless(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_zoneless(inner) for inner in value]
    match = _TIME.match(value) if isinstance(value, str) else None
    return match[1] if match else value
