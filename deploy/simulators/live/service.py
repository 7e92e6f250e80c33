"""What the stand-in does with a request: the rules of the Live API, and the faults that were switched on."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Final
from urllib.parse import unquote

from deploy.simulators.live.jobs import Job, Times
from deploy.simulators.parts.answers import Answer, as_json, error
from deploy.simulators.parts.journal import Journal
from deploy.simulators.parts.service import StandInService
from deploy.simulators.parts.switches import BadSwitch, Choices

NO_CAPACITY: Final = "no_streaming_capacity_in_region"
_MEMBERS: Final[Mapping[str, type | tuple[type, ...]]] = {
    "static": bool,
    "group": (str, type(None)),
    "encoder": bool,
}
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
    appliedAt: float | None = None  # noqa: N815
    appliedWall: float | None = None  # noqa: N815
    before: str | None = (
        None  # its entry point's state when the request was handled; a group's, all that differ …
    )
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
    """What the Live API does. `keys`: one of them is required; none: nobody is asked. `header`: where v1 has it; v2 has it
    as a bearer token. `clock` gives the seconds by which states change."""

    scope = "jobs"
    choices: ClassVar[Choices] = {
        "readyS": 60.0,
        "stoppedS": 10.0,
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
        header: str = "X-API-KEY",
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(journal)
        self.jobs: dict[str, Job] = {}
        # By dialect: the header, and what it may be.
        self._credentials = {
            "v1": (header.lower(), frozenset(keys)),
            "v2": ("authorization", frozenset(f"Bearer {key}" for key in keys)),
        }
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
        if call.entry.dialect is None:
            return error(404, "no such path")
        header, allowed = self._credentials[call.entry.dialect]
        if allowed and headers.get(header) not in allowed:
            return self.error(call, 401, "no or wrong key")
        return None

    def apply(self, call: LiveCall) -> Answer:
        jobs = self._named(call.entry.job or "")
        if not jobs:
            return self.error(call, 404, "no such job")
        call.entry.before = self._sep_states(jobs)
        answer = self._read(call, jobs) if call.method == "GET" else self._switch(call, jobs)
        call.entry.after = self._sep_states(jobs)
        return answer

    def _read(self, call: LiveCall, jobs: list[Job]) -> Answer:
        if call.entry.action is not None:
            return self.error(call, 405, "PUT only")
        # A group is as on as the first of its jobs that isn't.
        shown = self._shown(min(jobs, key=lambda job: job.on)) | {"id": call.entry.job}
        return as_json(shown if call.entry.dialect == "v2" else {"job": shown})

    def _switch(self, call: LiveCall, jobs: list[Job]) -> Answer:
        if call.method != "PUT" or call.entry.action is None:
            return self.error(call, 405, "PUT of an action, or GET, only")
        if not all(job.static for job in jobs):
            return self.error(call, 400, "the job isn't static")
        on = call.entry.action == "activate"
        others = [job for job in jobs if job.on is not on]
        if not others:
            return self.error(call, 400, f"the job is {'' if on else 'in'}active already")
        capacity = self.switches.value("capacity", None)
        if on and capacity and self._active() + len(others) > capacity:
            return self.error(call, 500, f"{NO_CAPACITY}: too many activations")
        for job in others:
            job.switch(self._clock(), on=on)
        call.entry.applied = True
        call.entry.appliedAt, call.entry.appliedWall = time.monotonic(), time.time()
        return as_json({"id": call.entry.job})

    def _active(self) -> int:
        for job in self.jobs.values():
            self._settle(job)
        return sum(job.on for job in self.jobs.values())

    def _named(self, name: str) -> list[Job]:
        """The job of this id, or those of the group."""
        jobs = [job for job in self.jobs.values() if job.group == name]
        if not jobs and (name in self.jobs or not self.switches.value("mustBeKnown", name.casefold())):
            jobs = [self.jobs.setdefault(name, Job(name))]
        for job in jobs:
            self._settle(job)
        return jobs

    def _times(self, job: Job) -> Times:
        of = job.id.casefold()
        value = self.switches.value
        return Times(value("readyS", of), value("stoppedS", of), value("selfStopS", of))

    def _settle(self, job: Job) -> None:
        job.settle(self._clock(), self._times(job))

    def _shown(self, job: Job) -> dict[str, Any]:
        self._settle(job)
        return job.as_json(self._clock(), self._times(job))

    def _sep_states(self, jobs: list[Job]) -> str:
        return ",".join(sorted({str(self._shown(job)["sep_state"]) for job in jobs}))

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

    def state(self, name: str) -> dict[str, Any] | None:
        """A job as it is now."""
        return self._shown(self.jobs[name]) if name in self.jobs else None

    def set_job(self, name: str, given: Mapping[str, Any]) -> dict[str, Any]:
        """Make a job, or change it. Raises BadSwitch."""
        for member, value in given.items():
            if member not in _MEMBERS or not isinstance(value, _MEMBERS[member]):
                raise BadSwitch(f"of a job {member} can't be {value!r}")
        job = self.jobs.setdefault(name, Job(name))
        # What switched itself off before stays off.
        self._settle(job)
        job.static, job.group = given.get("static", job.static), given.get("group", job.group)
        job.feed(encoder=given.get("encoder", job.encoder))
        return self._shown(job)

    def forget(self) -> None:
        self.jobs.clear()

    def own_control(self, what: str, name: str, given: Any) -> Answer | None:
        if what == "PUT jobs" and name:
            return as_json(self.set_job(name, given))
        if what == "PUT encoder" and name:
            known = name in self.jobs
            on = given.get("on", True)
            return as_json(self.set_job(name, {"encoder": on})) if known else error(404, "unknown")
        return None
