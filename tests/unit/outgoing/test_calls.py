"""Every lower-level error and every status has one meaning."""

from __future__ import annotations

import http.client
import inspect
import socket
import ssl
from collections.abc import Iterator
from datetime import UTC, datetime
from types import ModuleType
from typing import Any

import pytest
import requests.exceptions as re_
import urllib3.exceptions as u3

from app.outgoing.calls import of_exception, of_status
from app.platform.failures import retry_after
from app.platform.http_client import TooLong

POOL: Any = None
RESET = ConnectionResetError(104, "reset")

# What each type means when nothing had been sent, and when bytes had left.
MEANINGS: dict[type[BaseException], tuple[str, str]] = {
    u3.HTTPError: ("connect_failed", "malformed_answer"),
    u3.PoolError: ("connect_failed", "connection_reset"),
    u3.RequestError: ("connect_failed", "connection_reset"),
    u3.SSLError: ("tls_error", "connection_reset"),
    u3.ProxyError: ("connect_failed", "connection_reset"),
    u3.DecodeError: ("connect_failed", "malformed_answer"),
    u3.ProtocolError: ("connect_failed", "connection_reset"),
    u3.MaxRetryError: ("connect_failed", "connection_reset"),
    u3.HostChangedError: ("connect_failed", "connection_reset"),
    u3.TimeoutStateError: ("connect_failed", "connection_reset"),
    u3.TimeoutError: ("timeout", "timeout"),
    u3.ReadTimeoutError: ("timeout", "timeout"),
    u3.ConnectTimeoutError: ("connect_failed", "connection_reset"),
    u3.NewConnectionError: ("connect_failed", "connection_reset"),
    u3.NameResolutionError: ("connect_failed", "connection_reset"),
    u3.EmptyPoolError: ("connect_failed", "connection_reset"),
    u3.FullPoolError: ("connect_failed", "connection_reset"),
    u3.ClosedPoolError: ("connect_failed", "connection_reset"),
    u3.LocationValueError: ("connect_failed", "connection_reset"),
    u3.LocationParseError: ("connect_failed", "connection_reset"),
    u3.URLSchemeUnknown: ("connect_failed", "connection_reset"),
    u3.ResponseError: ("connect_failed", "malformed_answer"),
    u3.ResponseNotChunked: ("connect_failed", "malformed_answer"),
    u3.BodyNotHttplibCompatible: ("connect_failed", "malformed_answer"),
    u3.IncompleteRead: ("connect_failed", "connection_reset"),
    u3.InvalidChunkLength: ("connect_failed", "connection_reset"),
    u3.InvalidHeader: ("connect_failed", "malformed_answer"),
    u3.ProxySchemeUnknown: ("connect_failed", "connection_reset"),
    u3.ProxySchemeUnsupported: ("connect_failed", "malformed_answer"),
    u3.HeaderParsingError: ("connect_failed", "malformed_answer"),
    u3.UnrewindableBodyError: ("connect_failed", "connection_reset"),
    re_.RequestException: ("connect_failed", "malformed_answer"),
    re_.InvalidJSONError: ("connect_failed", "malformed_answer"),
    re_.JSONDecodeError: ("connect_failed", "malformed_answer"),
    re_.HTTPError: ("connect_failed", "malformed_answer"),
    re_.ConnectionError: ("connect_failed", "connection_reset"),
    re_.ProxyError: ("connect_failed", "connection_reset"),
    re_.SSLError: ("tls_error", "connection_reset"),
    re_.Timeout: ("timeout", "timeout"),
    re_.ConnectTimeout: ("connect_failed", "connection_reset"),
    re_.ReadTimeout: ("timeout", "timeout"),
    re_.URLRequired: ("connect_failed", "malformed_answer"),
    re_.TooManyRedirects: ("connect_failed", "malformed_answer"),
    re_.MissingSchema: ("connect_failed", "malformed_answer"),
    re_.InvalidSchema: ("connect_failed", "malformed_answer"),
    re_.InvalidURL: ("connect_failed", "malformed_answer"),
    re_.InvalidHeader: ("connect_failed", "malformed_answer"),
    re_.InvalidProxyURL: ("connect_failed", "malformed_answer"),
    re_.ChunkedEncodingError: ("connect_failed", "connection_reset"),
    re_.ContentDecodingError: ("connect_failed", "malformed_answer"),
    re_.StreamConsumedError: ("connect_failed", "malformed_answer"),
    re_.RetryError: ("connect_failed", "malformed_answer"),
    re_.UnrewindableBodyError: ("connect_failed", "malformed_answer"),
    ssl.SSLError: ("tls_error", "connection_reset"),
    ssl.SSLCertVerificationError: ("tls_error", "connection_reset"),
    ssl.SSLEOFError: ("tls_error", "connection_reset"),
    socket.gaierror: ("connect_failed", "connection_reset"),
    TimeoutError: ("timeout", "timeout"),
    ConnectionRefusedError: ("connect_failed", "connection_reset"),
    ConnectionResetError: ("connect_failed", "connection_reset"),
    ConnectionAbortedError: ("connect_failed", "connection_reset"),
    BrokenPipeError: ("connect_failed", "connection_reset"),
    OSError: ("connect_failed", "connection_reset"),
    http.client.RemoteDisconnected: ("connect_failed", "connection_reset"),
    http.client.BadStatusLine: ("connect_failed", "malformed_answer"),
    http.client.LineTooLong: ("connect_failed", "malformed_answer"),
    http.client.IncompleteRead: ("connect_failed", "connection_reset"),
    TooLong: ("connect_failed", "malformed_answer"),
}


def bare(kind: type[BaseException]) -> BaseException:
    """An instance without the many arguments that some of the types ask for."""
    made = kind.__new__(kind)
    made.args = ()
    if isinstance(made, u3.MaxRetryError):
        made.reason = None
    return made


def library_types(*modules: ModuleType) -> Iterator[type[BaseException]]:
    for module in modules:
        for kind in vars(module).values():
            if (
                inspect.isclass(kind)
                and issubclass(kind, Exception)
                and not issubclass(kind, Warning)
                and kind.__module__ == module.__name__
            ):
                yield kind


@pytest.mark.parametrize(
    "kind", list(library_types(u3, re_)), ids=lambda kind: f"{kind.__module__}.{kind.__name__}"
)
def test_every_error_type_of_requests_and_urllib3_is_in_the_table(kind: type[BaseException]) -> None:
    assert kind in MEANINGS


@pytest.mark.parametrize(("kind", "codes"), MEANINGS.items(), ids=str)
def test_each_error_type_has_its_code(kind: type[BaseException], codes: tuple[str, str]) -> None:
    for sent, code in zip((False, True), codes, strict=True):
        error = of_exception(bare(kind), sent=sent)
        assert error.code == code
        assert error.retryable
        assert kind.__name__ in error.detail


@pytest.mark.parametrize(
    ("error", "sent", "code"),
    [
        (u3.MaxRetryError(POOL, "/", u3.SSLError(ssl.SSLError("bad certificate"))), False, "tls_error"),
        (
            u3.MaxRetryError(POOL, "/", u3.ProxyError("x", OSError("Tunnel connection failed: 407 No"))),
            False,
            "proxy_auth",
        ),
        (u3.ProxyError("x", OSError("Tunnel connection failed: 502 No")), False, "connect_failed"),
        (u3.ProtocolError("Connection aborted.", RESET), True, "connection_reset"),
        (
            u3.ProtocolError("Connection aborted.", http.client.RemoteDisconnected("x")),
            True,
            "connection_reset",
        ),
        (u3.ProtocolError("Connection aborted.", http.client.BadStatusLine("x")), True, "malformed_answer"),
        (
            re_.ConnectionError(u3.MaxRetryError(POOL, "/", u3.ReadTimeoutError(POOL, "/", "x"))),
            True,
            "timeout",
        ),
        (re_.ConnectionError(u3.ProtocolError("x", TimeoutError())), True, "timeout"),
    ],
)
def test_a_wrapper_means_what_it_wraps(error: BaseException, sent: bool, code: str) -> None:
    assert of_exception(error, sent=sent).code == code


def test_the_text_of_an_error_is_not_passed_on() -> None:
    error = of_exception(ConnectionResetError("https://user:secret@host"), sent=True)
    assert error.detail == "The connection broke before a whole answer had come (ConnectionResetError)."
    assert error.destination_fault


@pytest.mark.parametrize(
    ("status", "code", "retryable", "destination_fault"),
    [
        (100, "malformed_answer", True, False),
        (301, "redirected", True, False),
        (304, "redirected", True, False),
        (400, "refused", False, False),
        (401, "unauthorized", True, True),
        (403, "forbidden", True, True),
        (404, "not_found", True, False),
        (407, "proxy_auth", True, True),
        (408, "request_timeout", True, False),
        (409, "refused", False, False),
        (410, "refused", False, False),
        (422, "refused", False, False),
        (402, "refused", False, False),
        (425, "too_early", True, False),
        (429, "throttled", True, True),
        (451, "refused", False, False),
        (500, "server_error", True, False),
        (502, "server_error", True, True),
        (503, "server_error", True, True),
        (504, "server_error", True, True),
        (599, "server_error", True, False),
    ],
)
def test_each_status_has_its_meaning(
    status: int, code: str, retryable: bool, destination_fault: bool
) -> None:
    error = of_status("AVOS", status, {})
    assert (error.code, error.retryable, error.destination_fault, error.status) == (
        code,
        retryable,
        destination_fault,
        status,
    )
    assert error.retry_after_s is None


NOW = datetime(2026, 11, 21, 19, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("5", 5),
        (" 120 ", 120),
        ("0", 0),
        ("Sat, 21 Nov 2026 19:31:30 GMT", 90),
        ("Sat, 21 Nov 2026 19:31:30 -0000", 90),
        ("Sat, 21 Nov 2026 19:00:00 GMT", 0),
        ("99999999999999999999", 999999999),
        (None, None),
        ("", None),
        ("-5", None),
        ("1.5", None),
        ("soon", None),
        ("٣", None),
    ],
)
def test_retry_after_is_seconds_or_a_date(value: str | None, seconds: float | None) -> None:
    assert retry_after(value, NOW) == seconds
