"""One event per POST, signed after Standard Webhooks; the body is the event, byte for byte as it was
published."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Final
from urllib.parse import parse_qsl, quote, urlsplit

from app.events.sinks.base import LONGEST_ANSWER, Config, Delivery, Kind, Limits, Outcome, SinkError
from app.events.sinks.calls import Parcel, send
from app.events.sinks.signatures import PREFIX, signatures, valid
from app.platform.clock import to_ms, utcnow
from app.platform.errors import InvalidInput
from app.platform.failures import RESET, describe, retry_after
from app.platform.guard import AddressGuard
from app.platform.http_client import Answer, CallError, HttpTransport

REQUEST_S: Final = 15.0  # a whole request, also where the answer comes in drips
CONNECT_S: Final = 5.0
ANSWER_BYTES: Final = 64 * 1024  # what is read of an answer
EVENT_BYTES: Final = 8 * 1024 * 1024
MAX_HEADERS: Final = 32
MAX_HEADER_VALUE: Final = 4_096
_LOOKED_THROUGH: Final = (
    16 * 1024
)  # of an answer, for secrets, before its first thousand characters are shown
_POOL: Final = 32

_NAME: Final = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,128}")
_VALUE: Final = re.compile(r"[\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?")
# Ours, hop-by-hop ones (RFC 9110, 7.6.1), and those that would change what the body means.
_RESERVED: Final = frozenset(
    [
        "host",
        "connection",
        "keep-alive",
        "proxy-connection",
        "proxy-authenticate",
        "proxy-authorization",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "expect",
        "accept-encoding",
        "content-type",
        "content-length",
        "content-encoding",
        "content-md5",
        "digest",
    ]
)
_RESERVED_PREFIXES: Final = ("webhook-", "x-mediaops-")

_SIGNED: Final = ("webhook-timestamp", "webhook-signature")
_REFUSED: Final = frozenset({400, 413, 422})
_CODES: Final[Mapping[int, str]] = {
    401: "unauthorized",
    403: "forbidden",
    404: "not_found",
    408: "request_timeout",
    410: "gone",
    429: "throttled",
    503: "unavailable",
}


def check(sink: Config, guard: AddressGuard) -> None:
    """Refuse a webhook that can't or may not be called. Raises InvalidInput.

    `headers` is what the user gives: names and values.
    """
    guard.check_url(str(sink["url"]), "sink.url")
    headers: Mapping[str, str] = sink.get("headers") or {}
    problems: list[tuple[str | None, str]] = []
    if len(headers) > MAX_HEADERS:
        problems.append(("sink.headers", f"At most {MAX_HEADERS} headers."))
    if len({name.lower() for name in headers}) < len(headers):
        problems.append(("sink.headers", "A header's name stands there twice."))
    for name, value in headers.items():
        fault = _header_fault(name, value)
        if fault:
            problems.append((f"sink.headers.{name[:128]}", fault))
    if problems:
        raise InvalidInput(problems[:20])


def _header_fault(name: str, value: str) -> str | None:
    if not _NAME.fullmatch(name):
        return "No header can have this name."
    if name.lower() in _RESERVED or name.lower().startswith(_RESERVED_PREFIXES):
        return "This header is set by us or belongs to the connection."
    if len(value) > MAX_HEADER_VALUE:
        return f"A header's value has at most {MAX_HEADER_VALUE} characters."
    if not _VALUE.fullmatch(value):
        return "A header's value has printable ASCII characters, and no blank at its ends."
    return None


class Webhook:
    """A receiver of POSTs. One request at a time where order matters, else as many as threads call `send`."""

    def __init__(
        self,
        sink: Config,
        secrets: Config,
        *,
        ordered: bool,
        guard: AddressGuard,
        clock: Callable[[], datetime] = utcnow,
    ) -> None:
        parts = urlsplit(str(sink["url"]))
        self.limits = Limits(events=1, bytes=EVENT_BYTES, event_bytes=EVENT_BYTES, one_per_key=ordered)
        self._ordered = ordered
        self._clock = clock
        self._signing = list(secrets.get("signing") or ())
        self._headers: dict[str, str] = dict(secrets.get("headers") or {})
        if not any(name.lower() == "user-agent" for name in self._headers):
            self._headers["User-Agent"] = "mediaops-sync"
        self._path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        # A query often holds a key, so its values are neither shown nor passed on from answers.
        self._shown = f"{parts.scheme}://{parts.netloc}{parts.path}" + ("?…" if parts.query else "")
        self._secrets = _to_hide([s["secret"] for s in self._signing], self._headers, parts.query)
        self._transport = HttpTransport(
            f"{parts.scheme}://{parts.netloc}",
            pool_size=_POOL,
            connect_timeout_s=CONNECT_S,
            max_answer=ANSWER_BYTES,
            cut_long_answers=True,
            resolve=guard.addresses,
        )

    def send(self, deliveries: Sequence[Delivery], deadline: float) -> list[Outcome]:
        order = "all" if self._ordered else None
        parcels = [Parcel(delivery, len(delivery.event), order) for delivery in deliveries]
        return send(parcels, self.limits, lambda one: [self._post(one[0], deadline)], deadline)

    def request_summary(self, deliveries: Sequence[Delivery]) -> Config:
        names = sorted({*self._headers_of(deliveries[0]), *_SIGNED}) if deliveries else []
        size = sum(len(d.event) for d in deliveries)
        return {"method": "POST", "url": self._shown, "headers": names, "bytes": size}

    def close(self) -> None:
        self._transport.close()

    def _post(self, delivery: Delivery, deadline: float) -> Outcome:
        started = time.monotonic()
        try:
            answer = self._call(delivery, min(deadline, started + REQUEST_S))
        except CallError as error:
            code, detail = describe(error.cause, sent=error.sent)
            latency = int((time.monotonic() - started) * 1000)
            return Outcome(SinkError(code, detail, Kind.RETRY), latency_ms=latency)
        return Outcome(
            meaning(answer.status, answer.headers, self._clock()),
            status=answer.status,
            latency_ms=int(answer.elapsed_ms),
            answer=self._excerpt(answer),
        )

    def _call(self, delivery: Delivery, deadline: float) -> Answer:
        """A kept connection that breaks was most likely closed while nobody used it, so a new one is tried
        at once. If the receiver has read the event all the same, it can see by the id that it came twice."""
        headers = self._signed(delivery)
        try:
            return self._transport.call("POST", self._path, headers, delivery.event, deadline=deadline)
        except CallError as error:
            if not error.reused or describe(error.cause, sent=True)[0] != RESET:
                raise
        return self._transport.call("POST", self._path, headers, delivery.event, deadline=deadline)

    def _headers_of(self, delivery: Delivery) -> dict[str, str]:
        headers = {
            **self._headers,
            "Content-Type": "application/json",
            "Accept-Encoding": "identity",
            "webhook-id": _header_safe(delivery.guid),
            "X-Mediaops-Topic": _header_safe(delivery.topic),
            "X-Mediaops-Sequence": str(delivery.sequence),
            "X-Mediaops-Previous-Sequence": str(delivery.previous),
        }
        if delivery.redelivery is not None:
            headers["X-Mediaops-Redelivery"] = _header_safe(delivery.redelivery)
        return headers

    def _signed(self, delivery: Delivery) -> dict[str, str]:
        headers = self._headers_of(delivery)
        now = self._clock()
        now_ms = to_ms(now)
        headers["webhook-timestamp"] = str(now_ms // 1000)
        headers["webhook-signature"] = signatures(
            valid(self._signing, now_ms), headers["webhook-id"], now, delivery.event
        )
        return headers

    def _excerpt(self, answer: Answer) -> str:
        text = answer.body[:_LOOKED_THROUGH].decode(errors="replace")
        for secret in self._secrets:
            text = text.replace(secret, "***")
        return "".join(c if c.isprintable() else " " for c in text[:LONGEST_ANSWER])


def meaning(status: int, headers: Mapping[str, str], now: datetime) -> SinkError | None:
    """What an answer means; None: delivered."""
    if 200 <= status < 300:
        return None
    detail = f"The receiver answered {status}."
    if status == 410:
        return SinkError("gone", detail, Kind.GONE)
    if status in _REFUSED:
        return SinkError("refused", detail, Kind.REFUSED)
    if 300 <= status < 400:
        return SinkError("redirected", f"{detail} Redirects aren't followed.", Kind.RETRY)
    code = _CODES.get(status) or ("server_error" if status >= 500 else "unexpected_status")
    return SinkError(code, detail, Kind.RETRY, retry_after(headers.get("Retry-After"), now))


def _header_safe(text: str) -> str:
    """Text as it can stand in a header: percent-encoded where it isn't printable ASCII throughout."""
    return text if text.isascii() and text.isprintable() and text == text.strip() else quote(text, safe="")


def _to_hide(signing: Sequence[str], headers: Mapping[str, str], query: str) -> list[str]:
    """Secrets that must not get into the delivery log when a receiver repeats our request. Longest first."""
    hidden = {secret.removeprefix(PREFIX) for secret in signing} | set(signing)
    for value in headers.values():
        hidden |= {value, value.rpartition(" ")[2]}  # "Bearer …" also without its scheme
    hidden |= {value for _, value in parse_qsl(query)} | {
        part.rpartition("=")[2] for part in query.split("&")
    }
    escaped = {value.replace("\\", "\\\\").replace('"', '\\"').replace("/", "\\/") for value in hidden}
    return sorted((value for value in hidden | escaped if len(value) > 3), key=len, reverse=True)
