"""What the stand-in does with a request: the rules of the Live API, and the faults that were switched on."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import unquote

from deploy.simulators.live.jobs import Job
from deploy.simulators.parts.answers import Answer, as_json, error
from deploy.simulators.parts.journal import Journal
from deploy.simulators.parts.switches import BadSwitch, Choices, Fault, Switches

SWITCHES: Final[tuple[str, Choices]] = (
    "jobs",
    {"readyS": 60.0, "selfStopS": 1800.0, "capacity": 0.0, "mustBeKnown": (False, True)},
)
NO_CAPACITY: Final = "no_streaming_capacity_in_region"
_V1: Final = re.compile(r"/v1/jobs/(?P<job>[^/?]+)(?:/(?P<verb>activate|deactivate))?")
_V2: Final = re.compile(r"/v2/accounts/(?P<account>[^/]+)/jobs/(?P<job>[^/?]+)(?:/(?P<verb>start|stop))?")
_ACTIONS: Final = {
    "activate": "activate",
    "start": "activate",
    "deactivate": "deactivate",
    "stop": "deactivate",
}


@dataclass(slots=True)
class LiveEntry:
    """One request. Times: `…Wall` are seconds since 1970, the others seconds of a monotonic clock."""

    seq: int
    method: str
    path: str
    dialect: str | None
    account: str | None
    job: str | None
    action: str | None
    arrived: float
    arrivedWall: float  # noqa: N815 - as it stands in the JSON
    answered: float | None = None
    answeredWall: float | None = None  # noqa: N815
    applied: bool = False
    before: str | None = None  # its entry point's state when the request was handled …
    after: str | None = None  # … and after it
    status: int | None = None
    fault: str | None = None

    def as_json(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in LiveEntry.__slots__}


@dataclass(slots=True)
class LiveCall:
    """A request on its way."""

    entry: LiveEntry
    latency_s: float


class LiveService:
    """All of the stand-in but its sockets. `keys`: one of them is required; none: nobody is asked. `clock` gives seconds."""

    def __init__(
        self,
        journal: Journal[LiveEntry],
        *,
        keys: Collection[str] = (),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.switches = Switches(*SWITCHES)
        self.journal = journal
        self.jobs: dict[str, Job] = {}
        self._credentials = {*keys, *(f"Bearer {key}" for key in keys)}
        self._clock = clock

    def credentials(self, headers: Mapping[str, str]) -> str | None:
        """What a request says of who sends it: v1 or v2."""
        return headers.get("x-api-key") or headers.get("authorization")

    def arrive(self, method: str, path: str, _body: bytes) -> LiveCall:
        """Note a request."""
        match, dialect = _V1.fullmatch(path), "v1"
        if match is None:
            match, dialect = _V2.fullmatch(path), "v2"
        found = match.groupdict() if match else {}
        job = unquote(found["job"]) if match else None
        entry = LiveEntry(
            self.journal.next_seq(), method, path, dialect if match else None, found.get("account"), job,
            _ACTIONS.get(found.get("verb") or ""), time.monotonic(), time.time(),
        )  # fmt: skip
        self.journal.entries.append(entry)
        return LiveCall(entry, self.switches.latency_s(method, job.casefold() if job else None))

    def handle(self, call: LiveCall, credentials: str | None) -> Answer:
        """Do it, and say what is answered."""
        answer = self._handle(call.entry, credentials)
        if answer.later_s is None:
            self.journal.closed(call.entry, answer.status)
        return answer

    def carry_out(self, call: LiveCall) -> None:
        """What was reset some time ago is done after all."""
        self.journal.closed(call.entry, self._apply(call.entry).status, heard=False)

    def _handle(self, entry: LiveEntry, credentials: str | None) -> Answer:
        if entry.job is None:
            return error(404, "no such path")
        if self._credentials and credentials not in self._credentials:
            return self._refusal(entry, 401, "unauthorized", "no or wrong key")
        fault = self.switches.fault(entry.method, entry.path, entry.job.casefold())
        if fault is None:
            return self._apply(entry)
        entry.fault = fault.kind
        return self._failing(entry, fault)

    def _failing(self, entry: LiveEntry, fault: Fault) -> Answer:
        if fault.kind == "late":
            return Answer(None, later_s=fault.intervalMs / 1000)
        answer = self._apply(entry) if fault.when == "after" or fault.kind in ("drip", "malformed") else None
        if fault.kind == "drip" and answer is not None:
            answer.drip_s, answer.drip_headers = fault.intervalMs / 1000, fault.headers
            return answer
        if fault.kind == "malformed" and answer is not None:
            answer.body = b'{"job": {"id'
            return answer
        if fault.kind == "status":
            return self._refusal(entry, fault.status, "fault", "a switched-on fault")
        return Answer(None, hang=fault.kind == "hang")

    def _apply(self, entry: LiveEntry) -> Answer:
        jobs = self._named(entry.job or "")
        if not jobs:
            return self._refusal(entry, 404, "not_found", "no such job")
        entry.before = self._sep_state(jobs[0])
        answer = self._read(entry, jobs[0]) if entry.method == "GET" else self._switch(entry, jobs)
        entry.after = self._sep_state(jobs[0])
        return answer

    def _read(self, entry: LiveEntry, job: Job) -> Answer:
        if entry.action is not None:
            return self._refusal(entry, 405, "method_not_allowed", "PUT only")
        shown = self.shown(job)
        return as_json(shown if entry.dialect == "v2" else {"job": shown})

    def _switch(self, entry: LiveEntry, jobs: list[Job]) -> Answer:
        if entry.method != "PUT" or entry.action is None:
            return self._refusal(entry, 405, "method_not_allowed", "GET only")
        if not all(job.static for job in jobs):
            return self._refusal(entry, 400, "bad_request", "the job isn't static")
        on = entry.action == "activate"
        if all((job.on_since is not None) is on for job in jobs):
            return self._refusal(entry, 400, "bad_request", f"the job is {'' if on else 'in'}active already")
        capacity = self.switches.value("capacity", None)
        active = sum(job.on_since is not None for job in self.jobs.values())
        if on and capacity and active + len(jobs) > capacity:
            return as_json({"statusCode": 500, "message": f"{NO_CAPACITY}: too many activations"}, 500)
        for job in jobs:
            job.on_since = self._clock() if on else None
        entry.applied = True
        return as_json({"id": entry.job})

    def _named(self, name: str) -> list[Job]:
        """The job of this id, or those of the group."""
        group = [job for job in self.jobs.values() if job.group == name]
        if not group and name not in self.jobs:
            if self.switches.value("mustBeKnown", name.casefold()):
                return []
            self.jobs[name] = Job(name)
        jobs = group or [self.jobs[name]]
        for job in jobs:
            job.settle(self._clock(), self.switches.value("selfStopS", job.id.casefold()))
        return jobs

    def _sep_state(self, job: Job) -> str:
        return str(self.shown(job)["sep_state"])

    def shown(self, job: Job) -> dict[str, Any]:
        return job.as_json(self._clock(), self.switches.value("readyS", job.id.casefold()))

    def _refusal(self, entry: LiveEntry, status: int, code: str, message: str) -> Answer:
        if entry.dialect == "v2":
            body = {"error_code": code.upper(), "message": message, "status": status, "sub_code": code}
            return as_json(body, status)
        return as_json({"statusCode": status, "message": message}, status)

    # Looking and switching ----------------------------------------------------------------------------

    def state(self, name: str) -> dict[str, Any] | None:
        """A job as it is now."""
        if name not in self.jobs:
            return None
        return self.shown(self._named(name)[0])

    def set_job(self, name: str, given: dict[str, Any]) -> dict[str, Any]:
        """Make a job, or change it."""
        job = self.jobs.setdefault(name, Job(name))
        if unknown := set(given) - {"static", "group", "encoder"}:
            raise BadSwitch(f"a job has no {', '.join(sorted(unknown))}")
        for member, value in given.items():
            setattr(job, member, value)
        return self.shown(job)

    def reset(self) -> None:
        self.switches = Switches(*SWITCHES)
        self.jobs.clear()
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
        match what:
            case "GET journal":
                entries = self.journal.after(int(query.removeprefix("after=") or 0))
                lines = b"".join(json.dumps(entry).encode() + b"\n" for entry in entries)
                return Answer(200, lines, content_type="application/x-ndjson")
            case "GET state":
                state = self.state(name)
                return error(404, "unknown") if state is None else as_json(state)
            case "PUT job" if name:
                return as_json(self.set_job(name, given))
            case "PUT control":
                self.switches.set(given)
                return as_json(self.switches.as_json())
            case "GET control":
                return as_json(self.switches.as_json())
            case "POST reset":
                self.reset()
                return as_json({})
        return error(404, "no such control")
