"""What a change of an event or a job means: what is refused, what is written, what is queued. Pure.

Rules that planning can rely on, beside those of `plans`:
- a job may come before its event, and stays when its event goes: it counts once the event is there;
- a repeat of what is stored changes nothing, also not which job was updated last; what it asks for is queued again
  only where the request that last asked for it ended undelivered (accept compares).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from app.avos.bodies import PropertyNames
from app.avos.sync import desired
from app.outgoing.model import Acceptance, TimelineNote, Write
from app.planning import commands
from app.planning.keys import PlanningKeys
from app.planning.plans import Plans
from app.planning.records import (
    Body,
    Change,
    ChangeOutcome,
    Ids,
    Record,
    changed,
    event_ids,
    livestream_ids,
)

CANCELED = "canceled"


@dataclass(frozen=True, slots=True)
class Effect:
    """`after`: the states that the change leaves, of what it alters. `acceptance`: what it writes and queues, and the
    guards of all that was relied on."""

    outcome: ChangeOutcome
    after: Plans
    acceptance: Acceptance

    @property
    def is_nothing(self) -> bool:
        """Nothing is written or queued."""
        return not self.acceptance.writes and not self.acceptance.requests


@dataclass(frozen=True, slots=True)
class _Alteration:
    """How records change. `altered`: what takes part in it; `touched`: livestreams that are planned otherwise now.
    `event_known` False: a job whose event isn't there yet."""

    record: Record
    after: Plans
    altered: Ids
    touched: tuple[str, ...]
    writes: tuple[Write, ...]
    event_known: bool = True


def reach(change: Change, plans: Plans) -> set[str]:
    """Livestreams with an active registration whose requests the change may alter."""
    stored = plans.record(change.kind, change.id).body
    if change.kind == "event":
        bodies = [change.body, stored]
    else:
        bodies = [plans.events[one].record.body for one in event_ids(change.body, stored)]
    return {one for body in bodies for one in livestream_ids(body) if plans.registered(one) is not None}


def effect(change: Change, plans: Plans, keys: PlanningKeys, names: PropertyNames) -> Effect:
    """`plans`: all around what the change names. Raises Conflict, PreconditionFailed or NotFound."""
    before = plans.record(change.kind, change.id)
    record = changed(before, change)
    if record is before:
        return _repetition(change, before, plans, keys, names)
    alter = _alter_event if change.kind == "event" else _alter_job
    return _effect(change, plans, alter(change.id, record, plans, keys), keys, names)


# What changes ---------------------------------------------------------------------------------------


def _alter_event(event_id: str, record: Record, plans: Plans, keys: PlanningKeys) -> _Alteration:
    before = plans.events[event_id]
    record = replace(record, revision=before.counter + 1)
    named = livestream_ids(record.body)
    names = {one: one in named for one in (*named, *livestream_ids(before.record.body))}
    states = {one: plans.livestreams[one] for one in names}
    return _Alteration(
        record,
        after=Plans(
            events={event_id: replace(before, counter=before.counter + 1, record=record)},
            livestreams={
                one: replace(state, owners=_counting(state.owners, event_id, counts=names[one]))
                for one, state in states.items()
            },
        ),
        altered=Ids(events=(event_id,), livestreams=tuple(names)),
        touched=tuple(one for one in names if names[one] or states[one].owners[:1] == (event_id,)),
        writes=commands.event_writes(keys, event_id, record, before.record, names),
    )


def _alter_job(job_id: str, record: Record, plans: Plans, keys: PlanningKeys) -> _Alteration:
    before = plans.jobs[job_id]
    record = replace(record, revision=before.revision + 1)
    counts_for = _event_it_counts_for(record.body)
    attached = {one: one == counts_for for one in event_ids(record.body, before.body)}
    states = {one: plans.events[one] for one in attached}
    livestreams = {one: livestream_ids(state.record.body) for one, state in states.items()}
    return _Alteration(
        record,
        after=Plans(
            events={
                one: replace(
                    state,
                    counter=state.counter + 1,
                    jobs=_counting(state.jobs, job_id, counts=attached[one]),
                )
                for one, state in states.items()
            },
            jobs={job_id: record},
        ),
        altered=Ids(tuple(attached), (job_id,), tuple(one for some in livestreams.values() for one in some)),
        touched=tuple(
            one
            for event_id, some in livestreams.items()
            for one in some
            if plans.livestreams[one].owners[:1] == (event_id,)
        ),
        writes=commands.job_writes(keys, job_id, record, before, attached),
        event_known=_event_known(record.body, plans),
    )


def _event_it_counts_for(job: Body | None) -> str | None:
    """The event that a job is attached to, where it isn't canceled."""
    return None if job is None or job.get("status") == CANCELED else str(job["eventId"])


def _event_known(job: Body | None, plans: Plans) -> bool:
    return job is None or plans.events[job["eventId"]].record.exists


def _counting(ids: tuple[str, ...], one: str, *, counts: bool) -> tuple[str, ...]:
    """Put an id first, or take it away."""
    others = tuple(other for other in ids if other != one)
    return (one, *others) if counts else others


# What follows ---------------------------------------------------------------------------------------


def _effect(
    change: Change, plans: Plans, alteration: _Alteration, keys: PlanningKeys, names: PropertyNames
) -> Effect:
    """The two requests of every registered livestream that is touched, and a timeline note each."""
    created = change.body is not None and not plans.record(change.kind, change.id).exists
    verb = _verb(change, created=created)
    wanted = plans.changed(alteration.after).wanted(alteration.touched)
    return Effect(
        ChangeOutcome(change.id, alteration.record, created=created, event_known=alteration.event_known),
        alteration.after,
        Acceptance(
            guards=commands.guards(keys, plans, alteration.altered, [planned for _, planned in wanted]),
            writes=alteration.writes,
            requests=tuple(request for one in wanted for request in desired(*one, names)),
            notes=tuple(
                TimelineNote(registered.content_media_id, verb, {f"{change.kind}Id": change.id})
                for registered, _ in wanted
            ),
        ),
    )


def _repetition(
    change: Change, record: Record, plans: Plans, keys: PlanningKeys, names: PropertyNames
) -> Effect:
    """The requests of a repeated call: a sender who repeats it after a rejection expects another try."""
    livestreams = tuple(sorted(reach(change, plans)))
    wanted = plans.wanted(livestreams)
    known = change.kind == "event" or _event_known(record.body, plans)
    return Effect(
        ChangeOutcome(change.id, record, changed=False, event_known=known),
        Plans(),
        Acceptance(
            guards=commands.guards(
                keys, plans, Ids(livestreams=livestreams), [planned for _, planned in wanted]
            ),
            requests=tuple(request for one in wanted for request in desired(*one, names)),
        ),
    )


def _verb(change: Change, *, created: bool) -> str:
    if change.body is None:
        return f"{change.kind}-deleted"
    if change.kind == "job" and change.body.get("status") == CANCELED:
        return "job-canceled"
    return f"{change.kind}-{'created' if created else 'updated'}"
