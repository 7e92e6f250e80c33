"""Checks what a user gives as a sink, takes the secrets out of it, and builds the sink; one factory for the process."""

from __future__ import annotations

from typing import Any

from app.events.sinks import kinesis, sns, webhook
from app.events.sinks.aws import Aws
from app.events.sinks.base import Config, Sink
from app.platform.errors import InvalidInput
from app.platform.guard import Guard

TYPES = ("webhook", "sns", "kinesis")


class Sinks:
    """`guard` decides about URLs; `aws` holds AWS's clients and what may be written to there."""

    def __init__(self, guard: Guard, aws: Aws) -> None:
        self._guard = guard
        self._aws = aws

    def check(self, sink: Config) -> None:
        """Refuse a sink that can't or may not be written to. Raises InvalidInput, naming `sink.…`.

        `sink` is what the user gives, with its members' types checked already: `headers` maps names to values.
        """
        match sink.get("type"):
            case "webhook":
                webhook.check(sink, self._guard)
            case "sns":
                sns.check(sink, self._aws)
            case "kinesis":
                kinesis.check(sink, self._aws)
            case _:
                raise InvalidInput([("sink.type", f"Must be one of {', '.join(TYPES)}.")])

    def build(self, sink: Config, secrets: Config, *, ordered: bool) -> Sink:
        """The sink of a public configuration and its secrets (see `base`). Whoever builds it closes it.

        Raises InvalidInput where the operator doesn't allow its target any more. Webhooks are checked at each connection.
        """
        match sink["type"]:
            case "webhook":
                return webhook.Webhook(sink, secrets, ordered=ordered, guard=self._guard)
            case "sns":
                sns.check(sink, self._aws)
                return sns.Sns(sink, ordered=ordered, aws=self._aws)
            case "kinesis":
                kinesis.check(sink, self._aws)
                return kinesis.Kinesis(sink, ordered=ordered, aws=self._aws)
            case other:
                raise ValueError(f"no sink of type {other!r}")

    def close(self) -> None:
        """Close AWS's connections."""
        self._aws.close()


def split(sink: Config) -> tuple[dict[str, Any], dict[str, Any]]:
    """What the user gave as (public, secrets): the values of headers are secrets, their names are not."""
    public = dict(sink)
    headers = dict(public.pop("headers", None) or {})
    if sink["type"] != "webhook":
        return public, {}
    return {**public, "headers": sorted(headers)}, {"headers": headers}
