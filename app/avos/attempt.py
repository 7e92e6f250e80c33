"""The way of an attempt at AVOS: GET its lastModified, PATCH under it, and find out what happened.

What belongs to one attempt is here: fresh conditions after a 409 or 412, and reading back after a
lost answer. Whether a request is tried again later is decided by the outgoing package.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import Final

from app.avos.comparison import Match, compare, overall
from app.avos.foreign_edits import PARKED, differs, find_edits, note
from app.avos.paths import get_path_for, section_of
from app.outgoing.attempts import (
    NOTHING,
    REJECTED,
    Attempt,
    Begin,
    CallFailed,
    Closed,
    Ending,
    Prepared,
    Progress,
    R,
    Read,
    ReadDelivered,
    Reading,
    Send,
    Written,
)
from app.outgoing.decision import AttemptError
from app.outgoing.model import Claim, Sending

ROUNDS: Final = 5  # PATCHes of one attempt: 409/412 answers, and one repetition after a lost answer
# Of what is left of an attempt, for one PATCH: the rest is kept for reading back when its answer is
# lost.
SHARE: Final = 0.6
_CONFLICT: Final = AttemptError(
    "conflict", f"{ROUNDS} times somebody else wrote between our GET and our PATCH."
)


class _Over(Exception):
    """The attempt is over, wherever in it that was found out."""

    def __init__(self, ending: Ending) -> None:
        super().__init__()
        self.ending = ending


@dataclass(frozen=True, slots=True)
class AvosWay:
    """`park`: a request that would overwrite somebody else's edit waits for a person; else planning
    wins."""

    park: bool = False

    def prepare(self, claim: Claim) -> Attempt[Prepared | Ending]:
        """GET lastModified, and look whether somebody else has changed what was delivered."""
        return _until_over(self._prepare(Progress(claim, unknown=claim.unknown)))

    def patch(self, claim: Claim, prepared: Prepared) -> Attempt[Ending]:
        """PATCH until it is answered 2xx or shown to have been applied."""
        progress = Progress(claim, {"get": prepared.exchange}, unknown=claim.unknown)
        return _until_over(self._patch(progress, prepared.last_modified))

    def send(self, claim: Claim) -> Attempt[Ending]:
        """Send it as it is."""
        return _until_over(_send(Progress(claim, unknown=claim.unknown)))

    def _prepare(self, progress: Progress) -> Attempt[Prepared | Ending]:
        reading = yield from _read(progress, "get")
        if progress.claim.delivered and differs(progress.claim, reading):
            yield from self._look_for_edits(progress, "get", reading)
        return Prepared(reading.last_modified, progress.shown["get"])

    def _patch(self, progress: Progress, last_modified: str) -> Attempt[Ending]:
        if progress.unknown is not None:  # by an earlier attempt: compare before writing
            last_modified = yield from _compare(progress, last_modified)
        for _ in range(ROUNDS):
            sending = yield from _begin(last_modified)
            written = yield from _write(progress, last_modified, sending)
            if isinstance(written, CallFailed):
                reading = yield from self._after_lost_answer(progress, sending, written)
            elif written.conflict:
                reading = yield from self._after_conflict(progress, sending)
            else:
                return progress.result()
            last_modified = reading.last_modified
        return progress.result(_CONFLICT)

    def _after_conflict(self, progress: Progress, sending: Sending) -> Attempt[Reading]:
        """The reading for the next PATCH. After a lost answer it may be our own write that is in
        the way."""
        progress.next_round()
        reading = yield from _read(progress, "get")
        if progress.unknown is not None:
            _end_if_applied(progress, reading, sending)
        yield from self._look_for_edits(progress, "get", reading)
        return reading

    def _after_lost_answer(self, progress: Progress, sending: Sending, lost: CallFailed) -> Attempt[Reading]:
        """The reading for the next PATCH, of which there is one. When AVOS can't be read either,
        `lost` stands."""
        reading = yield from _read(progress, "readBack", otherwise=lost)
        _end_if_applied(progress, reading, sending)
        yield from self._look_for_edits(progress, "readBack", reading)
        if progress.suspect:  # it was sent again already
            raise _Over(progress.result(lost.error))
        progress.suspect = True
        progress.next_round(get=progress.shown["readBack"])
        return reading

    def _look_for_edits(self, progress: Progress, step: str, reading: Reading) -> Attempt[None]:
        """AVOS shows something unexpected: was it somebody else?"""
        own = yield from ReadDelivered()
        edits = find_edits(progress.claim, reading, own)
        if not edits:
            return
        progress.shown[step] = {**reading.exchange, "edited": [edit.name for edit in edits]}
        if not (yield from note(progress, edits, park=self.park)):
            raise _Over(Closed(REJECTED, PARKED.code))


def _until_over(attempt: Attempt[R]) -> Attempt[R | Ending]:
    try:
        return (yield from attempt)
    except _Over as over:
        return over.ending


def _send(progress: Progress) -> Attempt[Ending]:
    claim = progress.claim
    sending = yield from _begin(None)
    written = yield from Send(claim.method, claim.path, sending)
    progress.shown["send"] = written.exchange
    return progress.result(_of_other_method(claim, written) if isinstance(written, CallFailed) else None)


def _compare(progress: Progress, last_modified: str) -> Attempt[str]:
    """Look whether a write of an earlier attempt was applied, before there is another; the fresh
    lastModified."""
    sending = yield from _begin(last_modified)
    reading = yield from _read(progress, "readBack")
    _end_if_applied(progress, reading, sending)
    progress.next_round(get=reading.exchange)
    return reading.last_modified


def _begin(last_modified: str | None) -> Attempt[Sending]:
    sending = yield from Begin(last_modified)
    if sending is None:
        raise _Over(Closed(NOTHING))
    return sending


def _read(progress: Progress, step: str, *, otherwise: CallFailed | None = None) -> Attempt[Reading]:
    """`otherwise`: with which failure the attempt ends when this reading fails; None: with its
    own."""
    reading = yield from Read(get_path_for(progress.claim.path))
    progress.shown[step] = reading.exchange
    if isinstance(reading, CallFailed):
        raise _Over(progress.result((otherwise or reading).error))
    return reading


def _write(progress: Progress, last_modified: str, sending: Sending) -> Attempt[Written | CallFailed]:
    """One PATCH. A failure that is returned leaves open whether it was applied."""
    written = yield from Send("PATCH", progress.claim.path, sending, last_modified, SHARE)
    progress.shown["send"] = written.exchange
    if isinstance(written, CallFailed):
        if not written.unknown:
            raise _Over(progress.result(written.error))
        progress.unknown = {"members": [name for name, _ in sending.members], "lastModified": last_modified}
    return written


def _end_if_applied(progress: Progress, reading: Reading, sending: Sending) -> None:
    """The attempt has delivered where the document shows all that was to be sent."""
    members = {name: json.loads(value) for name, value in sending.members}
    verdict = overall(compare(reading.document, members, section_of(progress.claim.path)))
    progress.shown["shown"] = verdict.value
    if verdict is Match.EQUAL:
        raise _Over(progress.result())


def _of_other_method(claim: Claim, failed: CallFailed) -> AttemptError | None:
    """A lost answer means: park a POST, repeat a PUT, and look at a DELETE's next answer, which may
    be 404. In each case it may still be carried out later, so that its lane is suspect."""
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
