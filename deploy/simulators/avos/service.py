"""What the stand-in does with a request: the rules of AVOS, and the faults that were switched on."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import unquote

from deploy.simulators.avos.journal import AvosJournal, Entry
from deploy.simulators.avos.records import Record, Records, document
from deploy.simulators.parts.answers import Answer, as_json, error, parsed
from deploy.simulators.parts.switches import BadSwitch, Choices, Fault, Switches

_LIVE = re.compile(r"/external/contentMedia/live/([^/?]+)(/[^?]*)?")
SOURCE = "/technicalMedia/sourceMedia/"
SWITCHES: Final[tuple[str, Choices]] = (
    "contentMedia",
    {
        "lastModified": ("normal", "missing", "otherCase", "empty", "number", "huge"),
        "shows": ("all", "some", "none", "otherCase", "zoneless"),
        "conflictStatus": (409, 412),
        "coarse": (False, True),
        "mustBeKnown": (False, True),
    },
)


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


class Service:
    """All of the stand-in but its sockets. Nothing in here waits, so that each write is one step."""

    def __init__(self, journal: AvosJournal, *, token: str | None, header: str, scheme: str) -> None:
        self.switches = Switches(*SWITCHES)
        self.records = Records()
        self.journal = journal
        self._auth_header = header.lower()
        self._credentials = None if token is None else f"{scheme} {token}".strip()

    def credentials(self, headers: Mapping[str, str]) -> str | None:
        """What a request says of who sends it."""
        return headers.get(self._auth_header)

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

    def handle(self, call: Call, credentials: str | None) -> Answer:
        """Do it, and say what is answered."""
        answer = self._handle(call, credentials)
        if answer.later_s is None:
            self.journal.closed(call.entry, answer.status)
        return answer

    def carry_out(self, call: Call) -> None:
        """What was reset some time ago is done after all; nobody hears of it but the journal."""
        self.journal.closed(call.entry, self._apply(call).status, heard=False)

    def _handle(self, call: Call, credentials: str | None) -> Answer:
        if self._credentials is not None and credentials != self._credentials:
            return error(401, "no or wrong credentials")
        fault = self.switches.fault(call.method, call.path, call.media)
        if fault is None:
            return self._apply(call)
        call.entry.fault = fault.kind
        return self._failing(call, fault)

    def _failing(self, call: Call, fault: Fault) -> Answer:
        if fault.kind == "conflict":
            return error(self.switches.value("conflictStatus", call.media), "lastModified does not match")
        if fault.kind == "late":
            return Answer(None, later_s=fault.intervalMs / 1000)
        if fault.kind == "edit":
            self.edit(call.name, {"fields": {"editedBy": "somebody else"}})
            return self._apply(call)
        answer = self._apply(call) if fault.when == "after" or fault.kind in ("drip", "malformed") else None
        if fault.kind == "drip" and answer is not None:
            answer.drip_s, answer.drip_headers = fault.intervalMs / 1000, fault.headers
            return answer
        if fault.kind == "malformed" and answer is not None:
            answer.body = b'{"lastModified": "20'
            return answer
        if fault.kind == "status":
            headers = {} if fault.retryAfter is None else {"Retry-After": f"{fault.retryAfter}"}
            return error(fault.status, "a switched-on fault", headers)
        return Answer(None, hang=fault.kind == "hang")

    def _apply(self, call: Call) -> Answer:
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
        return Answer(200, json.dumps(shown).encode())

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
        return Answer(status, json.dumps({"lastModified": record.last_modified}).encode())

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

    def reset(self) -> None:
        self.switches = Switches(*SWITCHES)
        self.records.clear()
        self.journal.clear()

    def control(self, method: str, path: str, body: bytes) -> Answer:
        """The paths that begin with `/_`."""
        bare, _, query = path.partition("?")
        verb, _, name = bare[2:].partition("/")
        name = unquote(name)
        try:
            return self._control(f"{method} {verb}", name, query, json.loads(body or b"{}"))
        except (BadSwitch, ValueError, AttributeError) as fault:
            return error(400, str(fault))

    def _control(self, what: str, name: str, query: str, given: Any) -> Answer:
        if what == "GET journal":
            entries = self.journal.after(int(query.removeprefix("after=") or 0))
            lines = b"".join(json.dumps(entry).encode() + b"\n" for entry in entries)
            return Answer(200, lines, content_type="application/x-ndjson")
        if what == "GET state" and name:
            state = self.state(name)
            return error(404, "unknown") if state is None else as_json(state)
        if what == "POST edit" and name:
            return as_json(self.edit(name, given))
        if what in ("GET control", "PUT control"):
            if what.startswith("PUT"):
                self.switches.set(given)
            return as_json(self.switches.as_json())
        if what == "POST reset":
            self.reset()
            return as_json({})
        return error(404, "no such control")
