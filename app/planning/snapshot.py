"""What planning says now, read once and changed in memory as changes are accepted.

A change takes what it needs from here, notes as a guard every value that it relies on *before* it alters
anything, and collects its writes. `accept` then proves the guards and writes, or asks for another round.
After a successful accept the snapshot is what Redis holds, so that a batch reads once and accepts many times.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime

from app.avos.sync import Planned, Registered
from app.outgoing.model import Acceptance, Guard, NewRequest, TimelineNote, Value, Write
from app.planning.records import Record
from app.planning.store import EventState, LivestreamState, PlanningStore
from app.platform.keys import fold


class Snapshot:
    """See the module. One thread, one batch."""

    def __init__(self, store: PlanningStore) -> None:
        self._store = store
        self.keys = store.keys
        self._events: dict[str, EventState] = {}
        self._jobs: dict[str, Record] = {}
        self._livestreams: dict[str, LivestreamState] = {}
        self._unstamped: list[tuple[str, str]] = []
        self.begin()

    def begin(self) -> None:
        """Start collecting the next acceptance."""
        self._guards: dict[tuple[str, ...], str] = {}
        self.writes: list[Write] = []
        self.requests: list[NewRequest] = []
        self.notes: list[TimelineNote] = []

    def acceptance(self) -> Acceptance:
        """What was collected since `begin`."""
        return Acceptance(
            guards=tuple(Guard(command, expected) for command, expected in self._guards.items()),
            writes=tuple(self.writes),
            requests=tuple(self.requests),
            notes=tuple(self.notes),
        )

    # Reading --------------------------------------------------------------------------------------

    def load(
        self, *, events: Iterable[str] = (), jobs: Iterable[str] = (), livestreams: Iterable[str] = ()
    ) -> None:
        """Read what of these isn't here yet, in one round trip, or none."""
        new_events = [one for one in dict.fromkeys(events) if one not in self._events]
        new_jobs = [one for one in dict.fromkeys(jobs) if one not in self._jobs]
        new_livestreams = [one for one in dict.fromkeys(livestreams) if one not in self._livestreams]
        if not (new_events or new_jobs or new_livestreams):
            return
        found_events, found_jobs, found_livestreams = self._store.read(new_events, new_jobs, new_livestreams)
        self._events.update(zip(new_events, found_events, strict=True))
        self._jobs.update(zip(new_jobs, found_jobs, strict=True))
        self._livestreams.update(zip(new_livestreams, found_livestreams, strict=True))
        unread = [state for state in found_livestreams if state.content_media_id is not None]
        media = [state.content_media_id or "" for state in unread]
        for state, generation in zip(unread, self._store.generations(media) if media else [], strict=True):
            state.generation = generation

    def load_around(self) -> None:
        """Read what the records here refer to, so that changing one by one needs no further round trips:
        the events of jobs, the livestreams of events, the owners of livestreams, the jobs that count."""
        for _ in range(3):  # job → event → livestream → the event that owns it
            owners = (state.owners[:2] for state in self._livestreams.values())
            self.load(
                events=[
                    *(job.body["eventId"] for job in self._jobs.values() if job.body),
                    *(owner for some in owners for owner in some),
                ],
                jobs=[job for state in self._events.values() for job in state.jobs[:2]],
                livestreams=[one for state in self._events.values() for one in livestream_ids(state.record)],
            )

    def event(self, event_id: str) -> EventState:
        self.load(events=[event_id])
        return self._events[event_id]

    def job(self, job_id: str) -> Record:
        self.load(jobs=[job_id])
        return self._jobs[job_id]

    def livestream(self, livestream_id: str) -> LivestreamState:
        self.load(livestreams=[livestream_id])
        return self._livestreams[livestream_id]

    def registered(self, livestream_id: str) -> Registered | None:
        """The livestream's active registration."""
        state = self.livestream(livestream_id)
        if state.content_media_id is None:
            return None
        return Registered(livestream_id, state.content_media_id, state.generation or 0)

    def planned(self, livestream_id: str) -> Planned:
        """The event that owns the livestream, and its job that counts; each guarded by its own revision."""
        self.guard_owner(livestream_id)
        owners = self.livestream(livestream_id).owners
        if not owners:
            return Planned()
        self.guard_event(owners[0])
        state = self.event(owners[0])
        job_id = state.jobs[0] if state.jobs else None
        if job_id is None:
            return Planned(owners[0], state.record.body)
        # The event's counter says that its jobs are as they were when it was read; a batch may have read this one before.
        self.guard_job(job_id)
        return Planned(owners[0], state.record.body, job_id, self.job(job_id).body)

    # Guards: each notes what stands in Redis, so it comes before the change ------------------------

    def guard(self, command: tuple[str, ...], expected: str) -> None:
        """The first word counts: what an earlier change of this acceptance altered isn't in Redis yet."""
        self._guards.setdefault(command, expected)

    def guard_event(self, event_id: str) -> None:
        """The event and all its jobs are as they were read."""
        counter = self.event(event_id).counter
        self.guard(("GET", self.keys.event_revision(event_id)), str(counter) if counter else "")

    def guard_job(self, job_id: str) -> None:
        revision = self.job(job_id).revision
        self.guard(("HGET", self.keys.job(job_id), "revision"), str(revision) if revision else "")

    def guard_registration(self, livestream_id: str) -> None:
        """The livestream's registration is the one that was read, or there is still none."""
        media = self.livestream(livestream_id).content_media_id
        self.guard(("HGET", self.keys.active_by_livestream, livestream_id), media or "")
        registered = self.registered(livestream_id)
        if registered is not None:
            self.guard_generation(registered.content_media_id, registered.generation)

    def guard_generation(self, content_media_id: str, generation: int) -> None:
        self.guard(
            ("HGET", self.keys.generations, fold(content_media_id)), str(generation) if generation else ""
        )

    def guard_owner(self, livestream_id: str) -> None:
        owners = self.livestream(livestream_id).owners
        key = self.keys.livestream_events(livestream_id)
        self.guard(("ZREVRANGE", key, "0", "0"), owners[0] if owners else "")

    # Changes --------------------------------------------------------------------------------------

    def write(self, command: str, key: str, *args: Value) -> None:
        self.writes.append(Write(command, key, args))

    def set_event(self, event_id: str, record: Record) -> None:
        self._events[event_id].record = record
        self._unstamped.append(("event", event_id))

    def set_job(self, job_id: str, record: Record) -> None:
        self._jobs[job_id] = record
        self._unstamped.append(("job", job_id))

    def bump(self, event_id: str) -> int:
        """Move the event's counter; its new value."""
        self.guard_event(event_id)
        self.write("INCR", self.keys.event_revision(event_id))
        self._events[event_id].counter += 1
        return self._events[event_id].counter

    def accepted(self, at: datetime) -> None:
        """What was collected is in Redis since `at`: give the changed records their times and begin anew."""
        for kind, identifier in self._unstamped:
            if kind == "event":
                self._events[identifier].record = stamped(self._events[identifier].record, at)
            else:
                self._jobs[identifier] = stamped(self._jobs[identifier], at)
        self._unstamped.clear()
        self.begin()


def livestream_ids(record: Record) -> list[str]:
    """The livestreams that an event names, in its order."""
    return [entry["livestreamId"] for entry in (record.body or {}).get("livestreams") or ()]


def stamped(record: Record, at: datetime) -> Record:
    """The record with the time of its acceptance where it has none yet."""
    if not record.exists:
        return record if record.deleted_at else replace(record, deleted_at=at)
    return replace(record, created_at=record.created_at or at, updated_at=record.updated_at or at)
