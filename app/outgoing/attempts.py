"""One attempt at a request, without I/O: what it may ask for, what it is answered, and how it ends.

The way of a destination writes an attempt as a generator: it yields a `Step`, receives the step's
answer, and returns how the attempt has ended. It has no clock, client, store or log. An engine
drives it: it carries each step out and sends the answer in. A failed call is an answer like any
other: nothing is thrown into the generator.

    Step             answer                  asks
    Read             Reading or CallFailed   the destination for a document
    Begin            Sending or None         the store what may be sent, immediately before each Send
    Send             Written or CallFailed   the destination to change something
    ReadDelivered    a sequence of Own       the store what was delivered before
    NoteForeignEdit  bool                    the store to record what somebody else has changed

Nothing in here decides whether to try again later: that is `decision`.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final, Generic, Protocol, TypeVar

from app.outgoing.decision import AttemptError, AttemptResult
from app.outgoing.model import Claim, Sending
from app.platform.clock import from_ms, rfc3339

# How an attempt has ended, in a word. The last two: its lease was lost; the store had nothing
# (left) to send.
DELIVERED: Final = "delivered"
FAILED: Final = "failed"
REJECTED: Final = "rejected"
LOST: Final = "lease_lost"
NOTHING: Final = "nothing_to_send"

# One HTTP call as the attempt's record shows it: JSON values, neither headers nor secrets.
Exchange = dict[str, Any]

A = TypeVar("A")
R = TypeVar("R")


# Answers ------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Reading:
    """What a GET has shown: the document, and its lastModified, the condition of a PATCH."""

    document: Mapping[str, Any]
    last_modified: str
    exchange: Exchange


@dataclass(frozen=True, slots=True)
class Written:
    """The answer to a Send. `conflict`: its condition didn't hold any more (409, 412); else it was
    accepted."""

    conflict: bool
    exchange: Exchange


class CallFailed(Exception):
    """What a client raises, and what an attempt is answered then: no answer, or one that says no.

    `unknown`: the write may have been carried out, because bytes had left and nobody said what
    became of them.
    """

    def __init__(self, error: AttemptError, *, unknown: bool, exchange: Exchange) -> None:
        super().__init__(error.code)
        self.error = error
        self.unknown = unknown
        self.exchange = exchange


@dataclass(frozen=True, slots=True)
class Own:
    """A member that a live request may send: what it wants there, and what was delivered there
    before."""

    name: str
    wanted: bytes
    delivered: bytes


# Steps --------------------------------------------------------------------------------------------


class Step(Generic[A]):
    """What an attempt asks for; `answer = yield from step` asks, and gives the answer its type."""

    __slots__ = ()

    def __iter__(self) -> Generator[Step[Any], Any, A]:
        answer: A = yield self
        return answer


Attempt = Generator[Step[Any], Any, R]


@dataclass(frozen=True, slots=True)
class Read(Step["Reading | CallFailed"]):
    """GET a document that has a lastModified."""

    path: str


@dataclass(frozen=True, slots=True)
class Begin(Step["Sending | None"]):
    """What may be sent now. `last_modified` is what will be sent with it, stored in case the answer
    is lost. None: nothing may be sent, the store has ended the record, and the attempt ends as
    `Closed`."""

    last_modified: str | None = None


@dataclass(frozen=True, slots=True)
class Send(Step["Written | CallFailed"]):
    """Send what `Begin` has handed out: members under the condition `last_modified`, or a body as
    it is. It may take `share` of the time that the attempt has left."""

    method: str
    path: str
    sending: Sending
    last_modified: str | None = None
    share: float = 1.0


@dataclass(frozen=True, slots=True)
class ReadDelivered(Step[Sequence[Own]]):
    """What was delivered before, of the members that this request may send."""


@dataclass(frozen=True, slots=True)
class NoteForeignEdit(Step[bool]):
    """Somebody else has changed `members`; `event` says it to subscribers. True: go on. False: with
    `park` the store has ended the record, with `attempt` as its last entry, and the attempt ends as
    `Closed`. `unknown`: this attempt has sent something whose answer was lost."""

    members: tuple[str, ...]
    event: Mapping[str, Any]
    park: bool
    attempt: Mapping[str, Any]
    unknown: bool


# Ends ---------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Prepared:
    """The end of a chain's first half: what its second half needs."""

    last_modified: str
    exchange: Exchange


@dataclass(frozen=True, slots=True)
class Closed:
    """The store has ended the record by itself: there is no result to write down."""

    outcome: str
    code: str | None = None


Ending = AttemptResult | Closed


class Way(Protocol):
    """How the requests of one destination are attempted."""

    def send(self, claim: Claim) -> Attempt[Ending]:
        """All of any method but PATCH."""


class PatchWay(Way, Protocol):
    """That of a destination that takes PATCHes under a condition."""

    def prepare(self, claim: Claim) -> Attempt[Prepared | Ending]:
        """The first half of a PATCH: read its condition."""

    def patch(self, claim: Claim, prepared: Prepared) -> Attempt[Ending]:
        """The second half of a PATCH. `claim` has been through a message: its `delivered` is
        empty."""


@dataclass(slots=True)
class Progress:
    """An attempt under way: what its record will show.

    `shown` has the calls of this round by their step (`get`, `send`, `readBack`), `earlier` those
    of the rounds before. `unknown`: a write that may have been applied. `suspect`: one whose answer
    was lost, and that was then sent again: the first may be carried out later.
    """

    claim: Claim
    shown: dict[str, Any] = field(default_factory=dict)
    earlier: list[dict[str, Any]] = field(default_factory=list)
    unknown: Mapping[str, Any] | None = None
    suspect: bool = False

    def next_round(self, get: Exchange | None = None) -> None:
        """What was done so far moves to `earlier`; `get` is the reading that the next Send relies
        on."""
        self.earlier.append(self.shown)
        self.shown = {} if get is None else {"get": get}

    def result(self, error: AttemptError | None = None) -> AttemptResult:
        """The attempt's end; an error doesn't make a write of unknown outcome forgotten."""
        if error is not None and error.unknown is None and self.unknown is not None:
            error = replace(error, unknown=self.unknown)
        return AttemptResult(self.entry(error), error, self.suspect)

    def entry(self, error: AttemptError | None) -> dict[str, Any]:
        """The attempt as the record's history keeps it."""
        entry = {"at": rfc3339(from_ms(self.claim.at_ms)), **self.shown}
        if self.earlier:
            entry["earlier"] = self.earlier
        entry["outcome"] = _outcome(error)
        if error is not None:
            entry["error"] = {"code": error.code, "detail": error.detail}
            if error.retry_after_s is not None:
                entry["error"]["retryAfter"] = error.retry_after_s
        return entry


def _outcome(error: AttemptError | None) -> str:
    if error is None:
        return DELIVERED
    return FAILED if error.retryable else REJECTED
