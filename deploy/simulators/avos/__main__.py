"""The stand-in as a process; see the package's docstring for what it serves."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import signal
from pathlib import Path

from app.platform import log
from deploy.simulators.avos.journal import Journal
from deploy.simulators.avos.server import Server
from deploy.simulators.avos.service import Service


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m deploy.simulators.avos", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0, help="0: a free one")
    parser.add_argument("--port-file", type=Path, help="the port is written here once it is open")
    parser.add_argument("--control-port", type=int, default=0, help="serves the same and never goes down")
    parser.add_argument("--control-port-file", type=Path)
    parser.add_argument("--journal", type=Path, help="every request is appended here, as NDJSON")
    parser.add_argument("--state", type=Path, help="kept here from one run to the next")
    parser.add_argument("--save-every", type=float, default=2.0, help="seconds; default: 2")
    parser.add_argument("--token", help="required of every caller; better --token-file")
    parser.add_argument("--token-file", type=Path)
    parser.add_argument("--auth-header", default="Authorization")
    parser.add_argument("--auth-scheme", default="Bearer")
    asyncio.run(serve(parser.parse_args()))


async def serve(options: argparse.Namespace) -> None:
    """Serve until SIGINT or SIGTERM."""
    token = options.token_file.read_text().strip() if options.token_file else options.token
    log.configure("INFO", (token,))
    service = Service(
        Journal(options.journal), token=token, header=options.auth_header, scheme=options.auth_scheme
    )
    if options.state:
        service.records.load(options.state)
    server = Server(service, options.host, options.port, options.control_port)
    await server.start()
    for file, port in (
        (options.port_file, server.port),
        (options.control_port_file, server.control_port),
    ):
        if file:
            _write(file, str(port))
    log.get_logger().info(
        "AVOS stand-in listens",
        url=f"http://{options.host}:{server.port}",
        control_port=server.control_port,
    )
    stopped = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    while not stopped.is_set():
        # From time to time, so that a run that is killed doesn't forget what was written to it.
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stopped.wait(), options.save_every)
        if options.state:
            service.records.save(options.state)
    await server.stop()
    if options.state:
        service.records.save(options.state)
    service.journal.close()


def _write(file: Path, text: str) -> None:
    """Whole or not at all: somebody is waiting for it."""
    draft = file.with_suffix(f"{file.suffix}.part")
    draft.write_text(text)
    draft.replace(file)


if __name__ == "__main__":
    main()
