"""What the campaign's events go to at AWS, and what a stream has received: asked of moto itself, not through the doors."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any, Final

import boto3

from tests.chaos.publishers import ASSETS, CATEGORIES
from tests.chaos.stream_judge import Receipt, record
from tests.chaos.subscribers import KINESIS
from tests.support.aws import REGION, Moto, environment

LIVESTREAMS: Final = "livestream-operations"
STREAM: Final = "campaign"
SHARDS: Final = 4
TOPIC: Final = "campaign.fifo"
# Where an event is, by the beginning of its name: a record of a stream doesn't say.
_TOPICS: Final = {"asset": ASSETS, "category": CATEGORIES, "livestream": LIVESTREAMS}


class FarAws:
    """A stream, and a FIFO topic; what the topic takes, the door before it notes (a queue of moto's that follows it would look
    through everything that ever lay in it, at each message that comes)."""

    def __init__(self, moto: Moto) -> None:
        self._moto = moto
        # By which moto's times of arrival are told by the clock of everything else here.
        self._ahead_s = time.time() - time.monotonic()
        self._client("kinesis").create_stream(StreamName=STREAM, ShardCount=SHARDS)
        made = self._client("sns").create_topic(Name=TOPIC, Attributes={"FifoTopic": "true"})
        self.arn: str = made["TopicArn"]

    def records(self) -> Iterator[Receipt]:
        """Of the stream, in the order of arrival in each shard."""
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
