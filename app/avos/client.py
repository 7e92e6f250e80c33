"""Calls to AVOS: read a document, PATCH it under its lastModified, send anything else as it is.

The token goes into the header and nowhere else: neither errors nor exchanges have headers.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from app.avos.comparison import last_modified_of
from app.avos.errors import UNKNOWN, of_exception, of_status
from app.avos.paths import live_path
from app.outgoing.attempts import CallFailed, Exchange, Reading, Send, Written
from app.outgoing.decision import AttemptError
from app.platform.failures import CONNECT, MALFORMED
from app.platform.http_client import Answer, CallError, HttpTransport

EXCERPT: Final = 1024  # bytes of an answer that an attempt shows
SHOWN_BODY: Final = 16 * 1024  # a longer body is shown cut off
USER_AGENT: Final = "mediaops-sync"
CONFLICT: Final = frozenset({409, 412})  # the condition of a PATCH doesn't hold any more


@dataclass(frozen=True, slots=True)
class Credentials:
    """The header that lets us in. Its value isn't in the repr."""

    token: str | None = field(default=None, repr=False)
    header: str = "Authorization"
    scheme: str = "Bearer"

    def headers(self) -> dict[str, str]:
        return {} if self.token is None else {self.header: f"{self.scheme} {self.token}".strip()}


class AvosClient:
    """All methods raise CallFailed. `deadline` is of `time.monotonic` and bounds the whole call.

    `transport` None: no AVOS is configured, and every call says so.
    """

    def __init__(self, transport: HttpTransport | None, credentials: Credentials) -> None:
        self._transport = transport
        self._secret = (credentials.token or "").encode()
        self._read_headers = {
            **credentials.headers(),
            "Accept": "application/json",
            "Accept-Encoding": "identity",
            "User-Agent": USER_AGENT,
        }

    def read(self, path: str, *, deadline: float) -> Reading:
        """GET a document that has a usable lastModified."""
        exchange: Exchange = {"path": path}
        answer = self._call("GET", path, self._read_headers, None, deadline, exchange)
        if not 200 <= answer.status < 300:
            self._excerpt(answer, exchange)
        _refuse_unless_2xx(answer, exchange)
        document = _object(answer)
        if document is None:
            self._excerpt(answer, exchange)
            raise _failed(MALFORMED, "The answer is no JSON object.", exchange)
        last_modified = last_modified_of(document)
        if last_modified is None:
            self._excerpt(answer, exchange)
            raise _failed("no_last_modified", "The answer has no usable lastModified.", exchange)
        exchange["lastModified"] = last_modified
        return Reading(document, last_modified, exchange)

    def show(self, content_media_id: str, *, timeout_s: float) -> Reading:
        """What AVOS shows of a content media now, for people."""
        return self.read(live_path(content_media_id), deadline=time.monotonic() + timeout_s)

    def send(self, request: Send, *, deadline: float) -> Written:
        """Members under the condition that lastModified is still this one, or a body as it is."""
        sending, condition = request.sending, request.last_modified
        body = sending.body if condition is None else _with_last_modified(condition, sending.members)
        headers = {**self._read_headers, "Content-Type": sending.content_type} if body else self._read_headers
        exchange: Exchange = {"method": request.method, "path": request.path}
        if body:
            exchange["body"] = _shown(body)
        answer = self._call(request.method, request.path, headers, body, deadline, exchange)
        self._excerpt(answer, exchange)
        conflict = condition is not None and answer.status in CONFLICT
        if not conflict:
            _refuse_unless_2xx(answer, exchange, unknown=answer.status in UNKNOWN)
        return Written(conflict, exchange)

    def _call(
        self,
        method: str,
        path: str,
        headers: Mapping[str, str],
        body: bytes | None,
        deadline: float,
        exchange: Exchange,
    ) -> Answer:
        if self._transport is None:
            raise _failed(CONNECT, "No AVOS is configured (MEDIAOPS_AVOS_URL).", exchange)
        started = time.monotonic()
        try:
            answer = self._transport.call(method, path, headers, body, deadline=deadline)
        except CallError as error:
            exchange["latencyMs"] = round((time.monotonic() - started) * 1000, 1)
            meaning = of_exception(error.cause, sent=error.sent)
            exchange["error"] = meaning.code
            raise CallFailed(meaning, unknown=error.sent, exchange=exchange) from error
        exchange["status"] = answer.status
        exchange["latencyMs"] = round(answer.elapsed_ms, 1)
        return answer

    def _excerpt(self, answer: Answer, exchange: Exchange) -> None:
        """The answer's beginning; a far side that repeats our token to us doesn't get it into the
        history."""
        if not answer.body:
            return
        text = answer.body[: EXCERPT + len(self._secret)]
        if self._secret:
            text = text.replace(self._secret, b"***")
        exchange["answer"] = text[:EXCERPT].decode(errors="replace")


def _with_last_modified(last_modified: str, members: Sequence[tuple[str, bytes]]) -> bytes:
    """The body, its values as the bytes that were accepted."""
    parts = [b'"lastModified":' + json.dumps(last_modified, ensure_ascii=False).encode()]
    parts += [json.dumps(name, ensure_ascii=False).encode() + b":" + value for name, value in members]
    return b"{" + b",".join(parts) + b"}"


def _refuse_unless_2xx(answer: Answer, exchange: Exchange, *, unknown: bool = False) -> None:
    if 200 <= answer.status < 300:
        return
    error = of_status(answer.status, answer.headers)
    exchange["error"] = error.code
    raise CallFailed(error, unknown=unknown, exchange=exchange)


def _object(answer: Answer) -> Mapping[str, Any] | None:
    try:
        document = json.loads(answer.body)
    except (ValueError, RecursionError):
        return None
    return document if isinstance(document, dict) else None


def _failed(code: str, detail: str, exchange: Exchange) -> CallFailed:
    exchange["error"] = code
    error = AttemptError(code, detail, destination_fault=code == CONNECT)
    return CallFailed(error, unknown=False, exchange=exchange)


def _shown(body: bytes) -> Any:
    """A body as an attempt shows it: JSON, or the beginning of what is too long or isn't JSON."""
    if len(body) <= SHOWN_BODY:
        try:
            return json.loads(body)
        except (ValueError, RecursionError):
            pass
    return body[:EXCERPT].decode(errors="replace")
