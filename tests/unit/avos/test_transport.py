"""The transport: deadlines by our own clock, what may have left, TLS, proxies, bounds."""

from __future__ import annotations

import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import urllib3.exceptions as u3

from app.platform.http_client import Answer, CallError, HttpTransport, TooLong
from deploy.simulators.avos import AvosStandIn

TLS = Path(__file__).parent / "tls"
LIVE = "/external/contentMedia/live/C1"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"


@pytest.fixture
def avos() -> Iterator[AvosStandIn]:
    with AvosStandIn() as running:
        yield running


@contextmanager
def transport(url: str, **settings: Any) -> Iterator[HttpTransport]:
    made = HttpTransport(url, pool_size=4, **settings)
    try:
        yield made
    finally:
        made.close()


def call(
    made: HttpTransport,
    method: str = "GET",
    path: str = LIVE,
    body: bytes | None = None,
    *,
    within: float = 5,
) -> Answer:
    return made.call(method, path, {"X-Test": "1"}, body, deadline=time.monotonic() + within)


def failure(made: HttpTransport, method: str = "GET", path: str = LIVE, *, within: float = 5) -> CallError:
    with pytest.raises(CallError) as caught:
        call(made, method, path, within=within)
    return caught.value


@contextmanager
def listener(serve: Callable[[socket.socket], None]) -> Iterator[int]:
    """A raw server on a free port; `serve` gets each connection in its own thread."""
    with socket.create_server(("127.0.0.1", 0)) as server, ThreadPoolExecutor() as threads:

        def guarded(connection: socket.socket) -> None:
            with connection:
                try:
                    serve(connection)
                except OSError:
                    return  # the client has gone

        def accept() -> None:
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                threads.submit(guarded, connection)

        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        yield server.getsockname()[1]
        server.shutdown(socket.SHUT_RDWR)
        thread.join()


def request_head(connection: socket.socket) -> bytes:
    received = b""
    while b"\r\n\r\n" not in received:
        chunk = connection.recv(65536)
        if not chunk:
            break
        received += chunk
    return received


def drip(connection: socket.socket, data: bytes, interval: float = 0.05) -> None:
    for n in range(len(data)):
        connection.sendall(data[n : n + 1])
        time.sleep(interval)


def test_an_answer_comes_whole_and_connections_are_kept(avos: AvosStandIn) -> None:
    with transport(avos.url) as made:
        for _ in range(3):
            answer = call(made)
            assert answer.status == 200
            assert answer.headers["content-TYPE"] == "application/json"
            assert b"lastModified" in answer.body
            assert answer.elapsed_ms > 0
        assert made._pool.num_connections == 1


def test_a_kept_connection_waits_as_long_as_each_call_may() -> None:
    over = threading.Event()

    def serve(connection: socket.socket) -> None:
        for _ in range(2):
            request_head(connection)
            connection.sendall(OK)
        request_head(connection)
        over.wait(10)

    with listener(serve) as port, transport(f"http://127.0.0.1:{port}") as made:
        for seconds in (0.5, 20):
            call(made, within=seconds)
        started = time.monotonic()
        error = failure(made, within=0.3)
        over.set()
        assert error.reused
        assert isinstance(error.cause, (TimeoutError, u3.TimeoutError))
        assert time.monotonic() - started < 5


def test_a_base_path_comes_before_the_path() -> None:
    seen: list[bytes] = []

    def serve(connection: socket.socket) -> None:
        seen.append(request_head(connection))
        connection.sendall(OK)

    with listener(serve) as port, transport(f"http://127.0.0.1:{port}/base/") as made:
        call(made, path="/a%2Fb/")
    assert seen[0].startswith(b"GET /base/a%2Fb/ HTTP/1.1\r\n")


def test_nothing_is_read_from_the_environment(avos: AvosStandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/nonexistent")
    with transport(avos.url) as made:
        assert call(made).status == 200


def test_redirects_are_not_followed() -> None:
    def serve(connection: socket.socket) -> None:
        request_head(connection)
        connection.sendall(
            b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n"
        )

    with listener(serve) as port, transport(f"http://127.0.0.1:{port}") as made:
        assert call(made).status == 302


@pytest.mark.parametrize("headers", [False, True])
def test_a_dripping_answer_is_cut_off_at_the_deadline(avos: AvosStandIn, headers: bool) -> None:
    avos.fault("drip", intervalMs=50, headers=headers)
    with transport(avos.url) as made:
        started = time.monotonic()
        error = failure(made, within=0.4)
        assert 0.35 < time.monotonic() - started < 1.0
        assert error.sent
        assert isinstance(error.cause, u3.ReadTimeoutError)


def test_a_hanging_answer_is_given_up_at_the_deadline(avos: AvosStandIn) -> None:
    avos.fault("hang")
    with transport(avos.url) as made:
        assert failure(made, within=0.2).sent


def test_no_time_left_means_nothing_is_sent(avos: AvosStandIn) -> None:
    with transport(avos.url) as made:
        error = failure(made, within=-1)
    assert not error.sent
    assert avos.journal() == []


def test_the_deadline_of_one_call_does_not_outlive_it(avos: AvosStandIn) -> None:
    with transport(avos.url) as made:
        call(made, within=0.3)
        avos.control(latencyMs=500)
        assert call(made, within=5).status == 200


@pytest.mark.parametrize("kind", ["refused", "unresolved"])
def test_what_never_connected_was_not_sent(kind: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as unused:
        port = unused.getsockname()[1]
    host = "127.0.0.1" if kind == "refused" else "no-such-host.invalid"
    with transport(f"http://{host}:{port}") as made:
        error = failure(made)
    assert not error.sent
    assert isinstance(error.cause, u3.MaxRetryError)


def test_a_connection_that_is_reset_may_have_carried_the_request(avos: AvosStandIn) -> None:
    avos.fault("reset", when="after", on="put")
    with transport(avos.url) as made:
        assert failure(made, "PUT", "/external/x").sent
    assert len(avos.journal()) == 1  # never tried again down here


def test_an_answer_that_is_too_long_is_refused() -> None:
    def serve(connection: socket.socket) -> None:
        request_head(connection)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2000\r\n\r\n" + b"x" * 2000)

    with listener(serve) as port:
        with transport(f"http://127.0.0.1:{port}", max_answer=1999) as made:
            assert isinstance(failure(made).cause, TooLong)
        with transport(f"http://127.0.0.1:{port}", max_answer=2000) as made:
            assert len(call(made).body) == 2000


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{}",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"nonsense\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 2\r\n\r\n{}",
        b"",
    ],
)
def test_a_broken_answer_is_an_error(answer: bytes) -> None:
    def serve(connection: socket.socket) -> None:
        request_head(connection)
        connection.sendall(answer)

    with listener(serve) as port, transport(f"http://127.0.0.1:{port}") as made:
        assert failure(made).sent


def tls_server(serve: Callable[[ssl.SSLSocket], None]) -> Callable[[socket.socket], None]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(TLS / "localhost.pem", TLS / "localhost.key")

    def wrapped(connection: socket.socket) -> None:
        with context.wrap_socket(connection, server_side=True) as secure:
            serve(secure)

    return wrapped


def answer_ok(connection: socket.socket) -> None:
    request_head(connection)
    connection.sendall(OK)


def test_a_private_authority_is_trusted_when_it_is_named() -> None:
    with listener(tls_server(answer_ok)) as port:
        with transport(f"https://localhost:{port}", ca_file=TLS / "localhost.pem") as made:
            assert call(made).body == b"{}"
        with transport(f"https://localhost:{port}") as made:
            error = failure(made)
    assert not error.sent
    assert isinstance(error.cause, u3.MaxRetryError)
    assert isinstance(error.cause.reason, u3.SSLError)


def test_a_dripping_answer_is_cut_off_over_tls_too() -> None:
    def serve(connection: ssl.SSLSocket) -> None:
        request_head(connection)
        drip(connection, OK)

    with (
        listener(tls_server(serve)) as port,
        transport(f"https://localhost:{port}", ca_file=TLS / "localhost.pem") as made,
    ):
        started = time.monotonic()
        assert failure(made, within=0.4).sent
        assert time.monotonic() - started < 1.0


def test_a_far_side_that_accepts_and_never_shakes_hands_is_given_up() -> None:
    with (
        listener(lambda connection: time.sleep(0.5)) as port,
        transport(f"https://localhost:{port}", connect_timeout_s=0.1) as made,
    ):
        started = time.monotonic()
        assert not failure(made, within=2).sent
        assert time.monotonic() - started < 1.0


def test_a_proxy_is_asked_by_the_whole_url_with_its_own_credentials() -> None:
    seen: list[bytes] = []

    def serve(connection: socket.socket) -> None:
        seen.append(request_head(connection))
        connection.sendall(OK)

    with (
        listener(serve) as port,
        transport("http://avos.example/base", proxy=f"http://me:pw@127.0.0.1:{port}") as made,
    ):
        assert call(made, path="/x").status == 200
    assert seen[0].startswith(b"GET http://avos.example/base/x HTTP/1.1\r\n")
    assert b"Proxy-Authorization: Basic bWU6cHc=" in seen[0]


def test_a_proxy_that_refuses_to_connect_through_has_carried_nothing() -> None:
    def serve(connection: socket.socket) -> None:
        request_head(connection)
        connection.sendall(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n")

    with (
        listener(serve) as port,
        transport("https://avos.example", proxy=f"http://127.0.0.1:{port}") as made,
    ):
        error = failure(made)
    assert not error.sent
    assert "407" in str(error.cause)


def test_head_and_body_leave_together_also_through_a_proxys_tunnel() -> None:
    """Two packets for one PATCH cost as much as a second request."""
    seen: list[bytes] = []

    def serve(connection: ssl.SSLSocket) -> None:
        for _ in range(2):
            seen.append(connection.recv(65536))
            connection.sendall(OK)

    secure = tls_server(serve)

    def proxy(connection: socket.socket) -> None:
        seen.append(request_head(connection))
        connection.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
        secure(connection)

    with (
        listener(proxy) as port,
        transport(
            "https://localhost", proxy=f"http://127.0.0.1:{port}", ca_file=TLS / "localhost.pem"
        ) as made,
    ):
        call(made, "PATCH", body=b'{"a":1}')
        call(made, "PATCH", body=b'{"a":2}')
    connect, first, second = seen
    assert connect.startswith(b"CONNECT localhost:443 ")
    assert (first[:6], first[-7:], second[-7:]) == (b"PATCH ", b'{"a":1}', b'{"a":2}')
