"""PutRecords to a Kinesis stream: at most 500 records, 5 MiB a call and 1 MiB a record.

A record is the event with members added at its end: `sequence` and `previousSequence`, and `redelivery`
where it is sent once more. An answer of 200 may hide failures, and within a call no order is kept, so order
means at most one event of an entity in a call.
"""

from __future__ import annotations

import hashlib
import json
import re
import time
from collections.abc import Sequence
from typing import Any, Final

from app.events.sinks.aws import FAILURES, Aws, halved, of_code, of_failure
from app.events.sinks.base import Config, Delivery, Kind, Limits, Outcome, SinkError
from app.events.sinks.calls import Parcel, send
from app.platform.errors import InvalidInput

RECORDS: Final = 500
LONGEST_KEY: Final = 256  # characters
_NAMES: Final = ("sequence", "previousSequence", "redelivery")
_QUOTED: Final = tuple(f'"{name}"'.encode() for name in _NAMES)
_STREAM: Final = re.compile(r"[A-Za-z0-9_.-]{1,128}")
_REGION: Final = re.compile(r"[a-z]{2}(?:-[a-z]+)+-\d{1,2}")


def check(sink: Config, aws: Aws) -> None:
    """Refuse a stream that can't or may not be written to. Raises InvalidInput."""
    name = str(sink["streamName"])
    region = sink.get("region")
    if not _STREAM.fullmatch(name):
        raise InvalidInput([("sink.streamName", "A stream's name has 1 to 128 of A-Z a-z 0-9 _ . -")])
    if region is not None and not _REGION.fullmatch(str(region)):
        raise InvalidInput([("sink.region", "Not a region such as eu-west-1.")])
    if region is None and aws.default_region() is None:
        raise InvalidInput([("sink.region", "Say which region: AWS_DEFAULT_REGION sets none for all.")])
    if not aws.may_write("kinesis", name):
        raise InvalidInput([("sink.streamName", "MEDIAOPS_KINESIS_STREAMS doesn't allow this stream.")])


class Kinesis:
    """A stream; the partition key is `tenant:entity`, so each entity stays in one shard."""

    def __init__(self, sink: Config, *, ordered: bool, aws: Aws) -> None:
        self._stream = str(sink["streamName"])
        self._region: str | None = sink.get("region")
        self._ordered = ordered
        self._aws = aws
        self.limits = Limits(
            events=RECORDS,
            bytes=aws.settings.kinesis_call_bytes,
            event_bytes=min(aws.settings.kinesis_record_bytes, aws.settings.kinesis_call_bytes),
            one_per_key=ordered,
        )

    def send(self, deliveries: Sequence[Delivery], deadline: float) -> list[Outcome]:
        def call(records: list[Any]) -> list[Outcome]:
            return halved(records, lambda some: self._put(some, deadline))

        return send([self._parcel(d) for d in deliveries], self.limits, call, deadline)

    def request_summary(self, deliveries: Sequence[Delivery]) -> Config:
        size = sum(
            len(d.event) for d in deliveries
        )  # to put the parcels together once more would cost as much again
        summary = {
            "action": "PutRecords",
            "streamName": self._stream,
            "records": len(deliveries),
            "bytes": size,
        }
        return summary if self._region is None else {**summary, "region": self._region}

    def close(self) -> None:
        """Connections belong to the process."""

    def _parcel(self, delivery: Delivery) -> Parcel:
        data, key = record(delivery), partition_key(delivery.tenant, delivery.entity)
        order = key if self._ordered else None
        return Parcel({"Data": data, "PartitionKey": key}, len(data) + len(key.encode()), order)

    def _put(self, records: list[Any], deadline: float) -> list[Outcome]:
        started = time.monotonic()
        try:
            with self._aws.within(deadline):
                answer = self._aws.kinesis(self._region).put_records(StreamName=self._stream, Records=records)
        except FAILURES as error:
            return [of_failure(error, started)] * len(records)
        latency = int((time.monotonic() - started) * 1000)
        results = answer.get("Records") or []
        if len(results) != len(records):
            return [_unmatched(latency)] * len(records)
        return [_of_result(result, latency) for result in results]


def partition_key(tenant: str, entity: str) -> str:
    """`tenant:entity`; the end of one that is too long is replaced by a hash of all of it."""
    key = f"{tenant}:{entity}"
    if len(key) <= LONGEST_KEY:
        return key
    tail = hashlib.sha256(key.encode()).hexdigest()
    return f"{key[: LONGEST_KEY - len(tail) - 1]}~{tail}"


def record(delivery: Delivery) -> bytes:
    """The event's own text with what belongs to this delivery added.

    An event that has a member of such a name keeps it; ours are then called `mediaopsSequence`,
    `mediaopsPreviousSequence` and `mediaopsRedelivery`, since a name must not stand twice in an object.
    """
    names: tuple[str, ...] = _NAMES
    event = delivery.event
    if any(name in event for name in _QUOTED) and json.loads(event).keys() & set(names):
        names = tuple(f"mediaops{name[0].upper()}{name[1:]}" for name in names)
    body = event.rstrip()[:-1]
    comma = b"" if body.rstrip().endswith(b"{") else b","
    added = f'"{names[0]}":{delivery.sequence},"{names[1]}":{delivery.previous}'
    if delivery.redelivery is not None:
        added += f',"{names[2]}":{json.dumps(delivery.redelivery)}'
    return body + comma + added.encode() + b"}"


def _of_result(result: Any, latency: int) -> Outcome:
    code = result.get("ErrorCode")
    if code is None:
        answer = f"{result.get('ShardId', '')} {result.get('SequenceNumber', '')}"
        return Outcome(None, 200, latency, answer)
    error = of_code(str(code), str(result.get("ErrorMessage") or ""))
    return Outcome(error, 200, latency, error.detail)


def _unmatched(latency: int) -> Outcome:
    detail = "AWS's answer doesn't have a result for each record."
    return Outcome(SinkError("malformed_answer", detail, Kind.RETRY), 200, latency)
