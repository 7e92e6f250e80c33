"""The sinks that need boto3, in one place: it costs whoever loads it a quarter of a second and twenty
megabytes."""

from __future__ import annotations

from app.events.sinks import kinesis, sns
from app.events.sinks.aws import Aws
from app.events.sinks.base import Config, Sink


class Amazon:
    """`aws` holds the clients, and what may be written to. Both methods raise InvalidInput, naming
    `sink.…`."""

    def __init__(self, aws: Aws) -> None:
        self._aws = aws

    def check(self, sink: Config) -> None:
        if sink["type"] == "sns":
            sns.check(sink, self._aws)
        else:
            kinesis.check(sink, self._aws)

    def build(self, sink: Config, *, ordered: bool) -> Sink:
        self.check(sink)
        if sink["type"] == "sns":
            return sns.Sns(sink, ordered=ordered, aws=self._aws)
        return kinesis.Kinesis(sink, ordered=ordered, aws=self._aws)

    def close(self) -> None:
        self._aws.close()
