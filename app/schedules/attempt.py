"""The way of an attempt at the Live API: ask for the action; where the answer says no or is lost, look at the job."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from app.outgoing.attempts import (
    NOTHING,
    Attempt,
    Begin,
    CallFailed,
    Closed,
    Ending,
    Progress,
    Read,
    Send,
)
from app.outgoing.model import Claim
from app.schedules.live_api import LiveJob, named_in

SHARE: Final = 0.6  # of an attempt, for the action: the rest is kept for looking at the job


class LiveApiWay:
    """Asking twice does no harm, so an action whose answer was lost is asked for again."""

    def send(self, claim: Claim) -> Attempt[Ending]:
        """Delivered also where the job is as it should be although the answer was no: it was active, or inactive, already."""
        progress = Progress(claim, unknown=claim.unknown)
        sending = yield from Begin()
        if sending is None:
            return Closed(NOTHING)
        written = yield from Send(claim.method, claim.path, sending, share=SHARE)
        progress.shown["send"] = written.exchange
        if not isinstance(written, CallFailed):
            return progress.result()
        error = replace(written.error, unknown={}) if written.unknown else written.error
        if not written.unknown and not _may_be_so_already(written):
            return progress.result(error)
        path, action = named_in(claim.path)
        reading = yield from Read(path)
        progress.shown["readBack"] = reading.exchange
        if (
            isinstance(reading, CallFailed)
            or action is None
            or not LiveJob.of(reading.document).shows(action)
        ):
            return progress.result(error)
        return progress.result()


def _may_be_so_already(refused: CallFailed) -> bool:
    """An action that the job's state doesn't allow is refused with one of these."""
    return refused.error.status in (400, 409, 412, 422)
