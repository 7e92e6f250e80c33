"""What went wrong with a call to AVOS: every lower-level error and every status, mapped here and nowhere else.

    CallFailed        what the client raises; carries the AttemptError of the outgoing room
      .error          code, retryable, destination_fault, retry_after_s (domain A5)
      .unknown        the request may have been carried out: bytes had left, no answer came

An answer that says "no" is never unknown."""

from __future__ import annotations

import http.client
import re
import socket
import ssl
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Final

import requests.exceptions as re_
import urllib3.exceptions as u3

from app.outgoing.decide import AttemptError
from app.platform.clock import utcnow
from app.platform.http import TooLong

CONNECT, TIMEOUT, RESET, TLS = "connect_failed", "timeout", "connection_reset", "tls_error"
MALFORMED, PROXY_AUTH = "malformed_answer", "proxy_auth"

_TEXTS: Final[Mapping[str, str]] = {
    CONNECT: "No connection could be made",
    TIMEOUT: "No whole answer came in time",
    RESET: "The connection broke before a whole answer had come",
    TLS: "TLS could not be set up",
    MALFORMED: "The answer can't be read",
    PROXY_AUTH: "The proxy refused our credentials",
}
_PROXY_REFUSAL: Final = re.compile(r"Tunnel connection failed: 407")

# Error types and the code of each, once unwrapped; in order, the first that fits counts.
_CODES: Final[tuple[tuple[tuple[type[BaseException], ...], str], ...]] = (
    ((u3.SSLError, ssl.SSLError, re_.SSLError), TLS),
    # urllib3's "could not connect" types are time-outs by descent, so they come before these.
    ((u3.ConnectTimeoutError, u3.ProxyError, re_.ConnectTimeout, re_.ProxyError), CONNECT),
    ((socket.gaierror, ConnectionRefusedError), CONNECT),
    ((u3.TimeoutError, re_.Timeout, TimeoutError), TIMEOUT),
    ((u3.IncompleteRead, u3.InvalidChunkLength, http.client.IncompleteRead, re_.ChunkedEncodingError), RESET),
    ((u3.ResponseNotChunked, u3.DecodeError, re_.ContentDecodingError, TooLong), MALFORMED),
    ((ConnectionError, u3.ProtocolError, re_.ConnectionError), RESET),
    ((u3.PoolError, u3.LocationValueError, u3.TimeoutStateError, u3.UnrewindableBodyError), CONNECT),
    ((u3.HTTPError, re_.RequestException, http.client.HTTPException, ValueError), MALFORMED),
    ((OSError,), RESET),
)
_WRAPPERS: Final = (u3.MaxRetryError, u3.ProtocolError, re_.RequestException)
_UNREACHABLE: Final = frozenset({CONNECT, TIMEOUT, RESET, TLS, PROXY_AUTH})

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


class CallFailed(Exception):
    """See the module. `exchange` is what the attempt's history shows of this call."""

    def __init__(self, error: AttemptError, *, unknown: bool, exchange: Mapping[str, Any]) -> None:
        super().__init__(error.code)
        self.error = error
        self.unknown = unknown
        self.exchange = exchange


def of_exception(error: BaseException, *, sent: bool) -> AttemptError:
    """The meaning of a lower-level error. Its own text is not passed on: it may hold URLs or headers."""
    code = _code(error, sent=sent)
    return AttemptError(
        code=code,
        detail=f"{_TEXTS[code]} ({type(_unwrapped(error)).__name__}).",
        destination_fault=code in _UNREACHABLE,
    )


def of_status(status: int, headers: Mapping[str, str]) -> AttemptError:
    """The meaning of an answer that isn't 2xx."""
    return AttemptError(
        code=_status_code(status),
        detail=f"AVOS answered {status}.",
        retryable=not 400 <= status < 500 or status in _BY_STATUS,
        destination_fault=status in _FAULT_OF_DESTINATION,
        retry_after_s=retry_after(headers.get("Retry-After"), utcnow()),
        status=status,
    )


def retry_after(value: str | None, now: datetime) -> float | None:
    """Seconds of rest that the far side asks for, given in seconds or as an HTTP date; None for anything else."""
    text = (value or "").strip()
    if text.isascii() and text.isdigit():
        return float(text[:9])
    try:
        date = parsedate_to_datetime(text)
    except ValueError:
        return None
    return max(0.0, (date.replace(tzinfo=date.tzinfo or UTC) - now).total_seconds())


def _status_code(status: int) -> str:
    if status in _BY_STATUS:
        return _BY_STATUS[status]
    if 300 <= status < 400:
        return "redirected"
    if 400 <= status < 500:
        return "refused"
    return "server_error" if status >= 500 else MALFORMED


def _code(error: BaseException, *, sent: bool) -> str:
    inner = _unwrapped(error)
    if isinstance(inner, u3.ProxyError) and _PROXY_REFUSAL.search(str(inner)):
        return PROXY_AUTH
    code = next((code for types, code in _CODES if isinstance(inner, types)), MALFORMED)
    if sent:  # then there had been a connection, TLS and all
        return RESET if code in (CONNECT, TLS) else code
    return code if code in (TLS, TIMEOUT) else CONNECT


def _unwrapped(error: BaseException) -> BaseException:
    """What a MaxRetryError, a ProtocolError or an error of requests was made of."""
    while isinstance(error, _WRAPPERS):
        inner = error.reason if isinstance(error, u3.MaxRetryError) else _argument(error)
        if inner is None:
            break
        error = inner
    return error


def _argument(error: BaseException) -> BaseException | None:
    return next((argument for argument in error.args if isinstance(argument, BaseException)), None)
