"""Calls to the Live API, in either of its dialects.

A request's record names what is asked for by one path, `/accounts/{account}/jobs/{job}/activate`, whatever the dialect; the
client writes the call. So a change of dialect also changes what waits to be sent.

    v1   PUT /v1/jobs/{job}/activate|deactivate               X-API-KEY: the account's key
    v2   PUT /v2/accounts/{account}/jobs/{job}/start|stop     Authorization: Bearer the account's key
"""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, Final
from urllib.parse import unquote

from app.outgoing.attempts import CallFailed, Exchange, Reading, Send, Written
from app.outgoing.calls import UNKNOWN, USER_AGENT, Caller, failed, object_of
from app.platform.failures import MALFORMED
from app.platform.http_client import Answer, HttpTransport
from app.platform.keys import quoted

NO_CAPACITY: Final = "no_streaming_capacity_in_region"
_PATH: Final = re.compile(r"/accounts/(?P<account>[^/]+)/jobs/(?P<job>[^/]+)(?:/(?P<action>\w+))?")
_V2_VERB: Final = {"activate": "start", "deactivate": "stop"}

# `sep_state`, the state of a static entry point.
ON: Final = frozenset({"pending_activation", "activation_in_progress", "ready"})
OFF: Final = frozenset(
    {"none", "waiting", "pending_deactivation", "deactivation_in_progress", "cancelled", "finished"}
)


class Action(StrEnum):
    """What is asked of a job."""

    ACTIVATE = "activate"
    DEACTIVATE = "deactivate"


@dataclass(frozen=True, slots=True)
class LiveJob:
    """A job as the Live API shows it."""

    static: bool
    state: str
    sep_state: str

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> LiveJob:
        """From `{"job": {…}}` (v1) or the job itself (v2)."""
        job = document.get("job", document)
        job = job if isinstance(job, dict) else {}
        return cls(job.get("static") is True, str(job.get("state")), str(job.get("sep_state")))

    def shows(self, action: Action) -> bool:
        """Whether it is as this action would make it: then there is nothing left to do."""
        return self.sep_state in (ON if action is Action.ACTIVATE else OFF)


def job_path(account: str, job_id: str) -> str:
    """The path by which records name a job."""
    return f"/accounts/{quoted(account)}/jobs/{quoted(job_id)}"


def named_in(path: str) -> tuple[str, Action | None]:
    """The job's path, and the action, that such a path names."""
    match = _match(path)
    action = match["action"]
    return path.removesuffix(f"/{action}"), Action(action) if action else None


class LiveApiClient:
    """`keys`: by account, what we send. All methods raise CallFailed; `deadline` is of `time.monotonic`."""

    def __init__(self, transport: HttpTransport | None, keys: Mapping[str, str], *, dialect: str) -> None:
        self._caller = Caller(
            "The Live API",
            "MEDIAOPS_LIVE_API_URL",
            transport,
            tuple(sorted(keys.values(), key=len, reverse=True)),
        )
        self._keys = keys
        self._v2 = dialect == "v2"

    def read(self, path: str, *, deadline: float) -> Reading:
        """GET a job; its answer has no condition."""
        answer, exchange = self._call("GET", path, deadline)
        document = object_of(answer)
        if document is None:
            self._caller.excerpt(answer, exchange)
            raise failed(MALFORMED, "The answer is no JSON object.", exchange)
        job = LiveJob.of(document)
        exchange["job"] = {"static": job.static, "state": job.state, "sep_state": job.sep_state}
        return Reading(document, "", exchange)

    def job(self, account: str, job_id: str, *, timeout_s: float) -> LiveJob:
        """How a job is now."""
        reading = self.read(job_path(account, job_id), deadline=time.monotonic() + timeout_s)
        return LiveJob.of(reading.document)

    def send(self, request: Send, *, deadline: float) -> Written:
        """Activate or deactivate it."""
        _, exchange = self._call(request.method, request.path, deadline)
        return Written(conflict=False, exchange=exchange)

    def _call(self, method: str, path: str, deadline: float) -> tuple[Answer, Exchange]:
        match = _match(path)
        account = unquote(match["account"])
        spelled = self._spelled(match)
        exchange = Exchange(method=method, path=spelled)
        key = self._keys.get(account)
        if key is None:
            raise failed("no_key", f"MEDIAOPS_LIVE_API_KEYS has no key of the account {account}.", exchange)
        answer = self._caller.call(
            method, spelled, self._headers(key), None, deadline=deadline, exchange=exchange
        )
        if not 200 <= answer.status < 300:
            self._caller.excerpt(answer, exchange)
        self._refuse(answer, exchange, writes=method != "GET")
        return answer, exchange

    def _spelled(self, match: re.Match[str]) -> str:
        action = match["action"]
        if self._v2:
            verb = f"/{_V2_VERB[action]}" if action else ""
            return f"/v2/accounts/{match['account']}/jobs/{match['job']}{verb}"
        return f"/v1/jobs/{match['job']}" + (f"/{action}" if action else "")

    def _headers(self, key: str) -> dict[str, str]:
        credentials = {"Authorization": f"Bearer {key}"} if self._v2 else {"X-API-KEY": key}
        return {
            **credentials,
            "Accept": "application/json",
            "Accept-Encoding": "identity",
            "User-Agent": USER_AGENT,
        }

    def _refuse(self, answer: Answer, exchange: Exchange, *, writes: bool) -> None:
        """A 404 is about the job, which won't come back by being asked for again."""
        try:
            self._caller.refuse_unless_2xx(answer, exchange, unknown=writes and answer.status in UNKNOWN)
        except CallFailed as refused:
            if answer.status == 404:
                refused.error = replace(
                    refused.error, retryable=False, detail="The Live API knows no such job."
                )
            elif NO_CAPACITY.encode() in answer.body:
                detail = "The Live API has no streaming capacity in the job's region at the moment."
                refused.error = replace(refused.error, code="no_capacity", detail=detail)
            exchange["error"] = refused.error.code
            raise


def _match(path: str) -> re.Match[str]:
    match = _PATH.fullmatch(path)
    if match is None:
        raise ValueError(f"no path of a live job: {path[:200]!r}")
    return match
