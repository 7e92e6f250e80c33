"""gunicorn's settings for the API. Each that isn't the default says why.

Given to gunicorn as a file (`-c …/app/http/gunicorn_conf.py`), not as a module: the master reads it before its workers
are made cooperative by gevent, so this file imports nothing that keeps sockets, locks or ssl (app.http, redis, urllib3).
"""

from __future__ import annotations

import ctypes
import json
import socket
import uuid
from http import HTTPStatus
from typing import Any

from gunicorn import util
from gunicorn.glogging import Logger

from app.platform import log
from app.platform.lifetime import Lifetime
from app.settings import Settings

_settings = Settings.load()
_host = f"[{_settings.http_host}]" if ":" in _settings.http_host else _settings.http_host

bind = [f"{_host}:{_settings.http_port}"]
# Callers that wait for a final state, and later event streams, cost a greenlet instead of a thread.
worker_class = "gevent"
# While one process parses a large body, the other answers.
workers = 2
# A gevent worker serves as many callers as this; more wait in the kernel's queue.
worker_connections = 500
# Longer than clients pause between calls of one import, so that they keep their connection; a stop waits for idle ones.
keepalive = 5
# `?wait=` takes up to 30 s; at a stop, calls under way get this long.
graceful_timeout = 15
# gunicorn's default trusts this machine. Whoever else sends SCRIPT_NAME or X-Forwarded-… only sends headers.
forwarded_allow_ips = ",".join(_settings.trusted_proxies)
# By default a proxy may set the path too, but it sends that in the request line.
forwarder_headers = "SCRIPT_NAME"
# The longest id in an address, percent-encoded, still gets a 400 that says so instead of a 414.
limit_request_line = 8190
limit_request_fields = 64
# Its control socket is for `gunicornc`, which nobody here uses, and needs a writable home.
control_socket_disable = True


class JsonLogger(Logger):  # type: ignore[misc]  # gunicorn ships no types
    """gunicorn's lines go to the root logger, which `log.configure` has made JSON. No access log: our own
    line is written in app.http.middleware, and gunicorn's would show queries."""

    def setup(self, cfg: Any) -> None:
        self.cfg = cfg
        self._access_log_enabled = False
        self.error_log.setLevel(_settings.log_level.upper())
        self.error_log.propagate = True


# glibc's M_MMAP_THRESHOLD (-3) grows with the largest block that was ever freed, and then the processes keep 25 MB each for
# good after one large body; set once, it stays. Much lower, and reading a body in pieces would cost a mapping a piece. What
# is free at the heap's end is then given back from M_TRIM_THRESHOLD (-1) on: by default with nearly every call, only to be
# asked for again. Other C libraries have no such thing.
if hasattr(_libc := ctypes.CDLL(None), "mallopt"):
    _libc.mallopt(-3, 1024 * 1024)
    _libc.mallopt(-1, 4 * 1024 * 1024)

logger_class = JsonLogger
log.configure(_settings.log_level, _settings.hidden)


def post_worker_init(worker: Any) -> None:
    """What gunicorn refuses before our code sees it (unreadable or oversized heads) answers as a problem too. One of
    the processes looks whether the store is safe."""
    util.write_error = write_problem
    # Streams of events have no end of their own: without this a stop would wait for them as long as it may.
    worker.wsgi.extensions["container"][Lifetime].ends_when(lambda: not worker.alive)
    if worker.age == 1:
        worker.wsgi.extensions["at_start"]()


def write_problem(sock: socket.socket, status: int, reason: str, _detail: str) -> None:
    """gunicorn's `util.write_error`, in the form of all our errors. `reason` is a plain phrase of gunicorn's;
    its detail can quote the request, so it isn't repeated."""
    code = "query_too_long" if status == 414 else reason.lower().replace(" ", "_")
    title = "URI Too Long" if status == 414 else HTTPStatus(status).phrase
    call_id = uuid.uuid4().hex
    text = f"The request can't be read: {reason.lower()}."
    body = json.dumps(
        {
            "type": f"urn:mediaops-sync:problem:{code}",
            "title": title,
            "status": status,
            "detail": text,
            "code": code,
            "callId": call_id,
            "errors": [{"title": title, "detail": text}],
        }
    ).encode()
    head = (
        f"HTTP/1.1 {status} {reason}\r\nConnection: close\r\nContent-Type: application/problem+json\r\n"
        f"X-Request-ID: {call_id}\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    util.write_nonblock(sock, head.encode("latin-1") + body)
    _linger(sock)


def _linger(sock: socket.socket) -> None:
    """Take what is still under way, within bounds: closing on unread bytes resets the connection, and the caller
    may then never see the answer."""
    try:
        sock.shutdown(socket.SHUT_WR)
        sock.settimeout(0.5)
        for _ in range(16):
            if not sock.recv(65536):
                return
    except OSError:
        return  # the caller has gone, or sends nothing more
