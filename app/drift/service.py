"""Looking at one content media: what would be sent now beside what AVOS shows, and what follows from a difference."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, Final

from app.avos.client import AvosClient
from app.avos.comparison import Match
from app.avos.drift import Compared, DriftState, compared, state_of
from app.avos.foreign_edits import brief
from app.avos.repair import drifted, repetition
from app.drift.preview import AvosAnswer, Preview, preview
from app.drift.results import Difference, DriftResult, DriftResults, Reason
from app.outgoing.attempts import CallFailed, Reading
from app.outgoing.control import version_path
from app.outgoing.errors import Again
from app.outgoing.fields import Field, FieldReader
from app.outgoing.model import AVOS, Acceptance, NewRequest, TimelineNote, digest, encode, new_id
from app.outgoing.store import LaneSummary, OutgoingStore
from app.platform.clock import from_ms
from app.platform.cursors import Page, decode_text, encode_text
from app.platform.errors import Conflict
from app.platform.keys import fold
from app.registrations.service import RegistrationService

LONGEST_GET_S: Final = 5.0


class Busy(Conflict):
    """What differs now says nothing: something is on its way, or just was."""

    code, title = "content_media_busy", "Content Media Busy"


class DriftService:
    """`timeout_s` bounds one GET; `heal`: queue again what planning wants where AVOS shows something else. All methods
    raise Unavailable while the store is away."""

    def __init__(
        self,
        outgoing: OutgoingStore,
        registrations: RegistrationService,
        client: AvosClient,
        timeout_s: float,
        *,
        heal: bool = False,
    ) -> None:
        self._outgoing = outgoing
        self._registrations = registrations
        self._client = client
        self._timeout_s = timeout_s
        self._heal = heal
        self._fields = FieldReader(outgoing)
        self.results = DriftResults(outgoing.client, outgoing.keys)

    # Looking --------------------------------------------------------------------------------------

    def preview(self, content_media_id: str) -> Preview:
        """What a forced update would send now, beside what AVOS shows. Raises NotFound."""
        requests = self._registrations.preview(content_media_id)
        media = requests[0].content_media_id or content_media_id
        seen: Sequence[Compared] = ()
        try:
            reading = self._read(media)
        except CallFailed as failed:
            answer = _answer(failed.exchange, error=_reason(failed))
        else:
            seen = compared(requests, reading.document)
            answer = _answer(reading.exchange, reading.last_modified)
        return preview(media, requests, answer, seen, self._lane(media))

    def page(self, state: DriftState | None, limit: int, cursor: str | None = None) -> Page[DriftResult]:
        """What was found last at registered content media, by id."""
        states = tuple(DriftState) if state is None else (state,)
        found, last = self.results.page(states, limit, decode_text(cursor) if cursor else "")
        return Page(found, encode_text(last) if last else None)

    # Checking -------------------------------------------------------------------------------------

    def check(self, content_media_id: str) -> DriftResult:
        """Compare now, keep what was found, publish a new drift and heal it where that is set. Raises NotFound, Busy,
        and CallFailed while AVOS is away."""
        self._refuse_if_busy(content_media_id)
        wanted = self._registrations.forced(content_media_id)
        if all(request.rejected for request in wanted.requests):
            raise Busy(
                "Planning has nothing to compare: neither PATCH can be composed.", code="nothing_planned"
            )
        media = wanted.requests[0].content_media_id or content_media_id
        try:
            document = self._read(media).document
        except CallFailed as failed:
            if failed.error.destination_fault:
                raise
            return self._keep(wanted, self._result(wanted, DriftState.UNREADABLE, error=_reason(failed)))
        members = compared(wanted.requests, document)
        state = state_of(members)
        if state is DriftState.DRIFTED:  # or was something sent while we looked?
            self._refuse_if_busy(media)
            if not _same(wanted, self._registrations.forced(media)):
                raise Busy("Planning has changed it meanwhile.")
        return self._keep(wanted, self._result(wanted, state, members))

    def _keep(self, wanted: Acceptance, result: DriftResult) -> DriftResult:
        """Write down what was found, with what follows from it: all of it, or nothing."""
        before, published = self.results.before(result.content_media_id)
        if before is not None and before.state is result.state:
            result = replace(result, since=before.since)
            if before.drift == result.drift:
                result = replace(result, healing=before.healing)
        follows = Acceptance()
        if result.state is DriftState.IN_STEP:
            follows = _ended(result) if published else follows
            published = ""
        elif result.drift and result.drift != published:
            follows = self._drifted(wanted, result)
            still = self.results.unchanged(result.content_media_id, published)
            follows = replace(follows, guards=(*follows.guards, still))
            result = replace(result, healing=tuple(request.id for request in follows.requests))
            published = result.drift
        writes = (*follows.writes, *self.results.writes(result, published))
        try:
            self._outgoing.accept(replace(follows, writes=writes))
        except Again:
            raise Busy("It has changed while it was looked at.") from None
        return result

    def _drifted(self, wanted: Acceptance, result: DriftResult) -> Acceptance:
        """The event, the note, and where it is set the PATCHes that heal it."""
        media = result.content_media_id
        again = self._healing(wanted, result) if self._heal else Acceptance()
        members = [{"name": one.member, "wanted": one.wanted, "shown": one.shown} for one in result.members]
        names = [one.member for one in result.members]
        notes = [TimelineNote(media, "drifted", {"members": names})]
        if again.requests:
            sent = [name for request in again.requests for name in request.members or ()]
            notes.append(TimelineNote(media, "healed", {"cause": "audit", "different": names, "sent": sent}))
        healed = bool(again.requests)
        happening = drifted(media, "audit", members, livestreamId=result.livestream_id, healed=healed)
        return replace(
            again,
            guards=(*again.guards, *(wanted.guards if healed else ())),
            happenings=(happening,),
            notes=tuple(notes),
        )

    def _healing(self, wanted: Acceptance, result: DriftResult) -> Acceptance:
        """The members that differ, where planning's value is the newest that anybody has asked for."""
        different = {(one.kind, one.member) for one in result.members}
        found = self._fields.of(AVOS, [version_path(request) for request in wanted.requests])
        again: list[tuple[NewRequest, Mapping[str, Field]]] = []
        for request, fields in zip(wanted.requests, found, strict=True):
            members = {
                name: value
                for name, value in (request.members or {}).items()
                if (request.kind, name) in different and _desired(fields.get(name), value)
            }
            if members:
                again.append((replace(request, members=members, id=new_id()), fields))
        return repetition(self._outgoing.keys, again)

    def _result(
        self,
        wanted: Acceptance,
        state: DriftState,
        members: Sequence[Compared] = (),
        error: Reason | None = None,
    ) -> DriftResult:
        booking = wanted.requests[0]
        now = from_ms(self._outgoing.time_ms())
        return DriftResult(
            content_media_id=booking.content_media_id or "",
            livestream_id=booking.livestream_id,
            event_id=booking.event_id,
            state=state,
            checked_at=now,
            since=now,
            members=tuple(
                Difference(one.kind, one.member, brief(one.wanted), brief(one.shown))
                for one in members
                if one.verdict is Match.DIFFERENT
            ),
            not_shown=tuple(one.member for one in members if one.verdict is Match.NOT_SHOWN),
            error=error,
        )

    def now(self) -> datetime:
        """The server's clock."""
        return from_ms(self._outgoing.time_ms())

    def _refuse_if_busy(self, content_media_id: str) -> None:
        lane = self._lane(content_media_id)
        for stands, why in (
            (lane.behind, "requests of it are waiting or under way"),
            (lane.failing, "a request of it has failed, or ended undelivered"),
            (lane.held, "an operator holds it"),
        ):
            if stands:
                raise Busy(f"What AVOS shows says nothing now: {why}. Its preview shows what there is.")

    def _lane(self, content_media_id: str) -> LaneSummary:
        return self._outgoing.lane_summaries(AVOS, [fold(content_media_id)])[0]

    def _read(self, content_media_id: str) -> Reading:
        seconds = min(LONGEST_GET_S, self._timeout_s)
        began = time.monotonic()
        reading = self._client.show(content_media_id, timeout_s=seconds)
        reading.exchange.setdefault("latencyMs", round((time.monotonic() - began) * 1000, 1))
        return reading


def _answer(
    exchange: Mapping[str, Any], last_modified: str | None = None, error: Reason | None = None
) -> AvosAnswer:
    return AvosAnswer(exchange.get("status"), exchange.get("latencyMs"), last_modified, error)


def _reason(failed: CallFailed) -> Reason:
    return Reason(failed.error.code, failed.error.detail)


def _ended(result: DriftResult) -> Acceptance:
    return Acceptance(notes=(TimelineNote(result.content_media_id, "drift-ended", {}),))


def _same(left: Acceptance, right: Acceptance) -> bool:
    """Whether two computations want the same, as JSON: to Python true equals 1."""

    def wanted(of: Acceptance) -> list[Any]:
        return [
            (r.path, r.rejected, {name: digest(value) for name, value in (r.members or {}).items()})
            for r in of.requests
        ]

    return wanted(left) == wanted(right)


def _desired(field: Field | None, value: Any) -> bool:
    return field is None or not field.version or field.desires(encode(value))
