"""Somebody else's edits: AVOS shows neither what we delivered last nor what we want to write (domain A4).

What AVOS doesn't show is never one, nor is a write of our own whose answer was lost: its values aren't kept as
delivered, and while one may still land in the lane nothing there is called foreign.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from app.avos.client import Reading
from app.avos.comparison import Match, compare, in_section, member_of, same
from app.avos.paths import section_of
from app.outgoing.decision import AttemptError
from app.outgoing.fields import FieldReader
from app.outgoing.model import ABSENT, Claim, encode
from app.outgoing.store import OutgoingStore

SHOWN_MEMBERS: Final = 20
SHOWN_VALUE: Final = 512  # bytes of JSON; a longer value is told by its beginning

PARKED: Final = AttemptError(
    "foreign_edit", "Somebody else has changed in AVOS what this request would overwrite.", retryable=False
)

Member = dict[str, Any]


class ForeignEdits:
    """`park`: what would overwrite one waits for a person; else it is told, and planning wins."""

    def __init__(self, store: OutgoingStore, *, park: bool) -> None:
        self._store = store
        self._fields = FieldReader(store)
        self._park = park

    def found(self, claim: Claim, reading: Reading) -> list[Member]:
        """Members of this request that somebody else has changed: {name, ours, shown}."""
        place = in_section(reading.document, section_of(claim.path))
        edited = []
        for own in self._fields.own(claim):
            shown = member_of(place, own.name)
            ours = json.loads(own.delivered)
            if shown is ABSENT or same(shown, ours) or same(shown, json.loads(own.wanted)):
                continue
            edited.append({"name": own.name, "ours": ours, "shown": shown})
        return edited

    def may_go_on(
        self, claim: Claim, edited: list[Member], attempt: Mapping[str, Any], *, unknown: bool
    ) -> bool:
        """Tell the world; False where the request was parked for it, with this attempt."""
        told = [
            {"name": member["name"], "ours": brief(member["ours"]), "shown": brief(member["shown"])}
            for member in edited[:SHOWN_MEMBERS]
        ]
        found = {
            "contentMediaId": claim.content_media_id,
            "requestId": claim.request_id,
            "path": claim.path,
            "members": told,
        }
        names = [member["name"] for member in edited]
        return self._store.drifted(claim, names, found, park=self._park, attempt=attempt, unknown=unknown)


def differs(claim: Claim, reading: Reading) -> bool:
    """Whether AVOS shows something else than was delivered last: the quick look, at what the claim knows."""
    known = {name: json.loads(value) for name, value in claim.delivered}
    return Match.DIFFERENT in compare(reading.document, known, section_of(claim.path)).values()


def brief(value: Any) -> Any:
    """A value as events and timelines show it: itself, or the beginning of its JSON where it is long."""
    text = encode(value)
    return value if len(text) <= SHOWN_VALUE else text[:SHOWN_VALUE].decode(errors="ignore") + "…"
