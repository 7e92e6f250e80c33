"""What the stand-in does with a request: the rules of the Live API, and the faults that were switched on."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Final
from urllib.parse import unquote

from deploy.simulators.live.jobs import Job
from deploy.simulators.parts.answers import Answer, as_json, error
from deploy.simulators.parts.journal import Journal
from deploy.simulators.parts.service import StandInService
from deploy.simulators.parts.switches import BadSwitch, Choices

NO_CAPACITY: Final = "no_streaming_capacity_in_region"
_CODES: Final = {400: "bad_request", 401: "unauthorized", 404: "not_found", 405: "method_not_allowed"}
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

    method: str
    path: str
    one: str | None  # the job, folded
    entry: LiveEntry
    latency_s: float


class LiveService(StandInService[LiveCall]):
    """What the Live API does. `keys`: one of them is required; none: nobody is asked. `clock` gives seconds."""

    scope = "jobs"
    choices: ClassVar[Choices] = {
        "readyS": 60.0,
        "selfStopS": 1800.0,
        "capacity": 0.0,
        "mustBeKnown": (False, True),
    }
    malformed = b'{"job": {"id'
    journal: Journal[LiveEntry]

    def __init__(
        self,
        journal: Journal[LiveEntry],
        *,
        keys: Collection[str] = (),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(journal)
        self.jobs: dict[str, Job] = {}
        self._credentials = {*keys, *(f"Bearer {key}" for key in keys)}
        self._clock = clock

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
        one = job.casefold() if job else None
        return LiveCall(method, path, one, entry, self.switches.latency_s(method, one))

    def refusal_of_caller(self, call: LiveCall, headers: Mapping[str, str]) -> Answer | None:
        if call.one is None:
            return error(404, "no such path")
        credentials = headers.get("x-api-key") or headers.get("authorization")
        if self._credentials and credentials not in self._credentials:
            return self.error(call, 401, "no or wrong key")
        return None

    def apply(self, call: LiveCall) -> Answer:
        entry = call.entry
        jobs = self._named(entry.job or "")
        if not jobs:
            return self.error(call, 404, "no such job")
        entry.before = self._sep_state(jobs[0])
        answer = self._read(call, jobs[0]) if call.method == "GET" else self._switch(call, jobs)
        entry.after = self._sep_state(jobs[0])
        return answer

    def _read(self, call: LiveCall, job: Job) -> Answer:
        if call.entry.action is not None:
            return self.error(call, 405, "PUT only")
        shown = self.shown(job)
        return as_json(shown if call.entry.dialect == "v2" else {"job": shown})

    def _switch(self, call: LiveCall, jobs: list[Job]) -> Answer:
        if call.method != "PUT" or call.entry.action is None:
            return self.error(call, 405, "GET only")
        if not all(job.static for job in jobs):
            return self.error(call, 400, "the job isn't static")
        on = call.entry.action == "activate"
        if all((job.on_since is not None) is on for job in jobs):
            return self.error(call, 400, f"the job is {'' if on else 'in'}active already")
        capacity = self.switches.value("capacity", None)
        active = sum(job.on_since is not None for job in self.jobs.values())
        if on and capacity and active + len(jobs) > capacity:
            return as_json({"statusCode": 500, "message": f"{NO_CAPACITY}: too many activations"}, 500)
        for job in jobs:
            job.on_since = self._clock() if on else None
        call.entry.applied = True
        return as_json({"id": call.entry.job})

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

    def error(
        self, call: LiveCall, status: int, why: str, headers: Mapping[str, str] | None = None
    ) -> Answer:
        """As the request's dialect writes it."""
        body: dict[str, Any] = {"statusCode": status, "message": why}
        if call.entry.dialect == "v2":
            code = _CODES.get(status, "fault")
            body = {"error_code": code.upper(), "message": why, "status": status, "sub_code": code}
        answer = as_json(body, status)
        answer.headers = headers or {}
        return answer

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

    def forget(self) -> None:
        self.jobs.clear()

    def own_control(self, what: str, name: str, given: Any) -> Answer | None:
        return as_json(self.set_job(name, given)) if what == "PUT job" and name else None
