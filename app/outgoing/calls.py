"""Calls over HTTP to the far side of a destination, as an attempt's record shows them, and what each failure and each status
means for the attempt.

A write may have been carried out although it failed when bytes had left and no answer came, or when a gateway answered that
doesn't know either (502, 504). 503 says that it wasn't carried out, and so does any other answer that says "no".
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from app.outgoing.attempts import CallFailed, Exchange
from app.outgoing.decision import AttemptError
from app.platform.clock import utcnow
from app.platform.failures import CONNECT, MALFORMED, PROXY_AUTH, UNREACHABLE, describe, retry_after
from app.platform.http_client import Answer, CallError, HttpTransport

EXCERPT: Final = 1024  # bytes of an answer that an attempt shows
SHOWN_BODY: Final = 16 * 1024  # a longer body is shown cut off
USER_AGENT: Final = "mediaops-sync"
UNKNOWN: Final = frozenset({502, 504})  # of a gateway, which may have passed the write on
_BY_STATUS: Final[Mapping[int, str]] = {
    401: "unauthorized",
    403: "forbidden",
    404: "not_found",
    407: PROXY_AUTH,
    408: "request_timeout",
    425: "too_early",
    429: "throttled",
}
_FAULT_OF_DESTINATION: Final = frozenset({401, 403, 407, 429, 502, 503, 504})


@dataclass(frozen=True, slots=True)
class Caller:
    """Calls one far side. `name`: as people call it. `transport` None: none is configured, and every call says so, naming the
    `setting`. `secrets` never get into a record, whatever the far side repeats to us."""

    name: str
    setting: str
    transport: HttpTransport | None
    secrets: Sequence[str] = field(default=(), repr=False)

    def call(
        self,
        method: str,
        path: str,
        headers: Mapping[str, str],
        body: bytes | None,
        *,
        deadline: float,
        exchange: Exchange,
    ) -> Answer:
        """The answer, whatever its status; the call is noted in `exchange`. Raises CallFailed where there is none. `deadline`
        is of `time.monotonic`."""
        if self.transport is None:
            raise failed(CONNECT, f"No {self.name} is configured ({self.setting}).", exchange)
        started = time.monotonic()
        try:
            answer = self.transport.call(method, path, headers, body, deadline=deadline)
        except CallError as error:
            exchange["latencyMs"] = round((time.monotonic() - started) * 1000, 1)
            meaning = of_exception(error.cause, sent=error.sent)
            exchange["error"] = meaning.code
            raise CallFailed(meaning, unknown=error.sent, exchange=exchange) from error
        exchange["status"] = answer.status
        exchange["latencyMs"] = round(answer.elapsed_ms, 1)
        return answer

    def excerpt(self, answer: Answer, exchange: Exchange) -> None:
        """Note the answer's beginning."""
        if not answer.body:
            return
        text = answer.body[: EXCERPT + max(map(len, self.secrets), default=0)]
        for secret in self.secrets:
            text = text.replace(secret.encode(), b"***")
        exchange["answer"] = text[:EXCERPT].decode(errors="replace")

    def refuse_unless_2xx(self, answer: Answer, exchange: Exchange, *, unknown: bool = False) -> None:
        """Raises CallFailed for any other status. `unknown`: it may have been carried out all the same."""
        if 200 <= answer.status < 300:
            return
        error = of_status(self.name, answer.status, answer.headers)
        exchange["error"] = error.code
        raise CallFailed(error, unknown=unknown, exchange=exchange)


def object_of(answer: Answer) -> Mapping[str, Any] | None:
    """The JSON object that an answer holds."""
    try:
        document = json.loads(answer.body)
    except (ValueError, RecursionError):
        return None
    return document if isinstance(document, dict) else None


def failed(code: str, detail: str, exchange: Exchange) -> CallFailed:
    """A call that has failed for a reason of our own finding."""
    exchange["error"] = code
    return CallFailed(
        AttemptError(code, detail, destination_fault=code == CONNECT), unknown=False, exchange=exchange
    )


def shown(body: bytes) -> Any:
    """A body as an attempt shows it: JSON, or the beginning of what is too long or isn't JSON."""
    if len(body) <= SHOWN_BODY:
        try:
            return json.loads(body)
        except (ValueError, RecursionError):
            pass
    return body[:EXCERPT].decode(errors="replace")


def of_exception(error: BaseException, *, sent: bool) -> AttemptError:
    """The meaning of a lower-level error."""
    code, detail = describe(error, sent=sent)
    return AttemptError(code=code, detail=detail, destination_fault=code in UNREACHABLE)


def of_status(name: str, status: int, headers: Mapping[str, str]) -> AttemptError:
    """The meaning of an answer that isn't 2xx, from the far side of this name."""
    return AttemptError(
        code=_status_code(status),
        detail=f"{name} answered {status}.",
        retryable=not 400 <= status < 500 or status in _BY_STATUS,
        destination_fault=status in _FAULT_OF_DESTINATION,
        retry_after_s=retry_after(headers.get("Retry-After"), utcnow()),
        status=status,
    )


def _status_code(status: int) -> str:
    if status in _BY_STATUS:
        return _BY_STATUS[status]
    if 300 <= status < 400:
        return "redirected"
    if 400 <= status < 500:
        return "refused"
    return "server_error" if status >= 500 else MALFORMED
