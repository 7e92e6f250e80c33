"""What every stand-in does with a request: it notes it, lets the faults strike that were switched on, and is looked at."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar, Final, Generic, Protocol, TypeVar
from urllib.parse import unquote

from deploy.simulators.parts.answers import Answer, as_json, error
from deploy.simulators.parts.journal import Journal, JournalEntry
from deploy.simulators.parts.switches import BadSwitch, Choices, Fault, Switches

_APPLIED_FIRST: Final = ("drip", "malformed")


class StruckEntry(JournalEntry, Protocol):
    """A journal's entry that says by which fault its request was struck."""

    fault: str | None


class Call(Protocol):
    """A request on its way. `one`: whose own switches count, folded."""

    @property
    def method(self) -> str: ...
    @property
    def path(self) -> str: ...
    @property
    def one(self) -> str | None: ...
    @property
    def entry(self) -> StruckEntry: ...
    @property
    def latency_s(self) -> float: ...


C = TypeVar("C", bound=Call)


class StandInService(ABC, Generic[C]):
    """All of a stand-in but its sockets. Nothing in here waits, so that each write is one step."""

    scope: ClassVar[str]  # what the switches of single things are called
    choices: ClassVar[Choices]
    own_kinds: ClassVar[tuple[str, ...]] = ()  # the faults of this stand-in alone
    malformed: ClassVar[bytes]  # the body of an answer that is no JSON

    def __init__(self, journal: Journal[Any]) -> None:
        self.switches = self._no_switches()
        self.journal = journal

    @abstractmethod
    def arrive(self, method: str, path: str, body: bytes) -> C:
        """Note a request."""

    @abstractmethod
    def refusal_of_caller(self, call: C, headers: Mapping[str, str]) -> Answer | None:
        """What is answered to a caller who may not call; `headers` by their names in lower case."""

    @abstractmethod
    def apply(self, call: C) -> Answer:
        """Carry out a request."""

    @abstractmethod
    def error(self, call: C, status: int, why: str, headers: Mapping[str, str] | None = None) -> Answer:
        """An error as this service writes it."""

    @abstractmethod
    def state(self, name: str) -> dict[str, Any] | None:
        """One of what it holds, as it really is."""

    @abstractmethod
    def forget(self) -> None:
        """Forget all that it holds."""

    def own_control(self, what: str, name: str, given: Any) -> Answer | None:
        """A control call of this stand-in alone; None: there is none such. Raises BadSwitch."""

    def own_fault(self, call: C, fault: Fault) -> Answer | None:
        """A fault of this stand-in alone; None: it is one that all have."""

    def handle(self, call: C, headers: Mapping[str, str]) -> Answer:
        """Do it, and say what is answered."""
        answer = self.refusal_of_caller(call, headers) or self._struck(call)
        if answer.later_s is None:
            self.journal.closed(call.entry, answer.status)
        return answer

    def carry_out(self, call: C) -> None:
        """What was reset some time ago is done after all; nobody hears of it but the journal."""
        self.journal.closed(call.entry, self.apply(call).status, heard=False)

    def _struck(self, call: C) -> Answer:
        fault = self.switches.fault(call.method, call.path, call.one)
        if fault is None:
            return self.apply(call)
        call.entry.fault = fault.kind
        return self.own_fault(call, fault) or self._failing(call, fault)

    def _failing(self, call: C, fault: Fault) -> Answer:
        if fault.kind == "late":
            return Answer(None, later_s=fault.intervalMs / 1000)
        answer = self.apply(call) if fault.when == "after" or fault.kind in _APPLIED_FIRST else None
        if fault.kind == "drip" and answer is not None:
            answer.drip_s, answer.drip_headers = fault.intervalMs / 1000, fault.headers
            return answer
        if fault.kind == "malformed" and answer is not None:
            answer.body = self.malformed
            return answer
        if fault.kind == "status":
            headers = {} if fault.retryAfter is None else {"Retry-After": f"{fault.retryAfter}"}
            return self.error(call, fault.status, "a switched-on fault", headers)
        return Answer(None, hang=fault.kind == "hang")

    def _no_switches(self) -> Switches:
        return Switches(self.scope, self.choices, self.own_kinds)

    def reset(self) -> None:
        """All as at the start."""
        self.switches = self._no_switches()
        self.forget()
        self.journal.clear()

    def control(self, method: str, path: str, body: bytes) -> Answer:
        """The paths that begin with `/_`."""
        bare, _, query = path.partition("?")
        verb, _, name = bare[2:].partition("/")
        try:
            return self._control(f"{method} {verb}", unquote(name), query, json.loads(body or b"{}"))
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
        if what in ("GET control", "PUT control"):
            if what.startswith("PUT"):
                self.switches.set(given)
            return as_json(self.switches.as_json())
        if what == "POST reset":
            self.reset()
            return as_json({})
        return self.own_control(what, name, given) or error(404, "no such control")
