"""Checks what a user gives as a sink, and builds the sink; one factory for the process."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from app.events.sinks import webhook
from app.events.sinks.aws_settings import AwsSettings
from app.events.sinks.base import Config, Sink
from app.platform.errors import InvalidInput
from app.platform.guard import AddressGuard

if TYPE_CHECKING:
    from app.events.sinks.aws import Aws
    from app.events.sinks.aws_sinks import Amazon

TYPES = ("webhook", "sns", "kinesis")


class Sinks:
    """`guard` decides about URLs; `aws` holds AWS's clients and what may be written to there, or says how
    to make them."""

    def __init__(self, guard: AddressGuard, aws: Aws | AwsSettings) -> None:
        self._guard = guard
        self._aws = aws
        self._loaded: Amazon | None = None
        self._lock = threading.Lock()

    def _amazon(self) -> Amazon:
        with self._lock:
            if self._loaded is None:
                self._loaded = self._load()
            return self._loaded

    def _load(self) -> Amazon:
        # Not with the module: see there. Of all processes only the API and the deliveries' workers get
        # here, if at all.
        from app.events.sinks.aws import Aws  # noqa: PLC0415
        from app.events.sinks.aws_sinks import Amazon  # noqa: PLC0415

        return Amazon(Aws(self._aws) if isinstance(self._aws, AwsSettings) else self._aws)

    def check(self, sink: Config) -> None:
        """Refuse a sink that can't or may not be written to. Raises InvalidInput, naming `sink.…`.

        `sink` is what the user gives, with its members' types checked already: `headers` maps names to
        values.
        """
        match sink.get("type"):
            case "webhook":
                webhook.check(sink, self._guard)
            case "sns" | "kinesis":
                self._amazon().check(sink)
            case _:
                raise InvalidInput([("sink.type", f"Must be one of {', '.join(TYPES)}.")])

    def build(self, sink: Config, secrets: Config, *, ordered: bool) -> Sink:
        """The sink of a public configuration and its secrets (see `base`). Whoever builds it closes it.

        Raises InvalidInput where the operator doesn't allow its target any more. Webhooks are checked at
        each connection.
        """
        match sink["type"]:
            case "webhook":
                return webhook.Webhook(sink, secrets, ordered=ordered, guard=self._guard)
            case "sns" | "kinesis":
                return self._amazon().build(sink, ordered=ordered)
            case other:
                raise ValueError(f"no sink of type {other!r}")

    def close(self) -> None:
        """Close AWS's connections, where there are any."""
        with self._lock:
            if self._loaded is not None:
                self._loaded.close()
