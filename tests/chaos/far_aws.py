"""What the campaign's stream and topic have received, read back from moto itself, not through the doors."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator, Mapping
from typing import Any, Final

import boto3

from tests.chaos.publishing import ASSETS, CATEGORIES
from tests.chaos.stream_judge import Receipt, record
from tests.chaos.subscribers import KINESIS, SNS
from tests.support.aws import REGION, Moto, environment

LIVESTREAMS: Final = "livestream-operations"
STREAM: Final = "campaign"
SHARDS: Final = 4
TOPIC: Final = "campaign.fifo"
_EVERY_S: Final = 0.3
# Where an event is, by the beginning of its name: a record of a stream doesn't say.
_TOPICS: Final = {"asset": ASSETS, "category": CATEGORIES, "livestream": LIVESTREAMS}


class FarAws:
    """A stream, and a FIFO topic that a queue follows. The queue is read all the while: moto looks through all that lies in it
    at each message that comes."""

    def __init__(self, moto: Moto) -> None:
        self._moto = moto
        # By which moto's times of arrival are told by the clock of everything else here.
        self._ahead_s = time.time() - time.monotonic()
        self._client("kinesis").create_stream(StreamName=STREAM, ShardCount=SHARDS)
        sns, self._sqs = self._client("sns"), self._client("sqs")
        self.arn: str = sns.create_topic(Name=TOPIC, Attributes={"FifoTopic": "true"})["TopicArn"]
        self._queue = self._sqs.create_queue(QueueName=TOPIC, Attributes={"FifoQueue": "true"})["QueueUrl"]
        asked = self._sqs.get_queue_attributes(QueueUrl=self._queue, AttributeNames=["QueueArn"])
        sns.subscribe(
            TopicArn=self.arn,
            Protocol="sqs",
            Endpoint=asked["Attributes"]["QueueArn"],
            Attributes={"RawMessageDelivery": "true"},
        )
        self._messages: list[Receipt] = []
        self._lock = threading.Lock()
        self._closed = threading.Event()
        self._reader = threading.Thread(target=self._read, name="queue", daemon=True)
        self._reader.start()

    def close(self) -> None:
        """Read no more."""
        self._closed.set()
        self._reader.join()

    def _read(self) -> None:
        while not self._closed.wait(_EVERY_S):
            self._take()

    def receipts(self) -> Iterator[Receipt]:
        """In the order of arrival in each shard, and at the queue."""
        client = self._client("kinesis")
        for shard in client.list_shards(StreamName=STREAM)["Shards"]:
            position = client.get_shard_iterator(
                StreamName=STREAM, ShardId=shard["ShardId"], ShardIteratorType="TRIM_HORIZON"
            )["ShardIterator"]
            while True:
                answer = client.get_records(ShardIterator=position)
                for one in answer["Records"]:
                    at = one["ApproximateArrivalTimestamp"].timestamp() - self._ahead_s
                    yield _of_record(one["Data"], one["PartitionKey"], at)
                position = answer["NextShardIterator"]
                if not answer["Records"] and not answer["MillisBehindLatest"]:
                    break
        self._take()
        yield from self._messages

    def _take(self) -> None:
        """What there is, in its order, out of the queue and into memory."""
        with self._lock:
            while self._take_some():
                pass

    def _take_some(self) -> bool:
        """Whether there was something."""
        answer = self._sqs.receive_message(
            QueueUrl=self._queue,
            MaxNumberOfMessages=10,
            MessageAttributeNames=["All"],
            AttributeNames=["All"],
        )
        found = answer.get("Messages") or []
        self._messages += [_of_message(one, self._ahead_s) for one in found]
        if found:
            entries = [{"Id": str(n), "ReceiptHandle": one["ReceiptHandle"]} for n, one in enumerate(found)]
            self._sqs.delete_message_batch(QueueUrl=self._queue, Entries=entries)
        return bool(found)

    def _client(self, service: str) -> Any:
        values = environment(self._moto.url)
        return boto3.client(
            service,  # type: ignore[call-overload]  # a name in a variable
            region_name=REGION,
            endpoint_url=self._moto.url,
            aws_access_key_id=values["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=values["AWS_SECRET_ACCESS_KEY"],
        )


def _of_record(data: bytes, key: str, at: float) -> Receipt:
    found = record(data)
    assert found is not None, f"a record without a sequence: {data[-200:]!r}"
    event, sequence, previous, redelivery = found
    body = json.loads(event)
    topic = _TOPICS[body["eventName"].partition("-")[0]]
    return Receipt(
        KINESIS, at, topic, sequence, previous, body["guid"], event, redelivery=redelivery, key=key
    )


def _of_message(message: Mapping[str, Any], ahead_s: float) -> Receipt:
    said = {name: one["StringValue"] for name, one in message["MessageAttributes"].items()}
    body = message["Body"].encode()
    return Receipt(
        subscription=SNS,
        at=int(message["Attributes"]["SentTimestamp"]) / 1000 - ahead_s,
        topic=said["topic"],
        sequence=int(said["sequence"]),
        previous=int(said["previousSequence"]),
        guid=json.loads(body)["guid"],
        body=body,
        redelivery=said.get("redelivery"),
        key=message["Attributes"]["MessageGroupId"],
    )
