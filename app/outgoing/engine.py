"""The engine: carries out, in the calling thread, what an attempt asks for.

It alone knows the time, the store and the sockets. An attempt's whole time, from its first call to
the last byte read back, is bounded by the far side's `timeout_s`, which lies below the lease.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, cast

from app.outgoing.attempts import (
    LOST,
    Attempt,
    Begin,
    CallFailed,
    Closed,
    Ending,
    NoteForeignEdit,
    Own,
    PatchWay,
    Prepared,
    R,
    Read,
    ReadDelivered,
    Reading,
    Send,
    Step,
    Way,
    Written,
)
from app.outgoing.decision import AttemptResult
from app.outgoing.model import Claim, Sending
from app.platform.log import get_logger

# What the first half of a chain hands to the second, through a message: JSON values, no payloads.
Ticket = dict[str, Any]
log = get_logger()


class Store(Protocol):
    """What an attempt needs of the outgoing store."""

    def claim(self, request_id: str) -> Claim | None: ...

    def begin(self, claim: Claim, last_modified: str | None) -> Sending | None: ...

    def finish(self, claim: Claim, result: AttemptResult) -> bool: ...

    def drifted(
        self,
        claim: Claim,
        members: Sequence[str],
        found: Mapping[str, Any],
        *,
        park: bool,
        attempt: Mapping[str, Any],
        unknown: bool,
    ) -> bool: ...


class Fields(Protocol):
    """What an attempt needs of the reader of fields."""

    def own(self, claim: Claim) -> Sequence[Own]: ...


class Client(Protocol):
    """Calls to one destination. `deadline` is of `time.monotonic`. Raises CallFailed."""

    def send(self, request: Send, *, deadline: float) -> Written: ...


class ReadingClient(Client, Protocol):
    """Of a destination whose way reads too."""

    def read(self, path: str, *, deadline: float) -> Reading: ...


@dataclass(frozen=True, slots=True)
class FarSide:
    """What the engine needs of a destination. `timeout_s` bounds one whole attempt."""

    way: Way
    client: Client
    timeout_s: float


class Engine:
    """`far_sides`: by the destination's name. All methods raise Unavailable while the store is
    away; the request's lease then runs out."""

    def __init__(self, store: Store, fields: Fields, far_sides: Mapping[str, FarSide]) -> None:
        self._store = store
        self._fields = fields
        self._far_sides = far_sides

    def get_last_modified(self, request_id: str) -> Ticket | None:
        """The first half of a PATCH: the ticket for `send_patch`. None: the claim was refused, or
        the attempt has ended."""
        started = time.monotonic()
        run = self._claim(request_id)
        if run is None:
            return None
        ending = run.drive(run.patch_way.prepare(run.claim))
        if not isinstance(ending, Prepared):
            run.end(ending)
            return None
        return _ticket(run.claim, ending, used_s=time.monotonic() - started)

    def send_patch(self, ticket: Ticket) -> str:
        """The second half of a PATCH; the outcome in a word."""
        # Time in the queue isn't counted: `begin` refuses an expired lease and renews one that
        # holds.
        run = self._run(_claim_of(ticket), used_s=ticket["usedS"])
        prepared = Prepared(ticket["lastModified"], ticket["get"])
        return run.end(run.drive(run.patch_way.patch(run.claim, prepared)))

    def send(self, request_id: str) -> str | None:
        """All of any other method; the outcome in a word. None: the claim was refused."""
        run = self._claim(request_id)
        return None if run is None else run.end(run.drive(run.way.send(run.claim)))

    def _claim(self, request_id: str) -> _Run | None:
        started = time.monotonic()
        claim = self._store.claim(request_id)
        return None if claim is None else self._run(claim, used_s=time.monotonic() - started)

    def _run(self, claim: Claim, *, used_s: float) -> _Run:
        side = self._far_sides[claim.destination.partition(":")[0]]
        deadline = time.monotonic() + side.timeout_s - used_s
        return _Run(self._store, self._fields, side.client, side.way, claim, deadline)


@dataclass(slots=True)
class _Run:
    """One attempt under way. `deadline` is of `time.monotonic`."""

    store: Store
    fields: Fields
    client: Client
    way: Way
    claim: Claim
    deadline: float

    @property
    def patch_way(self) -> PatchWay:
        """A PATCH is accepted for no other destination."""
        return cast("PatchWay", self.way)

    def drive(self, attempt: Attempt[R]) -> R:
        """Carry out each step that the attempt yields, until it returns."""
        answer: Any = None
        while True:
            try:
                step = attempt.send(answer)
            except StopIteration as ended:
                ending: R = ended.value
                return ending
            answer = self._answer(step)

    def _answer(self, step: Step[Any]) -> Any:
        match step:
            case Read() | Send():
                return self._call(step)
            case Begin():
                return self.store.begin(self.claim, step.last_modified)
            case ReadDelivered():
                return self.fields.own(self.claim)
            case NoteForeignEdit(members, event, park, attempt, unknown):
                return self.store.drifted(
                    self.claim, members, event, park=park, attempt=attempt, unknown=unknown
                )
        raise TypeError(f"An attempt has asked for {step!r}.")

    def _call(self, step: Read | Send) -> Reading | Written | CallFailed:
        try:
            if isinstance(step, Read):
                return cast("ReadingClient", self.client).read(step.path, deadline=self.deadline)
            now = time.monotonic()
            return self.client.send(step, deadline=now + (self.deadline - now) * step.share)
        except CallFailed as failed:
            return failed

    def end(self, ending: Ending) -> str:
        """Write the attempt's result down, and one wide line into the log; the outcome in a
        word."""
        if isinstance(ending, Closed):
            log.info("attempt", outcome=ending.outcome, code=ending.code, **_of_claim(self.claim))
            return ending.outcome
        held = self.store.finish(self.claim, ending)
        outcome: str = ending.attempt["outcome"] if held else LOST
        ms_left = round((self.deadline - time.monotonic()) * 1000)
        log.info("attempt", outcome=outcome, **_of_claim(self.claim), **_of_result(ending), ms_left=ms_left)
        return outcome


def _ticket(claim: Claim, prepared: Prepared, *, used_s: float) -> Ticket:
    return {
        # Without the delivered values: payloads never travel in messages.
        "claim": {name: getattr(claim, name) for name in Claim.__slots__ if name != "delivered"},
        "lastModified": prepared.last_modified,
        "get": prepared.exchange,
        "usedS": round(used_s, 3),
    }


def _claim_of(ticket: Ticket) -> Claim:
    """The claim that a ticket carries. The other half of the chain may be of another release:
    members that this one doesn't know are left out."""
    return Claim(**{name: value for name, value in ticket["claim"].items() if name in Claim.__slots__})


def _of_claim(claim: Claim) -> dict[str, Any]:
    return {
        "request_id": claim.request_id,
        "content_media_id": claim.content_media_id,
        "method": claim.method,
        "path": claim.path,
    }


def _of_result(result: AttemptResult) -> dict[str, Any]:
    error, attempt = result.error, result.attempt
    return {
        "code": error.code if error else None,
        "unknown": error is not None and error.unknown is not None,
        "retry_after_s": error.retry_after_s if error else None,
        "rounds": len(attempt.get("earlier", ())) + 1,
        **_of_call("get", attempt),
        **_of_call("send", attempt),
    }


def _of_call(step: str, attempt: Mapping[str, Any]) -> dict[str, Any]:
    exchange = attempt.get(step, {})
    return {f"{step}_status": exchange.get("status"), f"{step}_ms": exchange.get("latencyMs")}
