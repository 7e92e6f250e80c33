"""Receivers of webhooks as a process of their own: `python -m benchmarks.events_receivers --port-file FILE`.

The path says how one behaves: `/ok/…` answers at once, `/refuse/…` answers 400, `/drip/…` sends its answer a byte at a time,
`/hang/…` never answers. What came, and when, is asked for with `GET /_got?after=N`.
"""

from __future__ import annotations

import argparse
import asyncio
import time
from functools import partial
from pathlib import Path
from typing import Final

_OK: Final = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
_REFUSED: Final = b"HTTP/1.1 400 Bad Request\r\nContent-Length: 2\r\n\r\nno"
_DRIPPED: Final = b"HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\n" + b"." * 20
DRIP_S: Final = 0.15  # between two bytes of an answer that drips


class Journal:
    """Lines `path guid time`, one for each request that has come whole; the time in seconds since 1970."""

    def __init__(self) -> None:
        self.lines: list[str] = []


class Receiver(asyncio.Protocol):
    """One connection."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._received = b""
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, found, body = self._received.partition(b"\r\n\r\n")
        if not found:
            return
        first, *rest = head.decode("latin-1").split("\r\n")
        fields = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in rest)}
        if len(body) < int(fields.get("content-length", 0)):
            return
        self._received = b""
        method, path, _ = first.split(" ")
        if method == "GET":
            self._tell(int(path.partition("after=")[2] or 0))
        else:
            self._journal.lines.append(f"{path} {fields['webhook-id']} {time.time():.6f}")
            self._answer(path)

    def _tell(self, after: int) -> None:
        content = "\n".join(self._journal.lines[after:]).encode()
        self._write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(content) + content)

    def _answer(self, path: str) -> None:
        if path.startswith("/ok/"):
            self._write(_OK)
        elif path.startswith("/refuse/"):
            self._write(_REFUSED)
        elif path.startswith("/drip/"):
            self._drip(_DRIPPED)

    def _drip(self, left: bytes) -> None:
        at_once = len(left) - 20 if len(left) > 20 else 1
        self._write(left[:at_once])
        if left[at_once:]:
            asyncio.get_running_loop().call_later(DRIP_S, self._drip, left[at_once:])

    def _write(self, data: bytes) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(data)


async def serve(port_file: Path) -> None:
    """Until it is ended; the port is written down once it listens."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(partial(Receiver, Journal()), "127.0.0.1", 0, backlog=200)
    draft = port_file.with_suffix(".part")
    draft.write_text(str(server.sockets[0].getsockname()[1]))
    draft.replace(port_file)
    await server.serve_forever()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port-file", type=Path, required=True)
    asyncio.run(serve(parser.parse_args().port_file))
