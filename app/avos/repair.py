"""Sending again what AVOS has lost or never got, through the normal queue and never past a newer
value.

A forced PATCH is accepted only while each of its members' newest desired values is still the one
that was compared. Where one has changed, the request that has changed it sends it. AVOS shows no
value of ours there now, so what was delivered last is forgotten too: otherwise the PATCH would take
what AVOS shows for an edit by somebody else a second time.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from app.avos.foreign_edits import SHOWN_MEMBERS, brief
from app.outgoing.control import version_path
from app.outgoing.fields import Field
from app.outgoing.keys import OutgoingKeys
from app.outgoing.model import Acceptance, Guard, Happening, NewRequest, Write

TOPIC: Final = "sync-operations"
DRIFTED: Final = "sync-drifted"


def repetition(keys: OutgoingKeys, requests: Iterable[tuple[NewRequest, Mapping[str, Field]]]) -> Acceptance:
    """These PATCHes, each with the fields of its path as they were read."""
    made: list[NewRequest] = []
    guards: list[Guard] = []
    writes: list[Write] = []
    for request, fields in requests:
        key = keys.fields(request.destination, version_path(request))
        names = list(request.members or {})
        made.append(request)
        guards += [
            Guard(("HGET", key, f"v:{name}"), fields[name].version if name in fields else "")
            for name in names
        ]
        writes.append(Write("HDEL", key, tuple(f"d:{name}" for name in names)))
    return Acceptance(guards=tuple(guards), writes=tuple(writes), requests=tuple(made))


def drifted(
    content_media_id: str | None, cause: str, members: Iterable[Mapping[str, Any]], **more: Any
) -> Happening:
    """The event that AVOS shows something else than it should: `members` with name, wanted and
    shown; `cause` is `late_write` (an old write of ours was applied after a newer one) or
    `audit`."""
    shown = [
        {**member, "wanted": brief(member["wanted"]), "shown": brief(member["shown"])} for member in members
    ]
    fields = {"cause": cause, "members": shown[:SHOWN_MEMBERS], **more}
    if content_media_id is not None:
        fields["contentMediaId"] = content_media_id
    return Happening(TOPIC, DRIFTED, fields)
