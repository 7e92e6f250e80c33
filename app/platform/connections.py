"""The connection behind a call, for answers that go on for long."""

from __future__ import annotations

import contextlib
import socket
import struct
from collections.abc import Callable, Mapping
from typing import Any, Final

_SEND_BUFFER: Final = 64 * 1024
_AT_ONCE: Final = struct.pack("ii", 1, 0)  # what wasn't taken is thrown away


def hold_little(environ: Mapping[str, Any]) -> Callable[[], None]:
    """Let the kernel hold little of what the caller of this WSGI environment hasn't taken yet; what ends the connection, also
    while somebody else is writing to it. Where the server doesn't show its socket, neither does anything."""
    connection: socket.socket | None = environ.get("gunicorn.socket") or environ.get("werkzeug.socket")
    if connection is None:
        return lambda: None
    with contextlib.suppress(OSError):  # the caller has gone
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER)

    def end() -> None:
        # Through a handle of its own: gevent would break the write that waits, instead of letting it find a closed connection.
        with contextlib.suppress(OSError), connection.dup() as same:
            same.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _AT_ONCE)
            same.shutdown(socket.SHUT_RDWR)

    return end
