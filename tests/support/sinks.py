"""The far sides of the sinks' contract suite: each kind of destination, real, with every fault that the suite asks for."""

from __future__ import annotations

import base64
import json
import uuid
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, ClassVar

import boto3
from botocore.config import Config

from app.events.sinks import signatures
from app.events.sinks.aws import Aws
from app.events.sinks.aws_settings import AwsSettings
from app.events.sinks.base import Delivery, Sink
from app.events.sinks.factory import Sinks
from app.events.sinks.kinesis import record
from app.platform.guard import AddressGuard
from tests.support.aws import REGION, Door, Entry, Fault, Moto
from tests.support.receiver import Got, Receiver, Reply

LOOPBACK = AddressGuard(["127.0.0.0/8"])


def delivery(number: int, entity: str = "", *, event: bytes | None = None, **more: Any) -> Delivery:
    """An event whose guid is `guid-<number>`, of an entity of its own unless one is given."""
    guid = f"guid-{number}"
    raw = (
        event
        or f'{{"eventName": "asset-updated",  "guid":"{guid}", "assetId": {number}, "properties": {{}}}}'.encode()
    )
    values = {
        "topic": "asset-operations",
        "sequence": number,
        "previous": number - 1,
        "event_name": "asset-updated",
        "guid": guid,
        "entity": entity or f"asset-{number}",
        "tenant": "default",
        "event": raw,
        "at_ms": 1_700_000_000_000,
    }
    return Delivery(**{**values, **more})


def guid_of(text: str | bytes) -> str:
    return str(json.loads(text)["guid"])


class FarSide(ABC):
    """A destination that a test can break. Guids name the events that a fault strikes."""

    name: ClassVar[str]
    batches: ClassVar[bool]  # whether it takes several events in a call

    @abstractmethod
    def sink(self, *, ordered: bool) -> Sink: ...

    @abstractmethod
    def received(self) -> list[bytes]:
        """Every event that has arrived, as it was published; of each entity in the order of arrival."""

    @abstractmethod
    def fail(self, guids: set[str], times: int = 1) -> None:
        """Fail these events with trouble that passes, in the next `times` calls that hold one of them."""

    @abstractmethod
    def refuse(self, guids: set[str]) -> None:
        """Refuse these events for good."""

    @abstractmethod
    def throttle(self) -> None:
        """Turn everything away for now."""

    @abstractmethod
    def hang(self) -> None: ...

    @abstractmethod
    def drip(self) -> None: ...

    @abstractmethod
    def reset(self) -> None: ...

    @abstractmethod
    def heal(self) -> None:
        """No faults any more."""

    @abstractmethod
    def oversize(self) -> int:
        """A number of bytes that no event sent there may have."""


class WebhookSide(FarSide):
    name, batches = "webhook", False

    def __init__(self, receiver: Receiver) -> None:
        self.receiver = receiver
        self.signing = signatures.first()
        self._good: list[bytes] = []
        self.heal()

    def sink(self, *, ordered: bool) -> Sink:
        sink = {"type": "webhook", "url": self.receiver.url, "headers": []}
        secrets = {"signing": self.signing, "headers": {}}
        return Sinks(LOOPBACK, Aws()).build(sink, secrets, ordered=ordered)

    def received(self) -> list[bytes]:
        return list(self._good)

    def _answer(self, decide: Callable[[Got], Reply]) -> None:
        def answer(got: Got) -> Reply:
            reply = decide(got)
            if reply.status == 200 and not reply.hang and not reply.reset and not reply.drip_s:
                self._good.append(got.body)
            return reply

        self.receiver.answer = answer

    def fail(self, guids: set[str], times: int = 1) -> None:
        left = dict.fromkeys(guids, times)

        def decide(got: Got) -> Reply:
            guid = guid_of(got.body)
            if left.get(guid, 0) > 0:
                left[guid] -= 1
                return Reply(500)
            return Reply()

        self._answer(decide)

    def refuse(self, guids: set[str]) -> None:
        self._answer(lambda got: Reply(422 if guid_of(got.body) in guids else 200))

    def throttle(self) -> None:
        self._answer(lambda _: Reply(429, {"Retry-After": "7"}))

    def hang(self) -> None:
        self._answer(lambda _: Reply(hang=True))

    def drip(self) -> None:
        self._answer(lambda _: Reply(body=b"x" * 1000, drip_s=0.02))

    def reset(self) -> None:
        self._answer(lambda _: Reply(reset=True))

    def heal(self) -> None:
        self._answer(lambda _: Reply())

    def oversize(self) -> int:
        return 8 * 1024 * 1024 + 1


class AwsSide(FarSide):
    """What SNS and Kinesis have in common: moto behind the door."""

    batches = True
    passing: ClassVar[str]
    final: ClassVar[str]
    throttled: ClassVar[str]

    def __init__(self, door: Door) -> None:
        self.door = door
        self.aws = Aws(AwsSettings(timeout_s=5))

    def boto(self, service: str) -> Any:
        """A client that goes past the door."""
        config = Config(retries={"total_max_attempts": 2, "mode": "standard"})
        made: Any = boto3.client(  # type: ignore[call-overload]
            service, endpoint_url=f"http://127.0.0.1:{self.door.moto_port}", region_name=REGION, config=config
        )
        return made

    @abstractmethod
    def guid(self, data: str) -> str: ...

    def fail(self, guids: set[str], times: int = 1) -> None:
        left = dict.fromkeys(guids, times)

        def decide(entry: Entry) -> str | None:
            guid = self.guid(entry.data)
            if left.get(guid, 0) <= 0:
                return None
            left[guid] -= 1
            return self.passing

        self.door.always = Fault(fail=decide)

    def refuse(self, guids: set[str]) -> None:
        self.door.always = Fault(
            fail=lambda e: self.final if self.guid(e.data) in guids else None, sender_fault=True
        )

    def throttle(self) -> None:
        self.door.always = Fault(code=self.throttled, headers={"Retry-After": "7"})

    def hang(self) -> None:
        self.door.always = Fault(hang=True)

    def drip(self) -> None:
        self.door.always = Fault(drip_s=0.02)

    def reset(self) -> None:
        self.door.always = Fault(reset=True)

    def heal(self) -> None:
        self.door.always, self.door.faults = None, []


class SnsSide(AwsSide):
    """A topic that an SQS queue follows."""

    name = "sns"
    passing, final, throttled = "InternalError", "InvalidParameter", "Throttled"
    suffix = ""

    def __init__(self, door: Door) -> None:
        super().__init__(door)
        name = f"t{uuid.uuid4().hex}{self.suffix}"
        fifo = {"FifoTopic": "true"} if self.suffix else {}
        queue_fifo = {"FifoQueue": "true"} if self.suffix else {}
        sns, self._sqs = self.boto("sns"), self.boto("sqs")
        self.arn: str = sns.create_topic(Name=name, Attributes=fifo)["TopicArn"]
        self._queue = self._sqs.create_queue(QueueName=name, Attributes=queue_fifo)["QueueUrl"]
        asked = self._sqs.get_queue_attributes(QueueUrl=self._queue, AttributeNames=["QueueArn"])
        sns.subscribe(
            TopicArn=self.arn,
            Protocol="sqs",
            Endpoint=asked["Attributes"]["QueueArn"],
            Attributes={"RawMessageDelivery": "true"},
        )
        self.messages: list[dict[str, Any]] = []

    def sink(self, *, ordered: bool) -> Sink:
        return Sinks(LOOPBACK, self.aws).build({"type": "sns", "topicArn": self.arn}, {}, ordered=ordered)

    def guid(self, data: str) -> str:
        return guid_of(data)

    def received(self) -> list[bytes]:
        while True:
            answer = self._sqs.receive_message(
                QueueUrl=self._queue,
                MaxNumberOfMessages=10,
                MessageAttributeNames=["All"],
                AttributeNames=["All"],
            )
            if not answer.get("Messages"):
                return [m["Body"].encode() for m in self.messages]
            for message in answer["Messages"]:
                self.messages.append(message)
                self._sqs.delete_message(QueueUrl=self._queue, ReceiptHandle=message["ReceiptHandle"])

    def oversize(self) -> int:
        return 262_144


class SnsFifoSide(SnsSide):
    name = "sns-fifo"
    suffix = ".fifo"


class KinesisSide(AwsSide):
    """A stream of three shards."""

    name = "kinesis"
    passing, final, throttled = (
        "InternalFailure",
        "ValidationException",
        "ProvisionedThroughputExceededException",
    )

    def __init__(self, door: Door) -> None:
        super().__init__(door)
        self.stream = f"s{uuid.uuid4().hex}"
        self._kinesis = self.boto("kinesis")
        self._kinesis.create_stream(StreamName=self.stream, ShardCount=3)

    def sink(self, *, ordered: bool) -> Sink:
        return Sinks(LOOPBACK, self.aws).build(
            {"type": "kinesis", "streamName": self.stream}, {}, ordered=ordered
        )

    def guid(self, data: str) -> str:
        return guid_of(base64.b64decode(data))

    def refuse(self, guids: set[str]) -> None:
        """Kinesis refuses a whole call for the sake of one record."""
        self.door.always = Fault(code=self.final, only_with=lambda e: self.guid(e.data) in guids)

    def records(self) -> Iterator[Any]:
        for shard in self._kinesis.list_shards(StreamName=self.stream)["Shards"]:
            position = self._kinesis.get_shard_iterator(
                StreamName=self.stream, ShardId=shard["ShardId"], ShardIteratorType="TRIM_HORIZON"
            )["ShardIterator"]
            while True:
                answer = self._kinesis.get_records(ShardIterator=position)
                if not answer["Records"]:
                    break
                yield from answer["Records"]
                position = answer["NextShardIterator"]

    def received(self) -> list[bytes]:
        return [published(r["Data"]) for r in self.records()]

    def oversize(self) -> int:
        return 1024 * 1024


def published(data: bytes) -> bytes:
    """The event in a Kinesis record, without what we add at its end."""
    parsed = json.loads(data)
    again = parsed.get("redelivery")
    added = record(
        delivery(parsed["sequence"], event=b"{}", previous=parsed["previousSequence"], redelivery=again)
    )
    assert data.endswith(b"," + added[1:])
    return data[: -len(added)] + b"}"


SIDES: tuple[type[FarSide], ...] = (WebhookSide, SnsSide, SnsFifoSide, KinesisSide)


@contextmanager
def far_side(kind: type[FarSide], moto: Callable[[], Moto]) -> Iterator[FarSide]:
    if kind is WebhookSide:
        with Receiver() as receiver:
            yield WebhookSide(receiver)
        return
    assert issubclass(kind, AwsSide)
    with Door(moto().port) as door:
        yield kind(door)
