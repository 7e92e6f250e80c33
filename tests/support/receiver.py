"""A real receiver of webhooks on a free port: it keeps what comes, and answers as it is told."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self


@dataclass(frozen=True)
class Got:
    """One request, whole."""

    method: str
    path: str
    headers: Mapping[str, str]  # as they came, names in lower case
    body: bytes


@dataclass(frozen=True)
class Reply:
    """What to answer. `drip_s`: a byte of the body at a time, that far apart; `hang`: nothing until the receiver is
    closed; `reset`: break the connection."""

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b"ok"
    drip_s: float = 0
    hang: bool = False
    reset: bool = False


Answering = Callable[[Got], Reply]


class Receiver:
    """`answer` decides about each request; as a context manager it runs."""

    def __init__(self, answer: Answering = lambda _: Reply()) -> None:
        self.answer = answer
        self.got: list[Got] = []
        self.connections = 0
        self._closing = threading.Event()
        self._lock = threading.Lock()
        self._server: ThreadingHTTPServer | None = None

    def __enter__(self) -> Self:
        handler = type("Handler", (_Handler,), {"receiver": self})
        self._server = _Server(("127.0.0.1", 0), handler)
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._closing.set()
        assert self._server is not None
        self._server.shutdown()
        self._server.server_close()

    @property
    def port(self) -> int:
        assert self._server is not None
        return int(self._server.server_address[1])

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hook"

    def note(self, got: Got) -> None:
        with self._lock:
            self.got.append(got)

    def connected(self) -> None:
        with self._lock:
            self.connections += 1

    def wait_closing(self, timeout_s: float) -> bool:
        return self._closing.wait(timeout_s)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False  # a handler may hang on purpose

    def handle_error(self, *_: Any) -> None:
        """A client that has gone is nothing to print."""


class _Handler(BaseHTTPRequestHandler):
    receiver: Receiver
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def setup(self) -> None:
        super().setup()
        self.receiver.connected()

    def do_POST(self) -> None:
        self._serve()

    def do_GET(self) -> None:
        self._serve()

    def _serve(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        headers = {name.lower(): value for name, value in self.headers.items()}
        got = Got(self.command, self.path, headers, body)
        self.receiver.note(got)
        self._reply(self.receiver.answer(got))

    def _reply(self, reply: Reply) -> None:
        if reply.hang:
            self.close_connection = True
            self.receiver.wait_closing(30)
            return
        if reply.reset:
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_RDWR)
            return
        self.send_response(reply.status)
        for name, value in reply.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(reply.body)))
        self.end_headers()
        if not reply.drip_s:
            self.wfile.write(reply.body)
            return
        for n in range(len(reply.body)):
            self.wfile.write(reply.body[n : n + 1])
            self.wfile.flush()
            if self.receiver.wait_closing(reply.drip_s):
                return

    def log_message(self, *_: Any) -> None:
        """Nothing: pytest shows what matters."""
