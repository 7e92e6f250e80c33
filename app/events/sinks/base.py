"""What a sink is: it takes some events, in their order, and answers for each what became of it.

The one who calls keeps cursors, decides about retries and parks what was refused; a sink only sends and
understands the answer. Nothing here knows HTTP or AWS.

Sinks are configured in two parts:

    public   {"type": "webhook", "url": "https://…", "headers": ["X-Api-Key"]}          shown to readers
             {"type": "sns", "topicArn": "arn:aws:sns:…", "region"?: "eu-west-1"}
             {"type": "kinesis", "streamName": "…", "region"?: "eu-west-1"}
    secrets  {"signing": [{"secret": "whsec_…", "until": null | ms}, …], "headers": {"X-Api-Key": "…"}}   webhooks only
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final, Protocol

Config = Mapping[str, Any]  # one of the two parts

# Code of an outcome that is no attempt: the event wasn't sent, because an earlier one of its order failed
# or the time was used up. It counts neither as a failure nor as a try.
NOT_SENT: Final = "not_sent"
# Code of a call that got no answer within the short time that a first try has. It may have been taken: it
# is sent again with the whole time, and counts as a try only then.
HANDED_OVER: Final = "handed_over"
# Code of what is refused before it is sent, because no call could carry it.
TOO_LARGE: Final = "too_large"
LONGEST_ANSWER: Final = 1_000  # characters of an answer that are shown


class Kind(StrEnum):
    """What a failure means, and so what is to be done about it."""

    RETRY = "retry"  # trouble of the destination, or passing trouble
    REFUSED = "refused"  # this very event will never be taken: it is parked, and the others go on
    GONE = "gone"  # the destination doesn't want any more: the subscription is disabled


@dataclass(frozen=True, slots=True)
class Delivery:
    """One event on its way to one destination.

    `previous` is the sequence of the event of the same topic that this subscription got before, 0 for none.
    `entity` is what the event is about; order matters only within one. `redelivery`: None, "parked" or a
    replay's id.
    """

    topic: str
    sequence: int
    previous: int
    event_name: str
    guid: str
    entity: str
    tenant: str
    event: bytes
    at_ms: int
    attempt: int = 1
    redelivery: str | None = None


@dataclass(frozen=True, slots=True)
class SinkError:
    """Why an event wasn't delivered. `code` is stable; `detail` is for people and never holds a secret."""

    code: str
    detail: str
    kind: Kind
    retry_after_s: float | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one event. `status` is the answer's, `answer` its beginning with all secrets taken
    out."""

    error: SinkError | None
    status: int | None = None
    latency_ms: int = 0
    answer: str = ""

    @property
    def delivered(self) -> bool:
        return self.error is None

    @property
    def tried(self) -> bool:
        """Whether the event was sent, or refused for itself; False where it only had to wait for others."""
        return self.error is None or self.error.code != NOT_SENT


@dataclass(frozen=True, slots=True)
class Limits:
    """What one call of the sink's far side takes. `bytes` counts events and what is sent with them.

    More than that may be given to `send`, which makes several calls of it. `one_per_key`: a call carries at
    most one event of an entity, since the far side keeps no order within a call.
    """

    events: int
    bytes: int
    event_bytes: int
    one_per_key: bool


class Sink(Protocol):
    """One destination. Any number of threads may use it at once."""

    @property
    def limits(self) -> Limits: ...

    def send(self, deliveries: Sequence[Delivery], deadline: float) -> list[Outcome]:
        """Send them, all within `deadline` (of `time.monotonic`); an outcome for each, in the same order.

        Where order matters, nothing is sent after an event of the same order that has to be tried again:
        its outcome is NOT_SENT. Never raises for the far side's faults.
        """
        ...

    def request_summary(self, deliveries: Sequence[Delivery]) -> Config:
        """What is sent where, for the delivery log: names and sizes, no secrets."""
        ...

    def close(self) -> None:
        """Close idle connections."""
        ...


class SinkFactory(Protocol):
    """Makes sinks of their two parts: `factory.Sinks`."""

    def build(self, sink: Config, secrets: Config, *, ordered: bool) -> Sink: ...
