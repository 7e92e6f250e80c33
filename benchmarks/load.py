"""A caller that costs little: HTTP/1.1 requests made beforehand, over some kept connections, from one thread."""

from __future__ import annotations

import json
import selectors
import socket
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any


def request(method: str, path: str, body: Any, token: str | None = None) -> bytes:
    """A request as it goes over the wire."""
    content = json.dumps(body, separators=(",", ":")).encode()
    head = [f"{method} {path} HTTP/1.1", "Host: 127.0.0.1", "Content-Type: application/json"]
    if token is not None:
        head.append(f"Authorization: Bearer {token}")
    head.append(f"Content-Length: {len(content)}")
    return "\r\n".join(head).encode() + b"\r\n\r\n" + content


@dataclass
class Answered:
    """How many were answered in how long, by status; and how long each took (seconds)."""

    seconds: float = 0.0
    statuses: Counter[int] = field(default_factory=Counter)
    took_s: list[float] = field(default_factory=list)

    @property
    def accepted(self) -> int:
        """Answers 2xx."""
        return sum(count for status, count in self.statuses.items() if 200 <= status < 300)

    @property
    def per_second(self) -> float:
        return self.accepted / self.seconds


class Connection:
    """One kept connection, with at most one request on its way."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=30)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._received = b""
        self.sent_at = 0.0

    def send(self, whole: bytes) -> None:
        self._received = b""
        self.sent_at = time.monotonic()
        self.socket.sendall(whole)

    def receive(self) -> tuple[int, bytes] | None:
        """Read what is there: status and body once the answer is whole. Raises ConnectionError."""
        data = self.socket.recv(65536)
        if not data:
            raise ConnectionError("the server closed the connection")
        self._received += data
        head, found, body = self._received.partition(b"\r\n\r\n")
        if not found or len(body) < _length(head):
            return None
        return int(head[9:12]), body

    def call(self, whole: bytes) -> tuple[int, bytes]:
        """Send and wait for the answer."""
        self.send(whole)
        while (answer := self.receive()) is None:
            pass
        return answer

    def close(self) -> None:
        self.socket.close()


def _length(head: bytes) -> int:
    for line in head.split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            return int(value)
    return 0


def press(port: int, requests: Iterator[bytes], *, seconds: float, connections: int = 16) -> Answered:
    """Keep so many connections busy for so long, or until the requests are used up."""
    answered = Answered()
    selector = selectors.DefaultSelector()
    opened = [Connection(port) for _ in range(connections)]
    started = time.monotonic()
    busy = 0
    try:
        for connection in opened:
            if (first := next(requests, None)) is not None:
                selector.register(connection.socket, selectors.EVENT_READ, connection)
                connection.send(first)
                busy += 1
        while busy:
            for key, _ in selector.select(timeout=30):
                connection = key.data
                if (answer := connection.receive()) is None:
                    continue
                now = time.monotonic()
                answered.statuses[answer[0]] += 1
                answered.took_s.append(now - connection.sent_at)
                following = next(requests, None) if now - started < seconds else None
                if following is None:
                    busy -= 1
                    selector.unregister(connection.socket)
                else:
                    connection.send(following)
        answered.seconds = time.monotonic() - started
    finally:
        selector.close()
        for connection in opened:
            connection.close()
    return answered
