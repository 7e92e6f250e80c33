"""AWS for tests: moto's server as a process of its own, spoken to over HTTP, and a door before it that makes the faults
which moto can't."""

from __future__ import annotations

import http.client
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final, Self
from urllib.parse import parse_qsl, urlencode
from xml.sax.saxutils import escape

from tests.support.api import free_port
from tests.support.wait import until

REGION: Final = "eu-west-1"
_SNS: Final = "http://sns.amazonaws.com/doc/2010-03-31/"


class Moto:
    """moto's server. Topics, queues and streams of all tests live in it, so each test takes names of its own."""

    def __init__(self, directory: Path) -> None:
        self.port = free_port()
        self._log = directory / "moto.log"
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(self.port)]
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, env=_bare())
        until(self._answers, timeout_s=60, what=f"moto's server to answer (its log: {self._log})")
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGKILL)
        self._process.wait()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def _answers(self) -> bool:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
        try:
            connection.request("GET", "/moto-api/data.json")
            return connection.getresponse().status == 200
        except OSError:
            return False
        finally:
            connection.close()


def environment(endpoint: str) -> dict[str, str]:
    """boto3's own variables, so that nothing of this machine's configuration counts."""
    return {
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_ACCESS_KEY_ID": "AKIATESTTESTTEST",
        "AWS_SECRET_ACCESS_KEY": "a-secret-that-must-not-be-shown",
        "AWS_DEFAULT_REGION": REGION,
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
    }


def _bare() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}


@dataclass(frozen=True)
class Entry:
    """One event in a call, as it stands there."""

    position: int
    data: str  # an SNS message, or a Kinesis record still in base64


@dataclass(frozen=True)
class Fault:
    """What the door does with a call.

    `code`: answer with this error instead of asking moto (`status`, `message`, `headers`), `only_with`: if the call holds
    such an entry. `fail`: entries that fail on their own
    with a code; the others go on to moto. `hang`, `drip_s`, `reset`, `garbage`: no proper answer at all; `lose`: none though
    moto has taken the call.
    """

    code: str | None = None
    status: int = 400
    message: str = "as the test asked for"
    headers: Mapping[str, str] = field(default_factory=dict)
    only_with: Callable[[Entry], bool] | None = None
    fail: Callable[[Entry], str | None] | None = None
    sender_fault: bool = False
    hang: bool = False
    drip_s: float = 0
    reset: bool = False
    garbage: bytes | None = None
    lose: bool = False


@dataclass(frozen=True)
class Message:
    """What an SNS topic has taken. `attributes`: the texts and numbers as texts."""

    text: str
    group: str
    attributes: Mapping[str, str]


class Door:
    """A server before moto. `faults` are used up one call after the other; after them everything goes through. `took` hears of
    what a topic has taken, in its order, before the answer goes out."""

    def __init__(self, moto_port: int, took: Callable[[Message], None] | None = None) -> None:
        self.moto_port = moto_port
        self.took = took
        self.faults: list[Fault] = []
        self.always: Fault | None = None
        self.calls: list[int] = []  # events in each call that came, also of those that failed
        self.closing = threading.Event()
        # moto isn't made for two at once: a record takes the place of another one in its shard.
        self.one_at_a_time = threading.Lock()
        self._lock = threading.Lock()
        self._server: ThreadingHTTPServer | None = None

    def __enter__(self) -> Self:
        handler = type("Handler", (_DoorHandler,), {"door": self})
        self._server = _Server(("127.0.0.1", 0), handler)
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.closing.set()
        assert self._server is not None
        self._server.shutdown()
        self._server.server_close()

    @property
    def url(self) -> str:
        assert self._server is not None
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def take(self, entries: int) -> Fault:
        with self._lock:
            self.calls.append(entries)
            if self.always is not None:
                return self.always
            return self.faults.pop(0) if self.faults else Fault()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def handle_error(self, *_: Any) -> None:
        """A client that has gone is nothing to print."""


class _DoorHandler(BaseHTTPRequestHandler):
    door: Door
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        kinesis = self.headers.get("X-Amz-Target", "").startswith("Kinesis")
        protocol: _Protocol = _Json(body) if kinesis else _Query(body)
        entries = list(protocol.entries())
        fault = self.door.take(len(entries)) if entries else Fault()
        if fault.hang:
            self.close_connection = True
            self.door.closing.wait(30)
        elif fault.reset:
            self.close_connection = True
        elif fault.garbage is not None:
            self._answer(200, {}, fault.garbage, fault)
        elif fault.code is not None and (fault.only_with is None or any(map(fault.only_with, entries))):
            headers = {"Content-Type": protocol.content_type, **fault.headers}
            self._answer(fault.status, headers, protocol.error(fault.code, fault.message), fault)
        else:
            failing = {e.position: code for e in entries if fault.fail and (code := fault.fail(e))}
            self._forward(protocol, failing, fault)

    def _forward(self, protocol: _Protocol, failing: Mapping[int, str], fault: Fault) -> None:
        if failing and len(failing) == len(list(protocol.entries())):
            whole = protocol.with_failures(None, failing, fault)
            self._answer(200, {"Content-Type": protocol.content_type}, whole, fault)
            return
        with self.door.one_at_a_time:
            status, body = self._ask_moto(protocol.without(failing))
            if self.door.took is not None and status == 200:
                for message in protocol.messages(failing):
                    self.door.took(message)
        if fault.lose:
            self.close_connection = True
            return
        if failing:
            body = protocol.with_failures(body, failing, fault)
        self._answer(status, {"Content-Type": protocol.content_type}, body, fault)

    def _ask_moto(self, call: bytes) -> tuple[int, bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self.door.moto_port, timeout=30)
        headers = {name: value for name, value in self.headers.items() if name.lower() != "content-length"}
        connection.request("POST", self.path, call, headers)
        answer = connection.getresponse()
        body = answer.read()
        connection.close()
        return answer.status, body

    def _answer(self, status: int, headers: Mapping[str, str], body: bytes, fault: Fault) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        step = 1 if fault.drip_s else max(len(body), 1)
        for n in range(0, len(body), step):
            self.wfile.write(body[n : n + step])
            self.wfile.flush()
            if fault.drip_s and self.door.closing.wait(fault.drip_s):
                return

    def log_message(self, *_: Any) -> None:
        """Nothing: pytest shows what matters."""


class _Protocol:
    """How a service spells its calls and answers."""

    content_type = ""

    def entries(self) -> Iterator[Entry]:
        raise NotImplementedError

    def without(self, positions: Mapping[int, str]) -> bytes:
        raise NotImplementedError

    def with_failures(self, answer: bytes | None, failing: Mapping[int, str], fault: Fault) -> bytes:
        raise NotImplementedError

    def error(self, code: str, message: str) -> bytes:
        raise NotImplementedError

    def messages(self, failing: Mapping[int, str]) -> Iterator[Message]:
        """Of a topic, without those that are to fail."""
        return iter(())


class _Json(_Protocol):
    """Kinesis."""

    content_type = "application/x-amz-json-1.1"

    def __init__(self, body: bytes) -> None:
        self._call = json.loads(body)
        self._records: list[dict[str, Any]] = self._call.get("Records") or []

    def entries(self) -> Iterator[Entry]:
        for position, record in enumerate(self._records):
            yield Entry(position, record["Data"])

    def without(self, positions: Mapping[int, str]) -> bytes:
        if not self._records:
            return json.dumps(self._call).encode()
        left = [record for n, record in enumerate(self._records) if n not in positions]
        return json.dumps({**self._call, "Records": left}).encode()

    def with_failures(self, answer: bytes | None, failing: Mapping[int, str], fault: Fault) -> bytes:
        results = iter(json.loads(answer)["Records"] if answer else ())
        records = [
            {"ErrorCode": failing[n], "ErrorMessage": fault.message} if n in failing else next(results)
            for n in range(len(self._records))
        ]
        return json.dumps({"FailedRecordCount": len(failing), "Records": records}).encode()

    def error(self, code: str, message: str) -> bytes:
        return json.dumps({"__type": code, "message": message}).encode()


class _Query(_Protocol):
    """SNS."""

    content_type = "text/xml"

    def __init__(self, body: bytes) -> None:
        self._pairs = parse_qsl(body.decode(), keep_blank_values=True)
        self._members: dict[int, list[tuple[str, str]]] = {}
        for name, value in self._pairs:
            if name.startswith("PublishBatchRequestEntries.member."):
                number, _, rest = name.removeprefix("PublishBatchRequestEntries.member.").partition(".")
                self._members.setdefault(int(number) - 1, []).append((rest, value))

    def entries(self) -> Iterator[Entry]:
        for position, members in sorted(self._members.items()):
            yield Entry(position, dict(members)["Message"])

    def without(self, positions: Mapping[int, str]) -> bytes:
        pairs = [(n, v) for n, v in self._pairs if not n.startswith("PublishBatchRequestEntries.")]
        left = [members for n, members in sorted(self._members.items()) if n not in positions]
        for number, members in enumerate(left, 1):
            pairs += [
                (f"PublishBatchRequestEntries.member.{number}.{rest}", value) for rest, value in members
            ]
        return urlencode(pairs).encode()

    def with_failures(self, answer: bytes | None, failing: Mapping[int, str], fault: Fault) -> bytes:
        failed = "".join(
            f"<member><Id>{escape(dict(self._members[n])['Id'])}</Id><Code>{escape(code)}</Code>"
            f"<Message>{escape(fault.message)}</Message><SenderFault>{str(fault.sender_fault).lower()}</SenderFault></member>"
            for n, code in failing.items()
        )
        if answer is None:
            return (
                f'<PublishBatchResponse xmlns="{_SNS}"><PublishBatchResult><Successful/><Failed>{failed}</Failed>'
                "</PublishBatchResult><ResponseMetadata><RequestId>r</RequestId></ResponseMetadata></PublishBatchResponse>"
            ).encode()
        text = answer.decode()
        for empty in ("<Failed></Failed>", "<Failed/>", "<Failed />"):
            text = text.replace(empty, "")
        return text.replace(
            "</PublishBatchResult>", f"<Failed>{failed}</Failed></PublishBatchResult>"
        ).encode()

    def error(self, code: str, message: str) -> bytes:
        return (
            f'<ErrorResponse xmlns="{_SNS}"><Error><Type>Sender</Type><Code>{escape(code)}</Code>'
            f"<Message>{escape(message)}</Message></Error><RequestId>r</RequestId></ErrorResponse>"
        ).encode()

    def messages(self, failing: Mapping[int, str]) -> Iterator[Message]:
        for position, pairs in sorted(self._members.items()):
            if position in failing:
                continue
            members = dict(pairs)
            names = [name for name in members if name.endswith(".Name")]
            values = {
                members[name]: members[f"{name.removesuffix('Name')}Value.StringValue"] for name in names
            }
            yield Message(members["Message"], members.get("MessageGroupId", ""), values)
