"""Calls to AVOS: read a document, PATCH it under its lastModified, send anything else as it is.

The token goes into the header and nowhere else: neither errors nor exchanges have headers.
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from app.avos.comparison import last_modified_of
from app.avos.paths import live_path
from app.outgoing.attempts import Exchange, Reading, Send, Written
from app.outgoing.calls import UNKNOWN, USER_AGENT, Caller, failed, object_of, shown
from app.platform.failures import MALFORMED
from app.platform.http_client import HttpTransport

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
        secrets = (credentials.token,) if credentials.token else ()
        self._caller = Caller("AVOS", "MEDIAOPS_AVOS_URL", transport, secrets)
        self._read_headers = {
            **credentials.headers(),
            "Accept": "application/json",
            "Accept-Encoding": "identity",
            "User-Agent": USER_AGENT,
        }

    def read(self, path: str, *, deadline: float) -> Reading:
        """GET a document that has a usable lastModified."""
        caller, exchange = self._caller, Exchange(path=path)
        answer = caller.call("GET", path, self._read_headers, None, deadline=deadline, exchange=exchange)
        if not 200 <= answer.status < 300:
            caller.excerpt(answer, exchange)
        caller.refuse_unless_2xx(answer, exchange)
        document = object_of(answer)
        if document is None:
            caller.excerpt(answer, exchange)
            raise failed(MALFORMED, "The answer is no JSON object.", exchange)
        last_modified = last_modified_of(document)
        if last_modified is None:
            caller.excerpt(answer, exchange)
            raise failed("no_last_modified", "The answer has no usable lastModified.", exchange)
        exchange["lastModified"] = last_modified
        return Reading(document, last_modified, exchange)

    def show(self, content_media_id: str, *, timeout_s: float) -> Reading:
        """What AVOS shows of a content media now, for people."""
        return self.read(live_path(content_media_id), deadline=time.monotonic() + timeout_s)

    def send(self, request: Send, *, deadline: float) -> Written:
        """Members under the condition that lastModified is still this one, or a body as it is."""
        caller, sending, condition = self._caller, request.sending, request.last_modified
        body = sending.body if condition is None else _with_last_modified(condition, sending.members)
        headers = {**self._read_headers, "Content-Type": sending.content_type} if body else self._read_headers
        exchange = Exchange(method=request.method, path=request.path)
        if body:
            exchange["body"] = shown(body)
        answer = caller.call(
            request.method, request.path, headers, body, deadline=deadline, exchange=exchange
        )
        caller.excerpt(answer, exchange)
        conflict = condition is not None and answer.status in CONFLICT
        if not conflict:
            caller.refuse_unless_2xx(answer, exchange, unknown=answer.status in UNKNOWN)
        return Written(conflict, exchange)


def _with_last_modified(last_modified: str, members: Sequence[tuple[str, bytes]]) -> bytes:
    """The body, its values as the bytes that were accepted."""
    parts = [b'"lastModified":' + json.dumps(last_modified, ensure_ascii=False).encode()]
    parts += [json.dumps(name, ensure_ascii=False).encode() + b":" + value for name, value in members]
    return b"{" + b",".join(parts) + b"}"
