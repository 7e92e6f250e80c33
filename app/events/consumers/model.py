"""What a consumer is, in values. Pure: no Redis, no HTTP.

docs/data-model.md describes the keys behind it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from app.events.sinks.base import Config, Delivery, SinkError

CONSUMER_ID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9.-]{0,127}\Z")
FAST: Final = "deliveries"  # queue of the consumers that keep up
SLOW: Final = "deliveries-slow"  # of those that fail, are slow, or have a backlog to work off
FAN_OUT: Final = "fan_out"  # message with which a worker wakes the listeners of a topic
MAX_IN_FLIGHT: Final = 50
# Of an entry of the delivery log.
OUTCOMES: Final = ("delivered", "failed", "handed_over", "parked", "disabled")
Command = Sequence[str | bytes | int]  # a Redis command that is run in the same script
# Topic → (sequence up to which it was read or handled, the last one before it that the consumer wanted).
Position = Mapping[str, tuple[int, int]]


class ConsumerState(StrEnum):
    """`failing`: active, and `subscription-failing` was published; `done` and `cancelled`: a replay that
    has ended."""

    ACTIVE = "active"
    FAILING = "failing"
    PAUSED = "paused"
    DISABLED = "disabled"
    DONE = "done"
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True)
class ConsumerSpec:
    """What a subscription wants: topics with event names (none: all events of the topic).

    `start`: topic → the sequence after which the consumer begins, for topics that it didn't have before. 0
    is the oldest entry; a topic without one begins with what is published from now on.
    app/events/sinks/base.py describes `sink` and `secrets`.
    """

    id: str
    topics: tuple[tuple[str, frozenset[str]], ...]
    sink: Config
    secrets: Config = field(default_factory=dict, repr=False)
    ordered: bool = True
    in_flight: int = 1
    start: Mapping[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not CONSUMER_ID.match(self.id):
            raise ValueError("a consumer's id is made of letters, digits, '-' and '.'")
        if not self.topics:
            raise ValueError("a consumer follows one topic at least")

    @property
    def slots(self) -> int:
        """How many calls may be under way at once: one where order matters."""
        return 1 if self.ordered else max(1, min(self.in_flight, MAX_IN_FLIGHT))


@dataclass(frozen=True, slots=True)
class Missed:
    """Entries that retention removed before they were handled: `first` to `last`, found at `at_ms`."""

    topic: str
    first: int
    last: int
    at_ms: int


@dataclass(frozen=True, slots=True)
class Failure:
    """Why the last attempt that failed did."""

    code: str
    detail: str
    at_ms: int


@dataclass(frozen=True, slots=True)
class ReplayProgress:
    """How far a replay is: sequences handled so far, and in all. `state`: active, paused, disabled, done or
    cancelled.

    Retention removed `missed` (the newest of them) and `missed_events` (how many) before the replay came to
    them. `reaches_back_to_ms`: how far the log went back at the beginning, where that may be less far than
    was asked for.
    """

    id: str
    state: ConsumerState
    done: int
    total: int
    since_ms: int
    started_ms: int
    ended_ms: int | None
    failure: Failure | None
    missed: tuple[Missed, ...] = ()
    missed_events: int = 0
    reaches_back_to_ms: int | None = None

    @property
    def stage(self) -> str:
        """running, done or cancelled."""
        return self.state.value if self.state in (ConsumerState.DONE, ConsumerState.CANCELLED) else "running"

    @property
    def waiting(self) -> str | None:
        """Why a running one stands still: paused or disabled."""
        stands = self.state in (ConsumerState.PAUSED, ConsumerState.DISABLED)
        return self.state.value if stands else None


@dataclass(frozen=True, slots=True)
class ConsumerStatus:
    """How a consumer is doing. `reason` says why it is disabled (a code), or who paused it.

    `counters`: delivered, failures (attempts of events that are tried again), parked, calls, bytes,
    latencyMs (sum of the calls'), delayMs (sum, from publishing to delivery), reclaims (workers that died
    with it), missed. `delays`: upper bound in ms ("inf" above all) → deliveries that took so long since
    publishing.
    """

    id: str
    state: ConsumerState
    reason: str
    lag_events: int
    lag_seconds: float
    open: int  # events under way or waiting for a retry: of an unordered consumer, or parked ones sent again
    parked: int
    counters: Mapping[str, int]
    delays: Mapping[str, int]
    cursor: Mapping[str, int]
    missed: tuple[Missed, ...]
    failing_since_ms: int | None
    failures_in_a_row: int
    last_error: Failure | None
    next_try_ms: int | None  # while it rests after a failure
    last_delivered_ms: int | None
    replay: ReplayProgress | None  # the newest one


@dataclass(frozen=True, slots=True)
class Parked:
    """An event that the sink has refused for good, and why. Texts are empty where a release before didn't
    note them."""

    topic: str
    sequence: int
    parked_ms: int
    error: SinkError
    event_name: str
    guid: str
    event: bytes | None  # None: the log doesn't have it any more

    @property
    def id(self) -> str:
        """Names it in `retry_parked` and `discard_parked`: `topic:sequence`."""
        return f"{self.topic}:{self.sequence}"


# Between the store and a worker --------------------


@dataclass(frozen=True, slots=True)
class Item:
    """An event that a worker has. `member`: its place in the consumer's `open` set, '' where the cursor
    covers it."""

    delivery: Delivery
    member: str = ""
    first_failed_ms: int | None = None  # or handed over
    key: str = field(init=False)  # `topic|sequence`; asked for so often that it is made once

    def __post_init__(self) -> None:
        object.__setattr__(self, "key", f"{self.delivery.topic}|{self.delivery.sequence}")

    @property
    def again(self) -> bool:
        """Whether it has failed before. A call that was handed over doesn't count."""
        return self.delivery.attempt > 1 or self.delivery.redelivery == "parked"


@dataclass(frozen=True, slots=True)
class ReadLimits:
    """How much to read. `position`: topic → (sequence, the one wanted before), where to go on; None: at the
    cursor. `keep`: keep the consumer though there is nothing more, since calls are still under way."""

    limit: int
    max_bytes: int
    open_limit: int
    position: Position | None = None
    keep: bool = False


@dataclass(frozen=True, slots=True)
class Claimed:
    """A consumer that a worker has claimed, with the first of what there is to deliver."""

    id: str
    owner: str  # the subscription: the consumer itself, or the one that is replayed
    token: str
    revision: int
    at_ms: int
    ordered: bool
    slots: int
    failures: int  # in a row
    failing_since_ms: int | None
    pace_ms: float  # how long calls take, smoothed
    queue: str
    probation: int  # quick calls until it is trusted again
    waiting: int  # events that wait for a retry
    ahead: frozenset[str]  # keys of what was delivered beyond the cursor
    items: tuple[Item, ...]
    position: Position
    more: bool  # the log goes on behind what was read
    config: tuple[Config, bytes] | None  # sink, and secrets as stored; None: the caller knew the revision

    @property
    def replay_id(self) -> str | None:
        """The replay's id where this is one."""
        return replay_id(self.id, self.owner)


def replay_id(consumer_id: str, owner: str) -> str | None:
    """Of a replay's consumer, which isn't its own owner; None of a subscription's."""
    return None if consumer_id == owner else consumer_id.rpartition(".")[2]


@dataclass(frozen=True, slots=True)
class Acked:
    """The answer to an acknowledgement, with more to deliver. `going_on` False: the consumer isn't this
    worker's any more (let go, lost, paused, changed or ended); `word` says which."""

    going_on: bool
    word: str
    items: tuple[Item, ...] = ()
    position: Position = field(default_factory=dict)
    waiting: int = 0
