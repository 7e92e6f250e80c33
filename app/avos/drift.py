"""Planning's PATCHes compared with what AVOS shows of a content media. Pure functions."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from app.avos.comparison import Match, compare, in_section, member_of, overall
from app.avos.paths import section_of
from app.outgoing.model import ABSENT, NewRequest


class DriftState(StrEnum):
    """`not_observable`: nothing that AVOS shows differs, but it doesn't show all fields.
    `unreadable`: it refused to show the content media at all."""

    IN_STEP = "in_step"
    DRIFTED = "drifted"
    NOT_OBSERVABLE = "not_observable"
    UNREADABLE = "unreadable"


_WORDS = {
    Match.EQUAL: DriftState.IN_STEP,
    Match.DIFFERENT: DriftState.DRIFTED,
    Match.NOT_SHOWN: DriftState.NOT_OBSERVABLE,
}


@dataclass(frozen=True, slots=True)
class Compared:
    """One member of one PATCH. `shown` is None where it isn't shown."""

    kind: str
    member: str
    wanted: Any
    shown: Any
    verdict: Match


def compared(requests: Iterable[NewRequest], document: Mapping[str, Any]) -> list[Compared]:
    """Every member that planning has a value for, but those of a PATCH that can't be composed."""
    return [one for request in requests for one in _members(request, document)]


def _members(request: NewRequest, document: Mapping[str, Any]) -> Iterator[Compared]:
    if request.rejected is not None or not request.members:
        return
    section = section_of(request.path)
    part = in_section(document, section)
    for name, verdict in compare(document, request.members, section).items():
        shown = member_of(part, name)
        yield Compared(request.kind, name, request.members[name], None if shown is ABSENT else shown, verdict)


def state_of(members: Sequence[Compared]) -> DriftState:
    """One word for all of them."""
    return _WORDS[overall({f"{one.kind} {one.member}": one.verdict for one in members})]
