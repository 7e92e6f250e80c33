"""The far sides of deliveries, each a process of its own: receivers of webhooks, and moto's server as AWS."""

from __future__ import annotations

import http.client
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import boto3

from app.local.layout import free_port
from benchmarks.processes import Program, wait_until

REGION: Final = "eu-west-1"
_SHARDS: Final = 4
# moto keeps all records as objects; looking through hundreds of thousands of them for garbage again and again would
# take most of its time.
_MOTO: Final = "import gc, sys; gc.disable(); from moto.server import main; main(sys.argv[1:])"


@dataclass(frozen=True)
class Receipt:
    """When (seconds since 1970) the event of this guid had come whole to a receiver."""

    path: str
    guid: str
    at: float


class Receivers:
    """A process that has any number of receivers, told apart by their paths (see `events_receivers`)."""

    def __init__(self, folder: Path, name: str) -> None:
        port_file = folder / f"{name}-port"
        command = [sys.executable, "-m", "benchmarks.events_receivers", "--port-file", str(port_file)]
        self.program = Program(name, command, os.environ, folder)
        wait_until(port_file.exists, "the receivers start", timeout_s=20)
        self.port = int(port_file.read_text())
        self._skip = 0

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.port}{path}"

    def forget(self) -> None:
        """What has come so far."""
        self._skip += len(self._lines(self._skip))

    def wait_for(self, count: int, timeout_s: float) -> None:
        """Until so many events have come since `forget`. Raises Broken."""
        what = f"{count} deliveries reach their receivers"
        wait_until(lambda: bool(self._lines(self._skip + count - 1)), what, timeout_s=timeout_s, every_s=0.1)

    def receipts(self) -> list[Receipt]:
        """What has come since `forget`, in this order."""
        rows = [line.split(" ") for line in self._lines(self._skip)]
        return [Receipt(path, guid, float(at)) for path, guid, at in rows]

    def stop(self) -> None:
        self.program.stop()

    def _lines(self, after: int) -> list[str]:
        self.program.check()
        return _get(self.port, f"/_got?after={after}").decode().splitlines()


class Moto:
    """Kinesis, as moto's server has it."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        command = [sys.executable, "-c", _MOTO, "-H", "127.0.0.1", "-p", str(self.port)]
        bare = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
        self.program = Program("moto", command, bare, folder)
        wait_until(self._answers, "moto's server starts", timeout_s=60, every_s=0.1)

    @property
    def environment(self) -> dict[str, str]:
        """With which boto3 finds it, and nothing else of this machine."""
        return {
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{self.port}",
            "AWS_ACCESS_KEY_ID": "AKIATESTTESTTEST",
            "AWS_SECRET_ACCESS_KEY": "of-no-use-elsewhere",
            "AWS_DEFAULT_REGION": REGION,
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        }

    def stream(self, name: str) -> None:
        """Make a stream."""
        self._kinesis().create_stream(StreamName=name, ShardCount=_SHARDS)

    def drop(self, name: str) -> None:
        """A stream with all its records."""
        self._kinesis().delete_stream(StreamName=name)

    def stop(self) -> None:
        self.program.stop()

    def _kinesis(self) -> Any:
        given: Mapping[str, str] = self.environment
        return boto3.client(
            "kinesis",
            region_name=REGION,
            endpoint_url=given["AWS_ENDPOINT_URL"],
            aws_access_key_id=given["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=given["AWS_SECRET_ACCESS_KEY"],
        )

    def _answers(self) -> bool:
        self.program.check()
        try:
            return bool(_get(self.port, "/moto-api/data.json"))
        except OSError:
            return False


def _get(port: int, path: str) -> bytes:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.request("GET", path)
        return connection.getresponse().read()
    finally:
        connection.close()
