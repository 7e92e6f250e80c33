"""Edits by somebody else: AVOS shows neither what we delivered last nor what we want to write.
Pure functions.

A member that AVOS doesn't show is never one. Neither is a write of our own whose answer was lost:
its values aren't kept as delivered, and while it may still be applied later no value of its lane is
called an edit.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from app.avos.comparison import Match, compare, in_section, member_of, same
from app.avos.paths import section_of
from app.outgoing.attempts import NoteForeignEdit, Own, Progress, Reading
from app.outgoing.decision import AttemptError
from app.outgoing.model import ABSENT, Claim, encode

SHOWN_MEMBERS: Final = 20
SHOWN_VALUE: Final = 512  # bytes of JSON; of a longer value its beginning is shown

PARKED: Final = AttemptError(
    "foreign_edit", "Somebody else has changed in AVOS what this request would overwrite.", retryable=False
)


@dataclass(frozen=True, slots=True)
class Edit:
    """A member that somebody else has changed: what we delivered, and what AVOS shows."""

    name: str
    ours: Any
    shown: Any


def differs(claim: Claim, reading: Reading) -> bool:
    """Whether AVOS shows something else than was delivered last: the quick look, at what the claim
    knows."""
    known = {name: json.loads(value) for name, value in claim.delivered}
    return Match.DIFFERENT in compare(reading.document, known, section_of(claim.path)).values()


def find_edits(claim: Claim, reading: Reading, own: Iterable[Own]) -> list[Edit]:
    """Members of this request that somebody else has changed."""
    section = in_section(reading.document, section_of(claim.path))
    edits = []
    for member in own:
        shown = member_of(section, member.name)
        ours = json.loads(member.delivered)
        if shown is ABSENT or same(shown, ours) or same(shown, json.loads(member.wanted)):
            continue
        edits.append(Edit(member.name, ours, shown))
    return edits


def note(progress: Progress, edits: Sequence[Edit], *, park: bool) -> NoteForeignEdit:
    """The step that publishes and records them; with `park` the attempt so far is the record's
    last."""
    claim = progress.claim
    members = [
        {"name": edit.name, "ours": brief(edit.ours), "shown": brief(edit.shown)}
        for edit in edits[:SHOWN_MEMBERS]
    ]
    event = {
        "contentMediaId": claim.content_media_id,
        "requestId": claim.request_id,
        "path": claim.path,
        "members": members,
    }
    names = tuple(edit.name for edit in edits)
    return NoteForeignEdit(names, event, park, progress.entry(PARKED), progress.unknown is not None)


def brief(value: Any) -> Any:
    """A value as events and timelines show it: itself, or the beginning of its JSON where it is
    long."""
    text = encode(value)
    return value if len(text) <= SHOWN_VALUE else text[:SHOWN_VALUE].decode(errors="ignore") + "…"
