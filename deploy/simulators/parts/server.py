"""The stand-in's sockets: HTTP/1.1 with keep-alive, parsed by hand, as it must cost little beside what it tests."""

from __future__ import annotations

import asyncio
import socket
import struct
import time
from http import HTTPStatus
from typing import Any, Final

from deploy.simulators.parts.answers import Answer
from deploy.simulators.parts.service import Call, StandInService

_MAX_HEAD: Final = 64 * 1024
_REASONS: Final = {status.value: status.phrase for status in HTTPStatus}
_RESET_ON_CLOSE: Final = struct.pack("ii", 1, 0)


class Server:
    """Listens on the main port, and on a control port that stays open while the main one is down."""

    def __init__(self, service: StandInService[Any], host: str, port: int, control_port: int) -> None:
        self.service = service
        self._host = host
        self.port = port
        self.control_port = control_port
        self._main: asyncio.Server | None = None
        self._control: asyncio.Server | None = None
        self._connections: set[Connection] = set()
        self._up_again: asyncio.TimerHandle | None = None

    async def start(self) -> None:
        await self._listen()
        loop = asyncio.get_running_loop()
        self._control = await loop.create_server(
            lambda: Connection(self, control=True), self._host, self.control_port
        )
        self.control_port = self._control.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        self._close_main()
        if self._up_again is not None:
            self._up_again.cancel()
        if self._control is not None:
            self._control.close()
        for connection in list(self._connections):
            connection.abort()
        await asyncio.sleep(0)

    async def obey(self) -> None:
        """Do what the switch `down` says now."""
        switches = self.service.switches
        if self._up_again is not None:
            self._up_again.cancel()
            self._up_again = None
        if switches.down == "refuse":
            self._close_main()
        elif self._main is None:
            await self._listen()
        if switches.down != "no" and switches.down_until is not None:
            left = switches.down_until - time.monotonic()
            self._up_again = asyncio.get_running_loop().call_later(max(0.0, left), self._come_up)

    def _come_up(self) -> None:
        self.service.switches.down = "no"
        self._task = asyncio.ensure_future(self.obey())

    async def _listen(self) -> None:
        loop = asyncio.get_running_loop()
        self._main = await loop.create_server(
            lambda: Connection(self, control=False), self._host, self.port, backlog=1024, reuse_address=True
        )
        self.port = self._main.sockets[0].getsockname()[1]

    def _close_main(self) -> None:
        if self._main is not None:
            self._main.close()
            self._main = None
        for connection in list(self._connections):
            if not connection.control:
                connection.abort()

    def enter(self, connection: Connection) -> None:
        self._connections.add(connection)

    def leave(self, connection: Connection) -> None:
        self._connections.discard(connection)


class Connection(asyncio.Protocol):
    """One connection; its requests are answered one after the other."""

    def __init__(self, server: Server, *, control: bool) -> None:
        self._server = server
        self._service = server.service
        self.control = control
        self._transport: asyncio.Transport | None = None
        self._received = bytearray()
        self._busy = False
        self._close_after = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - what a TCP server gives
        self._transport = transport
        self._server.enter(self)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        self._transport = None
        self._server.leave(self)

    def data_received(self, data: bytes) -> None:
        self._received += data
        if not self._busy:
            self._next()

    def abort(self) -> None:
        """Reset the connection, so that the client sees it at once."""
        if self._transport is None:
            return
        handle = self._transport.get_extra_info("socket")
        handle.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
        self._transport.abort()

    def _next(self) -> None:
        """Take the next whole request out of what was received, if it is there."""
        end = self._received.find(b"\r\n\r\n")
        if end < 0:
            if len(self._received) > _MAX_HEAD:
                self._refuse(431)
            return
        lines = self._received[:end].decode("latin-1").split("\r\n")
        first = lines[0].split(" ")
        headers: dict[str, str] = {}
        for line in lines[1:]:
            name, _, value = line.partition(":")
            headers[name.lower()] = value.strip()
        length = headers.get("content-length", "0")
        if len(first) != 3 or not length.isdigit() or "transfer-encoding" in headers:
            self._refuse(400)
            return
        total = end + 4 + int(length)
        if len(self._received) < total:
            return
        body = bytes(self._received[end + 4 : total])
        del self._received[:total]
        self._close_after = headers.get("connection", "").lower() == "close"
        self._busy = True
        self._request(first[0], first[1], headers, body)

    def _request(self, method: str, path: str, headers: dict[str, str], body: bytes) -> None:
        service = self._service
        if path.startswith("/_"):
            answer = service.control(method, path, body)
            if method in ("PUT", "POST"):
                self._obeying = asyncio.ensure_future(self._obey_then(answer))
            else:
                self._answer(answer)
            return
        if service.switches.down == "reset":
            self.abort()
            return
        call = service.arrive(method, path, body)
        if call.latency_s > 0:
            # Goes on when the client has gone: the real one wouldn't notice either.
            asyncio.get_running_loop().call_later(call.latency_s, self._finish, call, headers)
        else:
            self._finish(call, headers)

    async def _obey_then(self, answer: Answer) -> None:
        """Answered means done, except where what is done closes this very connection."""
        closes_us = not self.control and self._service.switches.down == "refuse"
        if closes_us:
            self._answer(answer)
        await self._server.obey()
        if not closes_us:
            self._answer(answer)

    def _finish(self, call: Call, headers: dict[str, str]) -> None:
        answer = self._service.handle(call, headers)
        if answer.later_s is not None:
            asyncio.get_running_loop().call_later(answer.later_s, self._service.carry_out, call)
        self._answer(answer)

    def _answer(self, answer: Answer) -> None:
        if self._transport is None or answer.hang:
            return
        if answer.status is None:
            self.abort()
            return
        head = (
            f"HTTP/1.1 {answer.status} {_REASONS.get(answer.status, '')}\r\n"
            f"Content-Type: {answer.content_type}\r\nContent-Length: {len(answer.body)}\r\n"
        )
        for name, value in answer.headers.items():
            head += f"{name}: {value}\r\n"
        if self._close_after:
            head += "Connection: close\r\n"
        whole = head.encode() + b"\r\n" + answer.body
        if answer.drip_s is None:
            self._transport.write(whole)
            self._answered()
        else:
            at_once = 0 if answer.drip_headers else len(whole) - len(answer.body)
            self._transport.write(whole[:at_once])
            self._drip(whole[at_once:], answer.drip_s)

    def _drip(self, rest: bytes, interval_s: float) -> None:
        if self._transport is None:
            return
        if not rest:
            self._answered()
            return
        self._transport.write(rest[:1])
        asyncio.get_running_loop().call_later(interval_s, self._drip, rest[1:], interval_s)

    def _answered(self) -> None:
        self._busy = False
        if self._close_after and self._transport is not None:
            self._transport.close()
        elif self._received:
            self._next()

    def _refuse(self, status: int) -> None:
        self._close_after = True
        self._answer(Answer(status))
