"""The subscribers' side, as a process of its own: receivers of webhooks that note every receipt, and doors before Kinesis and SNS.

    python -m tests.chaos.subscribers --journal receipts.ndjson --ports ports.json --moto 5000

A receiver takes an event when it has written it down: whatever it answers after that, it has it. It is told how to behave
by a POST of `{name of the subscription: {switch: value}}` to /_control. One whose name begins with "mute" never answers.
"""

from __future__ import annotations

import argparse
import base64
import json
import random
import signal
import threading
import time
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final, TextIO

from tests.support.aws import Door, Fault, Message
from tests.support.receiver import Got, Receiver, Reply

HOOKS: Final = ("whole", "names", "free")  # webhooks, each at a path of its name
KINESIS: Final = "kinesis"
SNS: Final = "sns"
POISONED: Final = "poisoned"  # a webhook whose receiver refuses each event that REFUSED divides, for ever
REFUSED: Final = 5
HANGING: Final = "mute"
CONSUMER_LEASE_S: Final = 8.0  # app/events/consumers: how long a dead worker keeps a subscription
CONTROL: Final = "/_control"
# How a subscriber misbehaves while a fault lasts. `lose`: it has taken the event, and nobody hears of it.
SWITCHES: Final[Mapping[str, dict[str, Any]]] = {
    "hook down": {"reset": True},
    "hook refusing": {"status": 503},
    "hook throttled": {"status": 429, "retryAfter": 1},
    "hook loses answers": {"lose": 0.3},
    "hook slow": {"latency_s": 1.2},
    "hook drips": {"drip_s": 0.3},
    "hook refuses some": {"status": 422, "probability": 0.2},
    "kinesis throttled": {"throttled": True},
    "kinesis takes some": {"fail": 0.4},
    "kinesis loses answers": {"lose": True},
    "sns throttled": {"throttled": True},
    "sns takes some": {"fail": 0.4},
    "sns loses answers": {"lose": True},
}
# By which code a service says that there was too much of it.
_TOO_MUCH: Final = {KINESIS: "ProvisionedThroughputExceededException", SNS: "Throttled"}
_COPIED: Final = {
    "topic": "x-mediaops-topic",
    "sequence": "x-mediaops-sequence",
    "previous": "x-mediaops-previous-sequence",
    "redelivery": "x-mediaops-redelivery",
    "guid": "webhook-id",
}


class Hooks:
    """`Receiver.answer` for all webhooks; `journal` gets a line for each event that was taken, by a topic too."""

    def __init__(self, journal: TextIO) -> None:
        self._journal = journal
        self.doors: dict[str, Door] = {}
        self._lock = threading.Lock()
        self._switches: dict[str, Mapping[str, Any]] = {}
        self._random = random.Random(1)

    def answer(self, got: Got) -> Reply:
        if got.path == CONTROL:
            self._control(json.loads(got.body))
            return Reply()
        name = got.path.rsplit("/", 1)[1]
        if name.startswith(HANGING):
            return Reply(hang=True)
        switches = self._switches.get(name, {})
        if len(got.body) < int(got.headers["content-length"]):
            return Reply(reset=True)  # whoever sent it died over it
        if switches.get("latency_s"):
            time.sleep(switches["latency_s"])
        if switches.get("hang"):
            return Reply(hang=True)
        if switches.get("reset"):
            return Reply(reset=True)
        if switches.get("every") and int(got.headers["x-mediaops-sequence"]) % switches["every"] == 0:
            return Reply(500)
        if "status" in switches and self._random.random() < switches.get("probability", 1.0):
            wait = {"Retry-After": str(switches["retryAfter"])} if "retryAfter" in switches else {}
            return Reply(switches["status"], wait)
        self._note(name, got)
        if self._random.random() < switches.get("lose", 0.0):
            return Reply(reset=True)
        return Reply(body=b"." * switches.get("drips", 2), drip_s=switches.get("drip_s", 0.0))

    def _note(self, name: str, got: Got) -> None:
        members = {member: got.headers.get(header) for member, header in _COPIED.items()}
        self._write(name, got.body, members)

    def note_message(self, message: Message) -> None:
        """`Door.took` of the topic."""
        said, body = message.attributes, message.text.encode()
        members = {
            "topic": said["topic"],
            "sequence": said["sequence"],
            "previous": said["previousSequence"],
            "redelivery": said.get("redelivery"),
            "guid": json.loads(body)["guid"],
            "key": message.group,
        }
        self._write(SNS, body, members)

    def _write(self, name: str, body: bytes, members: Mapping[str, Any]) -> None:
        line: dict[str, Any] = {
            "subscription": name,
            **members,
            "body": base64.b64encode(body).decode(),
        }
        with self._lock:
            line["at"] = time.monotonic()
            self._journal.write(json.dumps(line) + "\n")
            self._journal.flush()

    def _control(self, wanted: Mapping[str, Mapping[str, Any]]) -> None:
        for name, switches in wanted.items():
            if name in self.doors:
                self.doors[name].always = self._fault(switches, _TOO_MUCH[name])
            else:
                self._switches[name] = switches

    def _fault(self, switches: Mapping[str, Any], code: str) -> Fault | None:
        if switches.get("throttled"):
            return Fault(code=code)
        if switches.get("fail"):
            share = switches["fail"]
            return Fault(fail=lambda _: code if self._random.random() < share else None)
        return Fault(lose=True) if switches.get("lose") else None


class Forgetting(Receiver):
    """The journal remembers."""

    def note(self, got: Got) -> None:
        pass


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos.subscribers", description=__doc__)
    parser.add_argument("--journal", type=Path, required=True)
    parser.add_argument("--ports", type=Path, required=True, help="written once all is open")
    parser.add_argument("--moto", type=int, help="port of moto's server")
    options = parser.parse_args()
    ended = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ended.set())
    with ExitStack() as stack:
        journal = stack.enter_context(options.journal.open("a"))
        hooks = Hooks(journal)
        if options.moto:
            hooks.doors[KINESIS] = stack.enter_context(Door(options.moto))
            hooks.doors[SNS] = stack.enter_context(Door(options.moto, hooks.note_message))
        receiver = stack.enter_context(Forgetting(hooks.answer))
        ports = {"hooks": receiver.port, **{name: door.url for name, door in hooks.doors.items()}}
        written = options.ports.with_suffix(".new")
        written.write_text(json.dumps(ports))
        written.replace(options.ports)
        ended.wait()


if __name__ == "__main__":
    main()
