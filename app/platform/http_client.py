"""Outgoing HTTP to one base URL: a sized pool, time-outs, and a deadline for the whole call by our own clock.

requests' transport adapter keeps pools, TLS and proxies; calls go straight to its pool, which costs a third
of the CPU of a Session (0.3 ms instead of 0.9 ms for a GET and a PATCH) and reads no environment.

`requests` and `urllib3` time-outs hold per socket operation, so a far side that sends a byte now and then
could keep a call for ever. Our sockets therefore shorten each read to what is left of the call.
"""

from __future__ import annotations

import http.client
import socket
import ssl
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final, cast
from urllib.parse import urlsplit

from requests.adapters import HTTPAdapter
from requests.exceptions import RequestException
from requests.utils import DEFAULT_CA_BUNDLE_PATH
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool, Retry, Timeout
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import ConnectTimeoutError, HTTPError, NameResolutionError, NewConnectionError
from urllib3.poolmanager import PoolManager, ProxyManager
from urllib3.util.connection import create_connection

MAX_ANSWER: Final = 4 * 1024 * 1024
_CLOSE: Final = 0.01  # part of a time-out by which a socket's may differ from what is left of the call
# Only the set-up of a connection is tried again here; all other retries are decided elsewhere, once.
CONNECT_RETRIES: Final = Retry(total=None, connect=1, read=False, redirect=False, status=0, other=False)


class TooLong(Exception):
    """The answer is longer than we read; the connection is closed."""


class CallError(Exception):
    """No answer. `cause` is what requests, urllib3 or the socket raised; `sent` tells whether bytes of the
    request may have left, `reused` whether they left on a connection that had been kept: the far side may have closed it
    that very moment without having read them."""

    def __init__(self, cause: BaseException, *, sent: bool, reused: bool = False) -> None:
        super().__init__(type(cause).__name__)
        self.cause = cause
        self.sent = sent
        self.reused = reused


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole answer. `headers` finds names without regard to case."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    elapsed_ms: float


# (host, seconds) -> the addresses that may be connected to, in the order in which to try them
Resolve = Callable[[str, float], Sequence[str]]


class _Call(threading.local):
    """The call that this thread is making: until when (monotonic), whether it made a connection, whether its bytes have
    left, and who says where its host is (None: the system)."""

    deadline: float = float("inf")
    connected: bool = False
    sent: bool = False
    resolve: Resolve | None = None

    def left(self) -> float:
        return self.deadline - time.monotonic()


_call = _Call()


def _shorten(sock: socket.socket) -> None:
    left = _call.left()
    if left <= 0:
        raise TimeoutError("the call's deadline has passed")
    sock.settimeout(left)


def _near(set_s: float | None, wanted_s: float | None) -> bool:
    """Whether a time-out needn't be changed. Each change is a system call that lets other threads go first, and urllib3
    and we would make six of them for a call that takes milliseconds."""
    return set_s is not None and wanted_s is not None and abs(set_s - wanted_s) <= wanted_s * _CLOSE


class _Socket(socket.socket):
    """Reads and writes no longer than the call lasts."""

    def settimeout(self, value: float | None) -> None:
        if not _near(self.gettimeout(), value):
            super().settimeout(value)

    def recv_into(self, *args: Any, **kwargs: Any) -> int:
        _shorten(self)
        return super().recv_into(*args, **kwargs)

    def sendall(self, *args: Any, **kwargs: Any) -> None:
        _shorten(self)
        super().sendall(*args, **kwargs)


class _TlsSocket(ssl.SSLSocket):
    """The same over TLS (sendall is a loop around send)."""

    def settimeout(self, value: float | None) -> None:
        if not _near(self.gettimeout(), value):
            super().settimeout(value)

    def recv_into(self, *args: Any, **kwargs: Any) -> int:
        _shorten(self)
        return super().recv_into(*args, **kwargs)

    def send(self, *args: Any, **kwargs: Any) -> int:
        _shorten(self)
        return super().send(*args, **kwargs)


class _Watched:
    """What our connections do beside urllib3's: the sockets above, and noting when bytes leave."""

    sock: Any
    timeout: Any
    host: str
    port: int
    socket_options: Any
    _head: bytes | None = None  # kept back until its body comes: one packet, and one system call, for both
    _body_follows: bool = False

    def _new_conn(self) -> socket.socket:
        left = _call.left()
        if left <= 0:
            raise ConnectTimeoutError(self, "the call's deadline has passed")
        _call.connected = True
        self.timeout = min(self.timeout, left)
        plain = self._plain_conn() if _call.resolve is None else self._checked_conn(_call.resolve)
        made = _Socket(plain.family, plain.type, plain.proto, plain.detach())
        made.settimeout(self.timeout)
        return made

    def _plain_conn(self) -> socket.socket:
        return cast("socket.socket", super()._new_conn())  # type: ignore[misc]  # urllib3's, by the classes below

    def _checked_conn(self, resolve: Resolve) -> socket.socket:
        """As urllib3 does it, but to the addresses that were checked, not to what the name means a moment later."""
        failure: OSError | None = None
        try:
            for address in resolve(self.host, self.timeout):
                try:
                    return create_connection(
                        (address, self.port),
                        min(self.timeout, max(_call.left(), 0.001)),
                        socket_options=self.socket_options,
                    )
                except OSError as error:
                    failure = error
        except socket.gaierror as error:
            raise NameResolutionError(self.host, cast("HTTPConnection", self), error) from error
        except OSError as error:  # TimeoutError among them: the look-up took too long
            failure = error
        if isinstance(failure, TimeoutError):
            raise ConnectTimeoutError(self, f"no connection to {self.host} in time") from failure
        raise NewConnectionError(cast("HTTPConnection", self), f"no connection to {self.host}") from failure

    def connect(self) -> None:
        body_follows, self._body_follows = self._body_follows, False
        try:
            super().connect()  # type: ignore[misc]
        finally:
            _call.sent = False  # a proxy's CONNECT is not the request
            self._body_follows = body_follows

    def request(self, *args: Any, **kwargs: Any) -> None:
        self._head, self._body_follows = None, bool(kwargs.get("body"))
        super().request(*args, **kwargs)  # type: ignore[misc]

    def send(self, data: Any) -> None:
        if self.sock is None:
            self.connect()
        if self._body_follows:
            self._head, self._body_follows = data, False
            return
        if self._head is not None:
            data, self._head = self._head + data, None
        _call.sent = True
        super().send(data)  # type: ignore[misc]


class _Connection(_Watched, HTTPConnection):
    pass


class _TlsConnection(_Watched, HTTPSConnection):
    pass


class _Pool(HTTPConnectionPool):
    ConnectionCls = _Connection


class _TlsPool(HTTPSConnectionPool):
    ConnectionCls = _TlsConnection


# All that a call can fail with; anything else is a mistake in the program and passes.
_FAILURES: Final = (HTTPError, RequestException, OSError, http.client.HTTPException, ValueError, TooLong)
_POOLS: Final = {"http": _Pool, "https": _TlsPool}


class _Adapter(HTTPAdapter):
    """requests' adapter with our connections and our TLS context."""

    def __init__(self, context: ssl.SSLContext, pool_size: int) -> None:
        self._context = context
        super().__init__(pool_connections=1, pool_maxsize=pool_size, max_retries=CONNECT_RETRIES)

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs, ssl_context=self._context)
        self.poolmanager.pool_classes_by_scheme = _POOLS

    def manager(self, proxy: str | None) -> PoolManager | ProxyManager:
        manager: PoolManager | ProxyManager = self.poolmanager
        if proxy is not None:
            manager = self.proxy_manager_for(proxy, ssl_context=self._context)
        manager.pool_classes_by_scheme = _POOLS
        return manager


@cache
def _context(ca_file: str) -> ssl.SSLContext:
    """Made once for a file: reading the authorities takes 20 ms and a megabyte, and there may be hundreds of
    transports."""
    context = ssl.create_default_context(cafile=ca_file)
    context.sslsocket_class = _TlsSocket  # the context's own switch for the class of its sockets
    return context


class HttpTransport:
    """Calls to one base URL, from any number of threads. Redirects are answers like any other.

    `proxy` is used for every call (no proxy is looked up in the environment); `ca_file` replaces the usual
    authorities; `connect_timeout_s` bounds each connection set-up, a call's deadline all of it. `resolve` is asked
    at each connection set-up where the host may be reached, and only what it answers is connected to; it can't
    be used with a proxy. An answer longer than `max_answer` fails the call, or is cut off there (`cut_long_answers`).
    """

    def __init__(
        self,
        base_url: str,
        *,
        pool_size: int,
        connect_timeout_s: float = 3.0,
        ca_file: Path | None = None,
        proxy: str | None = None,
        max_answer: int = MAX_ANSWER,
        cut_long_answers: bool = False,
        resolve: Resolve | None = None,
    ) -> None:
        if resolve is not None and proxy is not None:
            raise ValueError("a proxy would look the host up itself")
        self._resolve = resolve
        self._cut = cut_long_answers
        self._adapter = _Adapter(_context(str(ca_file or DEFAULT_CA_BUNDLE_PATH)), pool_size)
        self._pool = self._adapter.manager(proxy).connection_from_url(base_url)
        parts = urlsplit(base_url)
        self._prefix = parts.path.rstrip("/")
        self._proxy_headers: dict[str, str] = {}
        if proxy is not None and parts.scheme == "http":  # such a proxy is asked by the whole URL
            self._prefix = f"{parts.scheme}://{parts.netloc}{self._prefix}"
            self._proxy_headers = dict(self._adapter.proxy_headers(proxy))
        self._connect_timeout_s = connect_timeout_s
        self._max_answer = max_answer

    def call(
        self, method: str, path: str, headers: Mapping[str, str], body: bytes | None, *, deadline: float
    ) -> Answer:
        """One request and its whole answer before `deadline` (of `time.monotonic`). Raises CallError.

        `path` is sent as it is; it must be quoted.
        """
        started = time.monotonic()
        _call.deadline, _call.resolve = deadline, self._resolve
        _call.connected = _call.sent = False
        try:
            left = deadline - started
            if left <= 0:
                raise TimeoutError("no time was left for the call")
            response = self._pool.urlopen(
                method,
                self._prefix + path,
                body=body,
                headers={**headers, **self._proxy_headers} if self._proxy_headers else headers,
                retries=CONNECT_RETRIES,
                redirect=False,
                assert_same_host=False,
                timeout=Timeout(connect=min(self._connect_timeout_s, left), read=left),
                preload_content=False,
            )
            content = response.read(self._max_answer + 1)
            if len(content) > self._max_answer:
                response.close()
                if not self._cut:
                    raise TooLong
                content = content[: self._max_answer]
            return Answer(response.status, response.headers, content, (time.monotonic() - started) * 1000)
        except _FAILURES as error:
            raise CallError(error, sent=_call.sent, reused=_call.sent and not _call.connected) from error
        finally:
            _call.deadline, _call.resolve = float("inf"), None

    def close(self) -> None:
        """Close idle connections; those in use close when their call ends."""
        self._adapter.close()
