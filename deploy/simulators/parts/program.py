"""A stand-in as a process."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

from app.platform import log
from deploy.simulators.parts.server import Server
from deploy.simulators.parts.service import StandInService


def parser(prog: str, description: str | None) -> argparse.ArgumentParser:
    """The options that every stand-in has."""
    made = argparse.ArgumentParser(prog=prog, description=description)
    made.add_argument("--host", default="127.0.0.1")
    made.add_argument("--port", type=int, default=0, help="0: a free one")
    made.add_argument("--port-file", type=Path, help="the port is written here once it is open")
    made.add_argument("--control-port", type=int, default=0, help="serves the same and never goes down")
    made.add_argument("--control-port-file", type=Path)
    made.add_argument("--journal", type=Path, help="every request is appended here, as NDJSON")
    made.add_argument("--token", help="required of every caller; better --token-file")
    made.add_argument("--token-file", type=Path)
    return made


def token_of(options: argparse.Namespace) -> str | None:
    """The token, which from then on stands in no log."""
    token: str | None = options.token_file.read_text().strip() if options.token_file else options.token
    log.configure("INFO", (token,))
    return token


async def serve(
    name: str,
    service: StandInService[Any],
    options: argparse.Namespace,
    save: Callable[[], None],
    save_every: float,
) -> None:
    """Serve until SIGINT or SIGTERM; `save` is called from time to time, and at the end."""
    server = Server(service, options.host, options.port, options.control_port)
    await server.start()
    for file, port in (
        (options.port_file, server.port),
        (options.control_port_file, server.control_port),
    ):
        if file:
            _write(file, str(port))
    log.get_logger().info(
        f"{name} listens", url=f"http://{options.host}:{server.port}", control_port=server.control_port
    )
    stopped = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    while not stopped.is_set():
        # From time to time, so that a run that is killed doesn't forget what was written to it.
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stopped.wait(), save_every)
        save()
    await server.stop()
    save()


def _write(file: Path, text: str) -> None:
    """Whole or not at all: somebody is waiting for it."""
    draft = file.with_suffix(f"{file.suffix}.part")
    draft.write_text(text)
    draft.replace(file)
