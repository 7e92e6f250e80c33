"""What planning says: events, jobs and livestreams as they were read, by id. Values, and pure functions of them.

- The event that named a livestream last owns it; when it drops it, the one that named it before does.
- Of an event's jobs the one that was updated last and isn't canceled counts.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from app.avos.sync import Planned, Registered
from app.planning.records import Ids, Kind, Record, event_ids, livestream_ids

_CANDIDATES = 2  # who counts, and who counts once that one is gone


@dataclass(frozen=True, slots=True)
class EventState:
    """`counter` moves with every change of the event or of a job attached to it. `jobs`: those attached that aren't
    canceled, the one updated last first; that one counts."""

    counter: int = 0
    record: Record = field(default_factory=Record)
    jobs: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class LivestreamState:
    """`owners`: the events that name it, the last to do so first; that one counts. `content_media_id` and `generation`
    are those of its active registration."""

    owners: tuple[str, ...] = ()
    content_media_id: str | None = None
    generation: int = 0


@dataclass(frozen=True, slots=True)
class Plans:
    """What is known of some ids. Asking for one that wasn't read is a mistake and raises KeyError."""

    events: Mapping[str, EventState] = field(default_factory=dict)
    jobs: Mapping[str, Record] = field(default_factory=dict)
    livestreams: Mapping[str, LivestreamState] = field(default_factory=dict)

    def record(self, kind: Kind, identifier: str) -> Record:
        """One event or job; without a body where there is none."""
        return self.events[identifier].record if kind == "event" else self.jobs[identifier]

    def registered(self, livestream_id: str) -> Registered | None:
        """The livestream's active registration."""
        state = self.livestreams[livestream_id]
        if state.content_media_id is None:
            return None
        return Registered(livestream_id, state.content_media_id, state.generation)

    def planned(self, livestream_id: str) -> Planned:
        """The event that owns the livestream, and its job that counts."""
        owner = next(iter(self.livestreams[livestream_id].owners), None)
        if owner is None:
            return Planned()
        event = self.events[owner]
        job_id = next(iter(event.jobs), None)
        job = None if job_id is None else self.jobs[job_id].body
        return Planned(owner, event.record.body, job_id, job)

    def wanted(self, livestreams: Iterable[str]) -> tuple[tuple[Registered, Planned], ...]:
        """Those of these livestreams that are registered, with what planning says about them."""
        found = ((self.registered(one), one) for one in livestreams)
        return tuple((registered, self.planned(one)) for registered, one in found if registered is not None)

    def changed(self, newer: Plans) -> Plans:
        """These, with what the newer ones know."""
        return Plans(
            {**self.events, **newer.events},
            {**self.jobs, **newer.jobs},
            {**self.livestreams, **newer.livestreams},
        )

    def around(self, named: Ids) -> Ids:
        """What is named, and what that refers to as far as it is known by now: the event of a job; the livestreams of
        an event, and its jobs; the events that name a livestream, and their jobs. Of jobs and owners the first two:
        one change takes away one at most."""
        events = (*named.events, *event_ids(*(self.jobs[one].body for one in named.jobs if one in self.jobs)))
        stored = (livestream_ids(self.events[one].record.body) for one in events if one in self.events)
        livestreams = (*named.livestreams, *(one for some in stored for one in some))
        found = (self.livestreams[one].owners for one in livestreams if one in self.livestreams)
        events = (*events, *(owner for owners in found for owner in owners[:_CANDIDATES]))
        attached = (self.events[one].jobs[:_CANDIDATES] for one in events if one in self.events)
        jobs = (*named.jobs, *(job for some in attached for job in some))
        return Ids(*(tuple(dict.fromkeys(ids)) for ids in (events, jobs, livestreams)))


def relied_on(planned: Iterable[Planned]) -> Ids:
    """The events and jobs that requests are computed from. An event's counter says that its jobs are those that were
    read with it; a batch may have read a job before its event, so each job is proved by its own revision."""
    planned = list(planned)
    return Ids(
        events=tuple(one.event_id for one in planned if one.event_id is not None),
        jobs=tuple(one.job_id for one in planned if one.job_id is not None),
    )
