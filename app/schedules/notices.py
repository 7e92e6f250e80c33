"""Notices: POSTs that say what became of a workflow, to the URL that it names.

Each host is an instance of the destination `notices`, with a breaker and a table of its own: one that is dead delays nobody
else's. They are signed as webhooks are, once the account has a secret.
"""

from __future__ import annotations

import hashlib
import json
import threading
from collections import OrderedDict
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final
from urllib.parse import urlsplit

from app.events.sinks.signatures import signatures
from app.outgoing.attempts import (
    NOTHING,
    Attempt,
    Begin,
    CallFailed,
    Closed,
    Ending,
    Exchange,
    Progress,
    Send,
    Written,
)
from app.outgoing.calls import USER_AGENT, Caller, shown
from app.outgoing.destinations import Destination, Retry
from app.outgoing.engine import FarSide
from app.outgoing.model import Claim
from app.platform.clock import utcnow
from app.platform.container import Container
from app.platform.guard import AddressGuard
from app.platform.http_client import HttpTransport
from app.schedules.secrets import NoticeSecrets
from app.settings import Settings

NOTICES: Final = "notices"
ATTEMPT_S: Final = 10.0
ANSWER_BYTES: Final = 64 * 1024
HOSTS: Final = 1_000
KEPT_HOSTS: Final = 100  # whose connections are kept
Secrets = Callable[[str], list[str]]


def notices_destination(settings: Settings) -> Destination:
    """Tried again ever more rarely, for a day."""
    return Destination(
        NOTICES,
        in_flight=20,
        lease=timedelta(seconds=max(settings.lease_s, 1.5 * ATTEMPT_S)),
        probe_interval=timedelta(seconds=settings.retry_interval_s),
        retry=Retry(growth=1.0),
        instances=HOSTS,
    )


def notices_side(container: Container) -> FarSide:
    """Their way, their client, and how long one attempt may take."""
    client = NoticeClient(container[AddressGuard], container[NoticeSecrets].valid)
    return FarSide(NoticeWay(), client, ATTEMPT_S)


class NoticeWay:
    """A receiver knows a repeated one by its `webhook-id`, so one whose answer was lost is sent again."""

    def send(self, claim: Claim) -> Attempt[Ending]:
        progress = Progress(claim)
        sending = yield from Begin()
        if sending is None:
            return Closed(NOTHING)
        written = yield from Send(claim.method, claim.path, sending)
        progress.shown["send"] = written.exchange
        return progress.result(written.error if isinstance(written, CallFailed) else None)


class NoticeClient:
    """`secrets`: those of an account that are valid now, the current one first. Raises CallFailed."""

    def __init__(
        self, guard: AddressGuard, secrets: Secrets, *, clock: Callable[[], datetime] = utcnow
    ) -> None:
        self._guard = guard
        self._secrets = secrets
        self._clock = clock
        self._transports: OrderedDict[str, HttpTransport] = OrderedDict()
        self._lock = threading.Lock()

    def send(self, request: Send, *, deadline: float) -> Written:
        """POST the body to the URL that the path is."""
        parts, body = urlsplit(request.path), request.sending.body or b""
        secrets = self._secrets(json.loads(body)["workflow"]["account_id"])
        caller = Caller(
            "The receiver", "notification_url", self._transport(f"{parts.scheme}://{parts.netloc}"), secrets
        )
        exchange = Exchange(method=request.method, path=request.path, body=shown(body))
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        answer = caller.call(
            request.method,
            path,
            self._headers(request, body, secrets),
            body,
            deadline=deadline,
            exchange=exchange,
        )
        caller.excerpt(answer, exchange)
        caller.refuse_unless_2xx(answer, exchange)
        return Written(conflict=False, exchange=exchange)

    def _headers(self, request: Send, body: bytes, secrets: list[str]) -> dict[str, str]:
        now = self._clock()
        name = hashlib.sha256(request.path.encode() + b"\n" + body).hexdigest()[:32]
        headers = {
            "Content-Type": "application/json",
            "Accept-Encoding": "identity",
            "User-Agent": USER_AGENT,
            "webhook-id": name,
            "webhook-timestamp": str(int(now.timestamp())),
        }
        if secrets:
            headers["webhook-signature"] = signatures(secrets, name, now, body)
        return headers

    def _transport(self, base_url: str) -> HttpTransport:
        with self._lock:
            if base_url not in self._transports:
                self._transports[base_url] = HttpTransport(
                    base_url,
                    pool_size=4,
                    max_answer=ANSWER_BYTES,
                    cut_long_answers=True,
                    resolve=self._guard.addresses,
                )
                if len(self._transports) > KEPT_HOSTS:
                    self._transports.popitem(last=False)[1].close()
            self._transports.move_to_end(base_url)
            return self._transports[base_url]
