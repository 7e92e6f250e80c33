"""The event stream in a campaign: moto and the subscribers' side as processes, five subscriptions made over the API, publishers,
and in the end what all of them have seen, for the checker.

    whole    an ordered webhook: whole topics, published ones and the system's own
    names    an ordered webhook: single event names of each
    free     a webhook that isn't ordered, with eight calls at once
    poisoned one like it, whose receiver refuses every fifth event for ever
    kinesis  an ordered stream of four shards
    sns      an ordered FIFO topic
"""

from __future__ import annotations

import base64
import json
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import requests

from tests.chaos import stream_judge
from tests.chaos.far_aws import LIVESTREAMS, STREAM, FarAws
from tests.chaos.publishers import ASSETS, CATEGORIES, Publisher
from tests.chaos.stream_judge import ANY, BY_KEY, Receipt, Subscribed, Told
from tests.chaos.subscribers import CONTROL, HANGING, KINESIS, POISONED, REFUSED, SNS
from tests.support.aws import Moto, environment
from tests.support.callers import Answer, Api
from tests.support.processes import Part

SYNC: Final = "sync-operations"
DELIVERY: Final = "delivery-operations"
OWN: Final = (SYNC, LIVESTREAMS, DELIVERY)
IN_FLIGHT: Final = 8
_ALL: Final[frozenset[str]] = frozenset()
SUBSCRIBED: Final = (
    Subscribed("whole", dict.fromkeys((ASSETS, CATEGORIES, *OWN), _ALL)),
    Subscribed(
        "names",
        {
            ASSETS: frozenset({"asset-created", "asset-published"}),
            CATEGORIES: frozenset({"category-deleted"}),
            SYNC: frozenset({"sync-delivered"}),
        },
    ),
    Subscribed("free", dict.fromkeys((ASSETS, SYNC), _ALL), order=ANY),
    Subscribed(POISONED, {ASSETS: _ALL}, order=ANY, refuses=REFUSED),
    Subscribed(KINESIS, dict.fromkeys((ASSETS, CATEGORIES, LIVESTREAMS), _ALL), order=BY_KEY),
    Subscribed(SNS, {ASSETS: _ALL, CATEGORIES: frozenset({"category-created"}), SYNC: _ALL}, order=BY_KEY),
)


class Subscribers:
    """moto and the subscribers' own process. Nothing ever breaks them: what they do wrong they are told to."""

    def __init__(self, directory: Path) -> None:
        self._dir = directory
        self._journal = directory / "receipts.ndjson"
        self._ports: dict[str, Any] = {}
        self._aws: FarAws | None = None
        self._session = requests.Session()
        self._session.trust_env = False

    def start(self, stack: ExitStack, *, aws: bool = True) -> dict[str, str]:
        """Both, until the stack is closed; what the deployment's processes need in their environment."""
        stack.callback(self._session.close)
        ports = self._dir / "subscribers.json"
        command = [sys.executable, "-m", "tests.chaos.subscribers", "--journal", str(self._journal)]
        command += ["--ports", str(ports)]
        moto = stack.enter_context(Moto(self._dir)) if aws else None
        if moto is not None:
            command += ["--moto", str(moto.port)]
        part = Part("subscribers", command, {}, self._dir / "subscribers.log", lambda _: ports.exists())
        part.start()
        stack.callback(part.stop)
        part.wait_ready()
        self._ports = json.loads(ports.read_text())
        allowed = {"MEDIAOPS_ALLOWED_CIDRS": "127.0.0.0/8"}
        if moto is None:
            return allowed
        self._aws = FarAws(moto)
        doors = {f"AWS_ENDPOINT_URL_{name.upper()}": self._ports[name] for name in (KINESIS, SNS)}
        return {**allowed, **environment(moto.url), **doors}

    def sink(self, name: str) -> dict[str, Any]:
        """As a subscription is told it."""
        if name == KINESIS:
            return {"type": "kinesis", "streamName": STREAM}
        if name == SNS and self._aws is not None:
            return {"type": "sns", "topicArn": self._aws.arn}
        return {"type": "webhook", "url": f"http://127.0.0.1:{self._ports['hooks']}/{name}"}

    def behave(self, name: str, switches: Mapping[str, Any]) -> None:
        """From now on; no switches: well."""
        url = f"http://127.0.0.1:{self._ports['hooks']}{CONTROL}"
        self._session.post(url, json={name: dict(switches)}, timeout=20).raise_for_status()

    # What they have received ------------------------------------------------------------------------------------------

    def receipts(self) -> list[Receipt]:
        """Of all subscriptions, each one's in the order of arrival."""
        with self._journal.open() as lines:
            found = [_receipt(json.loads(line)) for line in lines]
        return found if self._aws is None else [*found, *self._aws.records()]


def _receipt(line: Mapping[str, Any]) -> Receipt:
    return Receipt(
        subscription=line["subscription"],
        at=line["at"],
        topic=line["topic"],
        sequence=int(line["sequence"]),
        previous=int(line["previous"]),
        guid=line["guid"],
        body=base64.b64decode(line["body"]),
        redelivery=line["redelivery"],
        key=line.get("key", ""),
    )


@dataclass
class EventStream:
    """Subscriptions and publishers of one campaign."""

    api: Api
    subscribers: Subscribers
    publishers: Sequence[Publisher]
    subscribed: Sequence[Subscribed] = SUBSCRIBED
    hanging: int = 0
    ids: dict[str, str] = field(default_factory=dict)

    def subscribe(self) -> None:
        """Before anything is published, so that the chain of each begins at 0."""
        for one in self.subscribed:
            body = {
                "name": one.name,
                "topics": [
                    {"topic": topic, "eventNames": sorted(names)} if names else {"topic": topic}
                    for topic, names in one.topics.items()
                ],
                "sink": self.subscribers.sink(one.name),
                "start": "beginning",
                **({"ordered": False, "inFlight": IN_FLIGHT} if one.order == ANY else {}),
            }
            self.ids[one.name] = self.api.post("/api/subscriptions", body)["id"]
        self.subscribers.behave(POISONED, {"every": REFUSED})
        for number in range(self.hanging):
            name = f"{HANGING}{number}"
            sink = self.subscribers.sink(name)
            self.api.post("/api/subscriptions", {"name": name, "topics": [{"topic": ASSETS}], "sink": sink})

    def start(self) -> None:
        for publisher in self.publishers:
            publisher.start()

    def until_heard(self, timeout_s: float) -> list[str]:
        """Until every event is acknowledged; what went wrong with that."""
        until = time.monotonic() + timeout_s
        problems = []
        for publisher in self.publishers:
            if not publisher.join(max(0.1, until - time.monotonic())):
                problems += publisher.heard.problems or [f"{publisher.name} was never heard to the end"]
        return problems

    @property
    def acknowledged(self) -> int:
        return sum(publisher.acknowledged for publisher in self.publishers)

    def left(self) -> dict[str, int] | None:
        """Of each subscription how much isn't delivered, what is parked is sent once more; None while nobody says."""
        found = {}
        for name, subscription_id in self._wholes():
            view = self._call("GET", f"/api/subscriptions/{subscription_id}")
            if view is None or view.status != 200:
                return None
            if view.body["parked"]:
                self._call("POST", f"/api/subscriptions/{subscription_id}/parked/retry")
            replay = view.body["replay"]
            running = replay is not None and replay["state"] == "running"
            left = max(1, replay["total"] - replay["done"]) if running else 0
            found[name] = view.body["lag"]["events"] + view.body["parked"] + left
        return found

    def until_delivered(self, timeout_s: float) -> dict[str, int]:
        """Wait; what isn't delivered by then (0 for each: all is)."""
        until = time.monotonic() + timeout_s
        while True:
            left = self.left()
            if left is not None and not any(left.values()):
                left = self._not_taken()
            if (left is not None and not any(left.values())) or time.monotonic() > until:
                return left or {}
            time.sleep(0.2 if left is None or any(left.values()) else 1.0)

    def _wholes(self) -> Iterator[tuple[str, str]]:
        """Subscriptions whose receiver takes everything in the end."""
        refusing = {one.name for one in self.subscribed if one.refuses}
        return ((name, one) for name, one in self.ids.items() if name not in refusing)

    def _not_taken(self) -> dict[str, int]:
        """Of each whose receiver refuses some: how many of the others it hasn't got."""
        receipts = self.subscribers.receipts()
        published = [event for publisher in self.publishers for event in publisher.heard.events]
        found = {}
        for one in self.subscribed:
            if one.refuses:
                found[one.name] = len(
                    stream_judge.missing(stream_judge.Journal(one, receipts), published, ())
                )
        return found

    def problems(self) -> list[str]:
        """What the API says of the subscriptions that no fault here should bring about."""
        found = []
        for name, subscription_id in self._wholes():
            view = self.api.get(f"/api/subscriptions/{subscription_id}")
            if view["missed"] or view["state"] != "active":
                found.append(f"{name} is {view['state']} and has missed {view['missed']}")
        return found

    def _call(self, method: str, path: str) -> Answer | None:
        try:
            return self.api.call(method, path, timeout_s=5)
        except requests.RequestException:
            return None


def told(records: Iterable[Mapping[str, Any]], registered: Iterable[str]) -> list[Told]:
    """What the system must have told: each request that it says is delivered, each content media that was registered."""
    delivered = [record["id"] for record in records if record["state"] == "delivered"]
    return [
        *(Told(SYNC, "sync-delivered", "requestId", request_id) for request_id in delivered),
        *(Told(LIVESTREAMS, "livestream-registered", "contentMediaId", media) for media in registered),
    ]
