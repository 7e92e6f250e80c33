"""What kept a call over HTTP from getting its answer: every lower-level error has one code, mapped here and nowhere else.

The packages that call far sides say what such a code means for their attempt."""

from __future__ import annotations

import http.client
import re
import socket
import ssl
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final

import requests.exceptions as re_
import urllib3.exceptions as u3

from app.platform.guard import AddressRefused
from app.platform.http_client import TooLong

CONNECT, TIMEOUT, RESET, TLS = "connect_failed", "timeout", "connection_reset", "tls_error"
MALFORMED, PROXY_AUTH, ADDRESS = "malformed_answer", "proxy_auth", "address_refused"
UNREACHABLE: Final = frozenset({CONNECT, TIMEOUT, RESET, TLS, PROXY_AUTH, ADDRESS})

_TEXTS: Final[Mapping[str, str]] = {
    CONNECT: "No connection could be made",
    TIMEOUT: "No whole answer came in time",
    RESET: "The connection broke before a whole answer had come",
    TLS: "TLS could not be set up",
    MALFORMED: "The answer can't be read",
    PROXY_AUTH: "The proxy refused our credentials",
    ADDRESS: "The host has no address that may be connected to",
}
_PROXY_REFUSAL: Final = re.compile(r"Tunnel connection failed: 407")

# Error types and the code of each, once unwrapped; in order, the first that fits counts.
_CODES: Final[tuple[tuple[tuple[type[BaseException], ...], str], ...]] = (
    ((AddressRefused,), ADDRESS),
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


def describe(error: BaseException, *, sent: bool) -> tuple[str, str]:
    """An error's code, and a sentence. `sent`: bytes of the request had left.

    The error's own text is not passed on: it may hold URLs or headers.
    """
    code = _code(error, sent=sent)
    return code, f"{_TEXTS[code]} ({type(_unwrapped(error)).__name__})."


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


def _code(error: BaseException, *, sent: bool) -> str:
    inner = _unwrapped(error)
    if isinstance(inner, u3.ProxyError) and _PROXY_REFUSAL.search(str(inner)):
        return PROXY_AUTH
    code = next((code for types, code in _CODES if isinstance(inner, types)), MALFORMED)
    if sent:  # then there had been a connection, TLS and all
        return RESET if code in (CONNECT, TLS) else code
    return code if code in (TLS, TIMEOUT, ADDRESS) else CONNECT


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
