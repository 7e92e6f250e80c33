"""One attempt at a request: GET its lastModified, PATCH under it, and find out what happened.

Nothing in here decides whether to try again later: an attempt ends as a Result, and the outgoing package
decides. What belongs to the attempt itself is here: fresh conditions after a 409 or 412, reading back
after a lost answer, and the deadline for all of it, which lies below the lease.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final, Protocol

from app.avos.client import AvosClient, Exchange, Reading
from app.avos.comparison import Match, compare, overall
from app.avos.errors import CallFailed
from app.avos.foreign_edits import PARKED, ForeignEdits, differs
from app.avos.paths import get_path_for, section_of
from app.outgoing.decision import AttemptError, AttemptResult
from app.outgoing.model import Claim, Sending
from app.platform.clock import from_ms, rfc3339
from app.platform.log import get_logger

ROUNDS: Final = 5  # PATCHes of one attempt: 409/412 answers, and one repetition after a lost answer
# Of what is left of an attempt, for one PATCH: the rest is kept for reading back when its answer is lost.
SHARE: Final = 0.6
DELIVERED, FAILED, REJECTED, LOST, NOTHING = (
    "delivered",
    "failed",
    "rejected",
    "lease_lost",
    "nothing_to_send",
)

Ticket = dict[str, Any]
log = get_logger()


class Store(Protocol):
    """What an attempt needs of the outgoing store."""

    def claim(self, request_id: str) -> Claim | None: ...

    def begin(self, claim: Claim, last_modified: str | None) -> Sending | None: ...

    def finish(self, claim: Claim, result: AttemptResult) -> bool: ...


class NothingToSend(Exception):
    """`begin` handed nothing out: newer requests have it all, it is too late, or the lease is gone. The
    store has ended the record accordingly."""


class _Parked(Exception):
    """Somebody else has changed what would be overwritten, and such requests wait for a person; the record is
    ended."""


class _AnswerLost(Exception):
    """A PATCH left, and no answer came that says whether it was applied."""

    def __init__(self, failed: CallFailed) -> None:
        super().__init__(failed.error.code)
        self.failed = failed


@dataclass(slots=True)
class _Course:
    """An attempt under way: what it has done so far, and until when it may go on."""

    claim: Claim
    deadline: float
    shown: dict[str, Any] = field(default_factory=dict)
    earlier: list[dict[str, Any]] = field(default_factory=list)
    unknown: Mapping[str, Any] | None = None  # a write that may have been applied
    suspect: bool = (
        False  # one whose answer was lost and that was then sent again: it may be carried out later
    )

    def next_round(self, get: Exchange | None = None) -> None:
        """What was done so far moves to `earlier`; `get` is the reading that the next PATCH relies on."""
        self.earlier.append(self.shown)
        self.shown = {} if get is None else {"get": get}

    def attempt(self, error: AttemptError | None) -> dict[str, Any]:
        attempt = {"at": rfc3339(from_ms(self.claim.at_ms)), **self.shown}
        if self.earlier:
            attempt["earlier"] = self.earlier
        attempt["outcome"] = _outcome(error)
        if error is not None:
            attempt["error"] = {"code": error.code, "detail": error.detail}
            if error.retry_after_s is not None:
                attempt["error"]["retryAfter"] = error.retry_after_s
        return attempt


class Delivery:
    """`timeout_s` bounds one whole attempt, from the GET to the last byte read back. Without `foreign` nobody
    looks for other people's edits."""

    def __init__(
        self, store: Store, client: AvosClient, *, timeout_s: float, foreign: ForeignEdits | None = None
    ) -> None:
        self._store = store
        self._client = client
        self._timeout_s = timeout_s
        self._foreign = foreign

    def get_last_modified(self, request_id: str) -> Ticket | None:
        """Claim a PATCH and read its lastModified: the ticket for `send_patch`. None: refused or ended."""
        started = time.monotonic()
        claim = self._store.claim(request_id)
        if claim is None:
            return None
        course = _Course(claim, started + self._timeout_s, unknown=claim.unknown)
        try:
            reading = self._client.read(get_path_for(claim.path), deadline=course.deadline)
        except CallFailed as failed:
            course.shown["get"] = failed.exchange
            self._finish(course, failed.error)
            return None
        if claim.delivered and differs(claim, reading):
            course.shown["get"] = reading.exchange
            try:
                self._look_for_edits(course, reading)
            except _Parked:
                return None
        return {
            # Without the delivered values: payloads never travel in messages.
            "claim": {name: getattr(claim, name) for name in Claim.__slots__ if name != "delivered"},
            "lastModified": reading.last_modified,
            "get": reading.exchange,
            "usedS": round(time.monotonic() - started, 3),
        }

    def send_patch(self, ticket: Ticket) -> str | None:
        """The PATCH of a ticket; the outcome in a word."""
        claim = _claim_of(ticket)
        # Time in the queue isn't counted: `begin` refuses an expired lease and renews one that holds.
        course = _Course(claim, time.monotonic() + self._timeout_s - ticket["usedS"], unknown=claim.unknown)
        course.shown["get"] = ticket["get"]
        try:
            self._patch(course, ticket["lastModified"])
        except NothingToSend:
            return NOTHING
        except _Parked:
            return REJECTED
        except CallFailed as failed:
            return self._finish(course, failed.error)
        return self._finish(course, None)

    def send(self, request_id: str) -> str | None:
        """Any other method, as it is; the outcome in a word, None when the claim is refused."""
        deadline = time.monotonic() + self._timeout_s
        claim = self._store.claim(request_id)
        if claim is None:
            return None
        course = _Course(claim, deadline, unknown=claim.unknown)
        try:
            sending = self._begin(course, None)
            exchange = self._client.send(
                claim.method, claim.path, sending.body, sending.content_type, deadline=deadline
            )
        except NothingToSend:
            return NOTHING
        except CallFailed as failed:
            course.shown["send"] = failed.exchange
            return self._finish(course, _of_other_method(claim, failed))
        course.shown["send"] = exchange
        return self._finish(course, None)

    def _patch(self, course: _Course, last_modified: str) -> None:
        """PATCH until it is answered 2xx or shown to have been applied. Raises CallFailed, NothingToSend."""
        if course.unknown is not None:  # by an earlier attempt: compare before writing
            sending = self._begin(course, last_modified)
            reading = self._read(course, "readBack")
            if _applied(course, reading, sending):
                return
            course.next_round(reading.exchange)
            last_modified = reading.last_modified
        lost = False
        for _ in range(ROUNDS):
            sending = self._begin(course, last_modified)
            try:
                if self._patch_once(course, last_modified, sending):
                    return
                course.next_round()
                reading = self._read(course, "get")
                # After a lost answer it may be our own write that is in the way.
                if course.unknown is not None and _applied(course, reading, sending):
                    return
                self._look_for_edits(course, reading)
            except _AnswerLost as answer:
                reading = self._read_back(course, answer.failed)
                if _applied(course, reading, sending):
                    return
                self._look_for_edits(course, reading)
                if lost:
                    raise answer.failed from None
                lost = course.suspect = True
                course.next_round(reading.exchange)
            last_modified = reading.last_modified
        raise CallFailed(
            AttemptError("conflict", f"{ROUNDS} times somebody else wrote between our GET and our PATCH."),
            unknown=False,
            exchange={},
        )

    def _patch_once(self, course: _Course, last_modified: str, sending: Sending) -> bool:
        """True: accepted; False: 409 or 412. Raises _AnswerLost when it may have been applied, CallFailed."""
        now = time.monotonic()
        until = now + (course.deadline - now) * SHARE
        try:
            written = self._client.patch(course.claim.path, last_modified, sending.members, deadline=until)
        except CallFailed as failed:
            course.shown["send"] = failed.exchange
            if not failed.unknown:
                raise
            names = [name for name, _ in sending.members]
            course.unknown = {"members": names, "lastModified": last_modified}
            raise _AnswerLost(failed) from failed
        course.shown["send"] = written.exchange
        if written.conflict:
            return False
        course.unknown = None
        return True

    def _read_back(self, course: _Course, failed: CallFailed) -> Reading:
        """What AVOS shows after `failed`, at once; when that can't be read either, `failed` stands."""
        try:
            return self._read(course, "readBack")
        except CallFailed:
            raise failed from None

    def _look_for_edits(self, course: _Course, reading: Reading) -> None:
        """AVOS has changed, or shows something unexpected: was it somebody else? Raises _Parked."""
        edited = self._foreign.found(course.claim, reading) if self._foreign is not None else []
        if self._foreign is None or not edited:
            return
        reading.exchange["edited"] = [member["name"] for member in edited]
        unknown = course.unknown is not None
        attempt = course.attempt(PARKED)
        if not self._foreign.may_go_on(course.claim, edited, attempt, unknown=unknown):
            log.info("attempt", outcome=REJECTED, code=PARKED.code, **_of_claim(course.claim))
            raise _Parked

    def _begin(self, course: _Course, last_modified: str | None) -> Sending:
        """Immediately before each sending: what may be sent now."""
        sending = self._store.begin(course.claim, last_modified)
        if sending is None:
            log.info("attempt", outcome=NOTHING, **_of_claim(course.claim))
            raise NothingToSend
        return sending

    def _read(self, course: _Course, step: str) -> Reading:
        try:
            reading = self._client.read(get_path_for(course.claim.path), deadline=course.deadline)
        except CallFailed as failed:
            course.shown[step] = failed.exchange
            raise
        course.shown[step] = reading.exchange
        return reading

    def _finish(self, course: _Course, error: AttemptError | None) -> str:
        """Hand the attempt in; one wide line in the log."""
        if error is not None and error.unknown is None and course.unknown is not None:
            error = replace(error, unknown=course.unknown)
        attempt = course.attempt(error)
        held = self._store.finish(course.claim, AttemptResult(attempt, error, course.suspect))
        outcome = _outcome(error) if held else LOST
        log.info(
            "attempt",
            outcome=outcome,
            **_of_claim(course.claim),
            code=error.code if error else None,
            unknown=course.unknown is not None and error is not None,
            retry_after_s=error.retry_after_s if error else None,
            rounds=len(course.earlier) + 1,
            ms_left=round((course.deadline - time.monotonic()) * 1000),
            **_of_call("get", course.shown.get("get")),
            **_of_call("send", course.shown.get("send")),
        )
        return outcome


def _claim_of(ticket: Ticket) -> Claim:
    """The claim that a ticket carries. The other link of the chain may be of another release: what this one doesn't
    know is left out."""
    return Claim(**{name: value for name, value in ticket["claim"].items() if name in Claim.__slots__})


def _applied(course: _Course, reading: Reading, sending: Sending) -> bool:
    """Whether the document shows all that was to be sent; noted in the attempt."""
    members = {name: json.loads(value) for name, value in sending.members}
    verdict = overall(compare(reading.document, members, section_of(course.claim.path)))
    course.shown["shown"] = verdict.value
    if verdict is not Match.EQUAL:
        return False
    course.unknown = None
    return True


def _of_other_method(claim: Claim, failed: CallFailed) -> AttemptError | None:
    """A lost answer means: park a POST, repeat a PUT, and look at a DELETE's next answer, which may be 404. In
    each case it may still be carried out later, so that its lane is suspect."""
    error = failed.error
    if claim.method == "DELETE" and claim.unknown is not None and error.status in (404, 410):
        return None
    if not failed.unknown:
        return error
    if claim.method != "POST":
        return replace(error, unknown={})
    return replace(
        error,
        code="unknown_outcome",
        detail=f"It was sent, but whether it was applied is unknown: {error.detail}",
        retryable=False,
        unknown={},
    )


def _outcome(error: AttemptError | None) -> str:
    if error is None:
        return DELIVERED
    return FAILED if error.retryable else REJECTED


def _of_claim(claim: Claim) -> dict[str, Any]:
    return {
        "request_id": claim.request_id,
        "content_media_id": claim.content_media_id,
        "method": claim.method,
        "path": claim.path,
    }


def _of_call(step: str, exchange: Exchange | None) -> dict[str, Any]:
    shown = exchange or {}
    return {f"{step}_status": shown.get("status"), f"{step}_ms": shown.get("latencyMs")}
