"""What the stand-in does with a request: the rules of AVOS, and the faults that were switched on."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar
from urllib.parse import unquote

from deploy.simulators.avos.journal import AvosJournal, Entry
from deploy.simulators.avos.records import Record, Records, document
from deploy.simulators.parts.answers import Answer, as_json, error, parsed
from deploy.simulators.parts.service import StandInService
from deploy.simulators.parts.switches import Choices, Fault

_LIVE = re.compile(r"/external/contentMedia/live/([^/?]+)(/[^?]*)?")
SOURCE = "/technicalMedia/sourceMedia/"


@dataclass(slots=True)
class Call:
    """A request on its way: what it is about, its place in the journal, and how long it takes."""

    method: str
    path: str
    body: Any
    entry: Entry
    key: str
    name: str
    media: str | None  # folded id
    rest: str  # what follows the content media's own path
    latency_s: float

    @property
    def one(self) -> str | None:
        return self.media


class Service(StandInService[Call]):
    """What AVOS does."""

    scope = "contentMedia"
    choices: ClassVar[Choices] = {
        "lastModified": ("normal", "missing", "otherCase", "empty", "number", "huge"),
        "shows": ("all", "some", "none", "otherCase", "zoneless"),
        "conflictStatus": (409, 412),
        "coarse": (False, True),
        "mustBeKnown": (False, True),
    }
    own_kinds = ("conflict", "edit")
    malformed = b'{"lastModified": "20'
    journal: AvosJournal

    def __init__(self, journal: AvosJournal, *, token: str | None, header: str, scheme: str) -> None:
        super().__init__(journal)
        self.records = Records()
        self._auth_header = header.lower()
        self._credentials = None if token is None else f"{scheme} {token}".strip()

    def arrive(self, method: str, path: str, body: bytes) -> Call:
        """Note a request. What is sent may be no JSON; only PATCH minds."""
        match = _LIVE.match(path)
        name = unquote(match[1]) if match else path
        key = name.casefold() if match else path
        media = key if match else None
        content = parsed(body)
        sent = content.get("lastModified") if isinstance(content, dict) else None
        entry = self.journal.arrival(
            method, path, name if match else None, content, sent if isinstance(sent, str) else None
        )
        rest = (match[2] or "") if match else ""
        return Call(
            method, path, content, entry, key, name, media, rest, self.switches.latency_s(method, media)
        )

    def refusal_of_caller(self, call: Call, headers: Mapping[str, str]) -> Answer | None:
        if self._credentials is None or headers.get(self._auth_header) == self._credentials:
            return None
        return self.error(call, 401, "no or wrong credentials")

    def own_fault(self, call: Call, fault: Fault) -> Answer | None:
        if fault.kind == "conflict":
            return error(self.switches.value("conflictStatus", call.one), "lastModified does not match")
        if fault.kind == "edit":
            self.edit(call.name, {"fields": {"editedBy": "somebody else"}})
            return self.apply(call)
        return None

    def error(self, _call: Call, status: int, why: str, headers: Mapping[str, str] | None = None) -> Answer:
        return error(status, why, headers)

    def apply(self, call: Call) -> Answer:
        if not call.path.startswith("/external/"):
            return error(404, "no such path")
        if call.rest == SOURCE:
            return self._write(call, source=True) if call.method == "PATCH" else error(405, "PATCH only")
        if call.rest == SOURCE.rstrip("/"):
            return error(404, "no such path (the trailing slash is missing)")
        if call.rest:
            call.key, call.name = call.path, call.path
        if call.method == "GET":
            return self._read(call)
        return self._write(call, source=False)

    def _record(self, call: Call) -> Record | None:
        must_be_known = call.media is not None and self.switches.value("mustBeKnown", call.media)
        record = self.records.get(call.key, call.name, create=not must_be_known)
        if record is not None:
            call.entry.before = record.last_modified
        return record

    def _read(self, call: Call) -> Answer:
        record = self._record(call)
        if record is None or record.deleted:
            return error(404, "no such content")
        shown = document(
            record,
            media=call.media is not None and not call.rest,
            shows=self.switches.value("shows", call.media),
            last_modified=self.switches.value("lastModified", call.media),
        )
        return as_json(shown)

    def _write(self, call: Call, *, source: bool) -> Answer:
        record = self._record(call)
        if record is None or (record.deleted and call.method not in ("PUT", "POST")):
            return error(404, "no such content")
        members = call.body if isinstance(call.body, dict) else {"value": call.body}
        if call.method == "PATCH":
            refusal = self._refusal(call, record)
            if refusal is not None:
                return refusal
            members = {name: value for name, value in members.items() if name != "lastModified"}
        if call.method in ("PUT", "DELETE"):
            record.fields = {}
        record.deleted = call.method == "DELETE"
        if not record.deleted:
            (record.source if source else record.fields).update(members)
        self.records.touch(record, coarse=self.switches.value("coarse", call.media))
        self.journal.applied(call.entry, record.last_modified)
        status = 201 if call.method == "POST" else 200
        return as_json({"lastModified": record.last_modified}, status)

    def _refusal(self, call: Call, record: Record) -> Answer | None:
        if not isinstance(call.body, dict):
            return error(400, "the body is no JSON object")
        if call.entry.lastModified is None:
            return error(400, "lastModified is missing")
        if call.entry.lastModified != record.last_modified:
            return error(self.switches.value("conflictStatus", call.media), "lastModified does not match")
        return None

    def edit(self, name: str, changes: Mapping[str, Any]) -> dict[str, Any]:
        """Somebody else changes a content media; it is created where it was unknown."""
        entry = self.journal.arrival("EDIT", f"/_edit/{name}", name, dict(changes), None)
        record = self.records.get(name.casefold(), name, create=True)
        assert record is not None  # noqa: S101 - create=True
        entry.before = record.last_modified
        record.fields.update(changes.get("fields") or {})
        record.source.update(changes.get("source") or {})
        record.deleted = False
        self.records.touch(record, coarse=self.switches.value("coarse", name.casefold()))
        self.journal.applied(entry, record.last_modified)
        self.journal.closed(entry, 200)
        return record.as_json()

    def state(self, name: str) -> dict[str, Any] | None:
        """One content media (by id) or other resource (by path) as it really is."""
        record = self.records.get(name if name.startswith("/") else name.casefold(), name, create=False)
        return None if record is None else record.as_json()

    def forget(self) -> None:
        self.records.clear()

    def own_control(self, what: str, name: str, given: Any) -> Answer | None:
        return as_json(self.edit(name, given)) if what == "POST edit" and name else None
