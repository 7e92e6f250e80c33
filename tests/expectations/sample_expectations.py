"""What AVOS must show, field by field, once the sample plan is in step; and what must be refused or rejected.

Written from what planning and AVOS say of themselves, not from the implementation: it imports nothing from `app`.
It reads the three files of `deploy/sample/`: the plan, the registrations made after it, the changes sent
after those.

A body is composed from what planning holds at the end of a stage. What a later body leaves out stays at
AVOS as it was, and so does everything when the later body can't be composed.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from tests.expectations.avos_bodies import CannotBeComposed, booking, source

SAMPLE = Path(__file__).parents[2] / "deploy" / "sample"

Body = dict[str, Any]
Message = dict[str, Any]
Desired = tuple[Body | str, Body | str]  # booking and source, or the code that keeps it from being composed
_FULL_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)?\Z")


@dataclass(frozen=True)
class Shown:
    """One registered content media: what AVOS must hold, and which requests must stand rejected, by kind.

    `booking` None: not one booking PATCH can be composed. `open_kinds`: this domain says nothing of what becomes of
    the request of that kind (its body is what AVOS holds already).
    """

    content_media_id: str
    livestream_id: str
    booking: Body
    source: Body
    rejected: Mapping[str, str]
    open_kinds: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Refused:
    """A registration that must not be made."""

    livestream_id: str
    content_media_id: str
    status: int
    detail: str | None  # the exact text, where the requirement gives one


@dataclass(frozen=True)
class RowAnswer:
    """The answer to one row of changes.ndjson: its status, and whether it queues anything.

    `queues` None: the row only takes values away, which AVOS can't be shown; either will do.
    """

    status: int
    queues: bool | None


@dataclass
class Planning:
    """What planning's messages add up to, in the order in which they came."""

    events: dict[str, Body] = field(default_factory=dict)
    jobs: dict[str, Body] = field(default_factory=dict)  # in the order of their last update
    owners: dict[str, str] = field(default_factory=dict)  # livestream → the event that named it last

    def apply(self, message: Message) -> bool:
        """Take one message in; False for one that is older than what is known."""
        known = self.events if message["type"] == "event" else self.jobs
        body, before = message["body"], known.get(message["id"])
        if before is not None and _older(body.get("sourceVersion"), before.get("sourceVersion")):
            return False
        if before == body:
            return True  # a repeat isn't an update
        known.pop(message["id"], None)
        known[message["id"]] = body
        if message["type"] == "event":
            self._own(message["id"], body)
        return True

    def _own(self, event_id: str, body: Body) -> None:
        named = {consumer["livestreamId"] for consumer in body.get("livestreams") or ()}
        for livestream_id, owner in list(self.owners.items()):
            if owner == event_id and livestream_id not in named:
                del self.owners[livestream_id]
        self.owners |= dict.fromkeys(named, event_id)

    def job_of(self, event_id: str) -> Body | None:
        """The job that counts: updated last, not canceled."""
        counting = [
            job for job in self.jobs.values() if job["eventId"] == event_id and job["status"] != "canceled"
        ]
        return counting[-1] if counting else None

    def compose(self, livestream_id: str, event_id: str) -> Desired:
        """The booking and the source body for a registered livestream; a code where one can't be composed."""
        event, job = self.events[event_id], self.job_of(event_id)
        made: list[Body | str] = []
        for composer in (booking, source):
            try:
                made.append(composer(event, job, livestream_id))
            except CannotBeComposed as why:
                made.append(why.code)
        return made[0], made[1]


class SampleExpectations:
    """Everything that follows from the sample files. `shift_days` is what the import shifts times by."""

    def __init__(self, folder: Path = SAMPLE, *, shift_days: int = 0) -> None:
        self.plan = [_shifted(message, shift_days) for message in _lines(folder / "plan.ndjson")]
        self.changes = [_shifted(message, shift_days) for message in _lines(folder / "changes.ndjson")]
        listed = json.loads((folder / "registrations.json").read_text(encoding="utf-8"))
        self.registrations: list[dict[str, str]] = listed["registrations"]
        planning = Planning()
        stale = [message["id"] for message in self.plan if not planning.apply(message)]
        if stale:
            raise ValueError(f"the sample plan holds messages that must be refused: {stale}")
        self.refused = [_refusal(planning, self.registrations, pair) for pair in listed["refused"]]
        self._events = {
            pair["livestreamId"]: planning.owners[pair["livestreamId"]] for pair in self.registrations
        }
        self.registered = self._settled(planning, {})
        self.answers: list[RowAnswer] = []
        for message in self.changes:
            before = self._desired(planning)
            taken = planning.apply(message)
            self.answers.append(RowAnswer(200 if taken else 409, _queues(before, self._desired(planning))))
        self.changed = self._settled(planning, self.registered)

    def _desired(self, planning: Planning) -> list[Desired]:
        return [planning.compose(livestream_id, event_id) for livestream_id, event_id in self._events.items()]

    def _settled(self, planning: Planning, before: Mapping[str, Shown]) -> dict[str, Shown]:
        """By content media, once every request has been delivered or rejected."""
        shown = {}
        for pair in self.registrations:
            livestream_id, content_media_id = pair["livestreamId"], pair["contentMediaId"]
            event_id = self._events[livestream_id]
            bodies = dict(zip(("booking", "source"), planning.compose(livestream_id, event_id), strict=True))
            earlier = before.get(content_media_id)
            held = {
                "booking": earlier.booking if earlier else {},
                "source": earlier.source if earlier else {},
            }
            for kind, body in bodies.items():
                held[kind] = held[kind] | body if isinstance(body, dict) else held[kind]
            dropped = planning.owners.get(livestream_id) != event_id
            shown[content_media_id] = Shown(
                content_media_id,
                livestream_id,
                held["booking"],
                held["source"],
                {kind: body for kind, body in bodies.items() if isinstance(body, str)},
                frozenset({"booking"} if dropped else ()),
            )
        return shown


def _queues(before: list[Desired], after: list[Desired]) -> bool | None:
    pairs = [
        (old, new)
        for two, other in zip(before, after, strict=True)
        for old, new in zip(two, other, strict=True)
    ]
    changed = [(old, new) for old, new in pairs if old != new]
    if not changed:
        return False
    only_less = all(
        isinstance(old, dict) and isinstance(new, dict) and new.items() <= old.items() for old, new in changed
    )
    return None if only_less else True


def _refusal(
    planning: Planning, registrations: Iterable[Mapping[str, str]], pair: Mapping[str, str]
) -> Refused:
    """Livestream found, then event has a job, then the conflict of links."""
    livestream_id, content_media_id = pair["livestreamId"], pair["contentMediaId"]
    if content_media_id in ("", ".", ".."):
        return Refused(livestream_id, content_media_id, 400, None)
    event_id = planning.owners.get(livestream_id)
    if event_id is None:
        return Refused(livestream_id, content_media_id, 404, "Livestream not found")
    if planning.job_of(event_id) is None:
        return Refused(livestream_id, content_media_id, 404, "Event has no Job attached")
    folded = content_media_id.casefold()
    if any(
        (one["livestreamId"] == livestream_id) != (one["contentMediaId"].casefold() == folded)
        for one in registrations
    ):
        return Refused(livestream_id, content_media_id, 400, "Content Media Already Registered")
    raise ValueError(f"listed as refused, yet nothing speaks against it: {pair}")


def differences(expected: Shown, document: Mapping[str, Any]) -> list[str]:
    """Where a document that AVOS shows differs from what it must show; empty when it doesn't.

    Keys are read without regard to case, times are compared as instants, all else as it stands. A field that was
    never sent must not be there.
    """
    media = _folded(_folded(document).get("technicalmedia") or {}).get("sourcemedia") or {}
    found = _compare(
        expected.booking, ("bookingPreKOStartTime", "bookingStartTime", "eventEndTime"), document
    )
    found += _compare(expected.source, ("txEventType", "heSourceChannelId", "heSourceAddresses"), media)
    return [f"{expected.content_media_id}: {text}" for text in found]


def _compare(expected: Mapping[str, Any], names: Iterable[str], document: Mapping[str, Any]) -> list[str]:
    shown = _folded(document)
    found = []
    for name in names:
        want, got = expected.get(name), shown.get(name.casefold())
        same = _instant(want) == _instant(got) if name.endswith("Time") else want == got
        if not same:
            found.append(f"{name} must be {want!r} and is {got!r}")
    return found


def _instant(value: Any) -> datetime | None:
    if value is None:
        return None
    instant = datetime.fromisoformat(value)
    return instant if instant.tzinfo else instant.replace(tzinfo=UTC)


def _folded(document: Mapping[str, Any]) -> dict[str, Any]:
    return {name.casefold(): value for name, value in document.items()}


def _older(given: Any, known: Any) -> bool:
    if given is None or known is None:
        return False
    if isinstance(given, str) and isinstance(known, str):
        return datetime.fromisoformat(given) < datetime.fromisoformat(known)
    return int(given) < int(known)


def _lines(path: Path) -> list[Message]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def _shifted(value: Any, days: int) -> Any:
    """Every time in a message, that many days later; `sourceVersion` is no time of the plan and stays."""
    if isinstance(value, dict):
        return {name: one if name == "sourceVersion" else _shifted(one, days) for name, one in value.items()}
    if isinstance(value, list):
        return [_shifted(one, days) for one in value]
    if days and isinstance(value, str) and _FULL_TIME.match(value):
        return (datetime.fromisoformat(value) + timedelta(days=days)).isoformat()
    return value
