"""Why something isn't sent: pure functions of what was read.

A cause says what is the matter, since when, what happens next by itself, and what a person can do. Commands in backquotes
are those of the command line, without its name.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from app.outgoing.holds import Hold
from app.outgoing.status import DestinationState, DestinationStatus
from app.platform.clock import rfc3339

NOTHING: Final = "Nothing: it goes on by itself."
_TOKEN: Final = "Check the token for AVOS (MEDIAOPS_AVOS_TOKEN) and what it may do there."  # noqa: S105 - no token
_OPENED_BY: Final = {
    "unauthorized": _TOKEN,
    "forbidden": _TOKEN,
    "proxy_auth": "Check the proxy's user and password (HTTP_PROXY, or MEDIAOPS_AVOS_BYPASS_PROXY).",
    "tls": "Check AVOS' certificate and MEDIAOPS_AVOS_CA_FILE.",
}


@dataclass(frozen=True, slots=True)
class Cause:
    """`since`: None where nobody has written it down. `request_id`: the request it is about."""

    code: str
    says: str
    since: datetime | None = None
    next: str = NOTHING
    todo: str = NOTHING
    request_id: str | None = None

    def text(self) -> str:
        """All of it in a row."""
        since = f" Since {rfc3339(self.since)}." if self.since else ""
        todo = "" if self.todo == self.next else f" {self.todo}"
        return f"{self.says}{since} {self.next}{todo}"


@dataclass(frozen=True, slots=True)
class Around:
    """What bears on every request of a lane: its destination, who holds it, whether a write of unknown outcome may
    still land (`suspect`), and which queues nobody works on."""

    destination: DestinationStatus
    lane: str = ""
    hold: Hold | None = None
    suspect: bool = False
    stalled: Sequence[str] = ()
    retry_s: float = 10
    max_age: timedelta = timedelta(days=1)
    grace: timedelta = timedelta(days=1)


def obstacles(around: Around) -> list[Cause]:
    """What keeps everything of the lane from being sent."""
    found = [_paused(around), _held(around), _broken(around), _resting(around), _unworked(around)]
    return [cause for cause in found if cause is not None]


def _paused(around: Around) -> Cause | None:
    destination = around.destination
    if destination.state is not DestinationState.PAUSED:
        return None
    return Cause(
        "paused",
        f"The destination {destination.name} is paused by {destination.paused_by}.",
        destination.paused_at,
        "Nothing is sent to it until it is resumed; nothing is lost or grows old.",
        f"`destinations resume {destination.name}`.",
    )


def _held(around: Around) -> Cause | None:
    if around.hold is None:
        return None
    return Cause(
        "held",
        f"An operator holds its content media{f' ({around.hold.by})' if around.hold.by else ''}.",
        around.hold.since,
        "Planning's changes are kept and wait; nothing of it is sent until it is released.",
        f"`contentmedia release {around.lane}`.",
    )


def _broken(around: Around) -> Cause | None:
    destination = around.destination
    if destination.state is not DestinationState.OPEN:
        return None
    when = (
        f"The next probe goes out at {rfc3339(destination.next_probe_at)}."
        if destination.next_probe_at
        else f"A probe goes out every {around.retry_s:g} s at most."
    )
    unwell = f"See whether {destination.name} is well (`doctor`); nothing has to be done here."
    return Cause(
        "breaker_open",
        f"The breaker of {destination.name} is open: {destination.reason}: {destination.detail or 'no detail.'}",
        destination.opened_at,
        f"{when} The first good answer closes it, and what waits is sent by itself.",
        _OPENED_BY.get(str(destination.reason), unwell),
    )


def _resting(around: Around) -> Cause | None:
    destination = around.destination
    if destination.state is not DestinationState.RESTING or destination.not_before is None:
        return None
    return Cause(
        "resting",
        f"{destination.name} asked to be left alone (Retry-After).",
        None,
        f"Nothing is sent to it until {rfc3339(destination.not_before)}; then it goes on by itself.",
    )


def _unworked(around: Around) -> Cause | None:
    if not around.stalled:
        return None
    return Cause(
        "workers_silent",
        f"Nobody works on the queue {' and '.join(around.stalled)}: no worker process, or one that is frozen.",
        None,
        "What waits is kept, and sent once somebody works again.",
        "`doctor` names the process; `up`, and the health checks of containers, start it again.",
    )


def suspect() -> Cause:
    return Cause(
        "suspect",
        "A write whose answer was lost may still reach AVOS late.",
        None,
        "After the next delivery AVOS is read back one lease later, and what differs is sent again.",
    )
