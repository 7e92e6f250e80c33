"""PublishBatch to an SNS topic: at most 10 events and 262,144 bytes a call, attributes included."""

from __future__ import annotations

import hashlib
import json
import re
import time
from collections.abc import Mapping, Sequence
from typing import Any, Final

from app.events.sinks.aws import FAILURES, Aws, halved, of_code, of_failure
from app.events.sinks.base import Config, Delivery, Kind, Limits, Outcome, SinkError
from app.events.sinks.calls import Parcel, send
from app.platform.errors import InvalidInput

ENTRIES: Final = 10
CALL_BYTES: Final = 262_144
_ARN: Final = re.compile(r"arn:aws[a-z-]*:sns:([a-z0-9-]{1,32}):\d{12}:([A-Za-z0-9_-]{1,256}(?:\.fifo)?)")
# What a group's and a deduplication's id may hold.
_ID: Final = re.compile(r"[!-~]{1,128}")


def check(sink: Config, aws: Aws) -> None:
    """Refuse a topic that can't or may not be written to. Raises InvalidInput."""
    arn = str(sink["topicArn"])
    match = _ARN.fullmatch(arn)
    if match is None:
        raise InvalidInput(
            [("sink.topicArn", "Not the ARN of an SNS topic (arn:aws:sns:region:account:name).")]
        )
    if sink.get("region") not in (None, match[1]):
        raise InvalidInput([("sink.region", f"The topic is in {match[1]}.")])
    if not aws.may_write("sns", arn):
        raise InvalidInput([("sink.topicArn", "MEDIAOPS_SNS_TOPICS doesn't allow this topic.")])


class Sns:
    """A topic; with `.fifo` at its end it keeps the order of each entity."""

    def __init__(self, sink: Config, *, ordered: bool, aws: Aws) -> None:
        self._arn = str(sink["topicArn"])
        self._region = self._arn.split(":")[3]
        self._fifo = self._arn.endswith(".fifo")
        self._ordered = ordered
        self._aws = aws
        self.limits = Limits(events=ENTRIES, bytes=CALL_BYTES, event_bytes=CALL_BYTES, one_per_key=ordered)

    def send(self, deliveries: Sequence[Delivery], deadline: float) -> list[Outcome]:
        def call(entries: list[Any]) -> list[Outcome]:
            return halved(entries, lambda some: self._publish(some, deadline))

        return send([self._parcel(d) for d in deliveries], self.limits, call, deadline)

    def request_summary(self, deliveries: Sequence[Delivery]) -> Config:
        size = sum(self._parcel(d).size for d in deliveries)
        return {"action": "PublishBatch", "topicArn": self._arn, "entries": len(deliveries), "bytes": size}

    def close(self) -> None:
        """Connections belong to the process."""

    def _parcel(self, delivery: Delivery) -> Parcel:
        attributes = _attributes(delivery)
        entry = {"Message": delivery.event.decode(), "MessageAttributes": attributes}
        if self._fifo:
            suffix = f":{delivery.redelivery}" if delivery.redelivery else ""
            entry["MessageGroupId"] = _id(delivery.entity)
            entry["MessageDeduplicationId"] = _id(delivery.guid + suffix)
        return Parcel(entry, _size(attributes, delivery), delivery.entity if self._ordered else None)

    def _publish(self, entries: list[Any], deadline: float) -> list[Outcome]:
        started = time.monotonic()
        numbered = [{"Id": str(n), **entry} for n, entry in enumerate(entries)]
        try:
            with self._aws.within(deadline):
                answer = self._aws.sns(self._region).publish_batch(
                    TopicArn=self._arn,
                    PublishBatchRequestEntries=numbered,  # type: ignore[arg-type]  # plain dicts
                )
        except FAILURES as error:
            return [of_failure(error, started)] * len(entries)
        latency = int((time.monotonic() - started) * 1000)
        found: dict[str, Outcome] = {}
        for taken in answer.get("Successful", ()):
            found[taken["Id"]] = Outcome(None, 200, latency, f"MessageId {taken['MessageId']}")
        for failed in answer.get("Failed", ()):
            found[failed["Id"]] = _of_failed(failed, latency)
        return [found.get(str(n)) or _unmentioned(latency) for n in range(len(entries))]


def _attributes(delivery: Delivery) -> dict[str, dict[str, str]]:
    """What filter policies can look at. Numbers are numbers there, so that ranges work."""
    texts = {"topic": delivery.topic, "eventName": delivery.event_name, "tenant": delivery.tenant}
    event_type = _event_type(delivery.event)
    if event_type:
        texts["eventType"] = event_type
    if delivery.redelivery:
        texts["redelivery"] = delivery.redelivery
    attributes = {name: {"DataType": "String", "StringValue": value} for name, value in texts.items()}
    for name, number in (("sequence", delivery.sequence), ("previousSequence", delivery.previous)):
        attributes[name] = {"DataType": "Number", "StringValue": str(number)}
    return attributes


def _event_type(event: bytes) -> str | None:
    if b'"eventType"' not in event:
        return None
    found = json.loads(event).get("eventType")
    return found if isinstance(found, str) else None


def _size(attributes: Mapping[str, Mapping[str, str]], delivery: Delivery) -> int:
    return len(delivery.event) + sum(
        len(name) + len(a["DataType"]) + len(a["StringValue"].encode()) for name, a in attributes.items()
    )


def _id(text: str) -> str:
    return text if _ID.fullmatch(text) else hashlib.sha256(text.encode()).hexdigest()


def _of_failed(failed: Any, latency: int) -> Outcome:
    """Only what the sender is at fault for is given up."""
    code, message = str(failed.get("Code") or ""), str(failed.get("Message") or "")
    at_fault = bool(failed.get("SenderFault"))
    error = of_code(code, message, refused=at_fault)
    if error.kind is Kind.REFUSED and not at_fault:
        error = SinkError("server_error", error.detail, Kind.RETRY)
    return Outcome(error, 200, latency, error.detail)


def _unmentioned(latency: int) -> Outcome:
    detail = "AWS's answer says nothing of this entry."
    return Outcome(SinkError("malformed_answer", detail, Kind.RETRY), 200, latency)
