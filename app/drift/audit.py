"""The audit: round after round, every content media whose event is near is compared with AVOS, a few a tick.

Its load is bounded: one GET after another, at most 50 a tick; none behind an open breaker or a pause, or while requests
take nearly all places in flight. A round that can't be done in its interval takes longer; nothing is skipped for it.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from app.avos.readback import READABLE
from app.drift.results import Round
from app.drift.service import Busy, DriftService
from app.outgoing.attempts import CallFailed
from app.outgoing.model import AVOS
from app.outgoing.service import RequestService
from app.platform.clock import to_ms
from app.platform.errors import NotFound
from app.platform.keys import fold
from app.platform.log import get_logger
from app.registrations.records import Pair
from app.registrations.service import RegistrationService

MOST_GETS: Final = 50  # of one tick
AFTER_END: Final = timedelta(hours=6)  # an event still counts as near
_FASTER: Final = 1.25  # than the interval asks for, so that a tick cut short is made up for
_FREE_ABOVE: Final = 0.9  # of what may be in flight
_KEEP_ROUNDS: Final = 3
_KEEP_AT_LEAST: Final = timedelta(hours=1)

log = get_logger()


@dataclass(frozen=True, slots=True)
class Schedule:
    """`interval_s`: from the start of one round to the next; `tick_s`: how often the tick comes; `window`: how
    long before its kick-off an event counts as near."""

    interval_s: float
    tick_s: float
    window: timedelta


class DriftAudit:
    """Raises Unavailable while the store is away."""

    def __init__(
        self,
        service: DriftService,
        registrations: RegistrationService,
        requests: RequestService,
        schedule: Schedule,
    ) -> None:
        self._service = service
        self._registrations = registrations
        self._requests = requests
        self._schedule = schedule

    def tick(self) -> int:
        """Go on with the round, or begin one that is due; how many content media were compared."""
        now = self._service.now()
        before = self._service.results.round()
        if before.cursor is None:
            if before.started_at is not None and now < before.started_at + self._interval:
                return 0
            before = Round(cursor="", started_at=now, ended_at=before.ended_at)
        if not self._may_read():
            return 0
        after = self._go_on(before, now)
        self._service.results.keep_round(after)
        return after.compared - before.compared

    @property
    def _interval(self) -> timedelta:
        return timedelta(seconds=self._schedule.interval_s)

    def _may_read(self) -> bool:
        """Whether AVOS can be asked just now: it is well, and sending has places left."""
        avos = self._requests.destination(AVOS)
        return avos.state in READABLE and avos.live < avos.max_in_flight * _FREE_ABOVE

    def _go_on(self, now: Round, at: datetime) -> Round:
        pairs = sorted(self._registrations.active(), key=lambda pair: fold(pair.content_media_id))
        rest = [pair for pair in pairs if fold(pair.content_media_id) > (now.cursor or "")]
        share = len(pairs) * self._schedule.tick_s / self._schedule.interval_s
        some = rest[: max(1, math.ceil(share * _FASTER))]
        until = time.monotonic() + self._schedule.tick_s * 0.6
        gets = 0
        for pair, near in zip(some, self._near(some, at), strict=True):
            if gets >= MOST_GETS or (gets and time.monotonic() >= until):  # at least one, however slow we are
                return now
            media = fold(pair.content_media_id)
            try:
                done = self._compare(pair) if near else None
            except CallFailed as failed:  # AVOS is away: no more of it now
                log.info("drift audit broken off", content_media_id=media, code=failed.error.code)
                return replace(now, cursor=media, skipped=now.skipped + 1)
            gets += 1 if near else 0
            compared, skipped = (0, 0) if done is None else (int(done), int(not done))
            now = replace(now, cursor=media, compared=now.compared + compared, skipped=now.skipped + skipped)
        return now if len(some) < len(rest) else self._end(now, pairs)

    def _compare(self, pair: Pair) -> bool:
        """False: it is busy, or no longer registered."""
        try:
            self._service.check(pair.content_media_id)
        except (Busy, NotFound):
            return False
        return True

    def _near(self, pairs: list[Pair], at: datetime) -> list[bool]:
        """From the window before its kick-off until some hours after its end. What has neither time isn't near."""

        def near(kick_off: datetime | None, end: datetime | None) -> bool:
            begins, ends = kick_off or end, end or kick_off
            if begins is None or ends is None:
                return False
            return begins - at <= self._schedule.window and at - ends <= AFTER_END

        return [near(*times) for times in self._registrations.times(pairs)] if pairs else []

    def _end(self, now: Round, pairs: list[Pair]) -> Round:
        ended = self._service.now()
        active = {fold(pair.content_media_id) for pair in pairs}
        kept = max(_KEEP_ROUNDS * self._interval, _KEEP_AT_LEAST)
        self._service.results.forget(but=active, older_than_ms=to_ms(ended - kept))
        log.info("drift audit round", compared=now.compared, skipped=now.skipped)
        return replace(now, cursor=None, ended_at=ended)
