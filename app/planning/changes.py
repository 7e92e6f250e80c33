"""What a change of an event or a job means: what is refused, what is written, what is queued. Pure.

Rules that planning can rely on, beside those of `plans`:
- a job may come before its event, and stays when its event goes: it counts once the event is there;
- a repeat of what is stored changes nothing, also not which job was updated last; what it asks for is queued again
  only where the request that last asked for it ended undelivered (accept compares).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from app.avos.bodies import PropertyNames
from app.avos.sync import Planned, Registered, desired
from app.outgoing.model import Acceptance, TimelineNote, Write, digest
from app.planning import commands
from app.planning.keys import PlanningKeys
from app.planning.plans import Plans, relied_on
from app.planning.records import (
    Body,
    Change,
    ChangeOutcome,
    Ids,
    Record,
    check_if_match,
    check_version,
    event_ids,
    livestream_ids,
    newest,
    union,
)
from app.platform.errors import NotFound

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
    """How records change. `altered`: what takes part in it; `touched`: livestreams that are planned otherwise now."""

    record: Record
    after: Plans
    altered: Ids
    touched: tuple[str, ...]
    writes: tuple[Write, ...]


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
    check_if_match(before, change.if_match)
    if change.body is None and not before.exists:
        raise NotFound(f"There is no such {change.kind}.")
    check_version(before.source_version, change.source_version)
    version = newest(before.source_version, change.source_version)
    if change.body is not None and version == before.source_version and _same(change.body, before.body):
        return _repetition(change, before, plans, keys, names)
    record = replace(
        before,
        body=change.body,
        source_version=version,
        created_at=before.created_at if before.exists else None,
        updated_at=None,
        deleted_at=None,
    )
    alter = _alter_event if change.kind == "event" else _alter_job
    return _effect(change, plans, alter(change, record, plans, keys), keys, names)


def _same(body: Body, stored: Body | None) -> bool:
    """As JSON: to Python true equals 1."""
    return stored is not None and digest(body) == digest(stored)


def _event_known(change: Change, plans: Plans) -> bool:
    return change.kind == "event" or all(plans.events[one].record.exists for one in change.names.events)


# What changes ---------------------------------------------------------------------------------------


def _alter_event(change: Change, record: Record, plans: Plans, keys: PlanningKeys) -> _Alteration:
    before = plans.events[change.id]
    named = livestream_ids(record.body)
    livestreams = tuple(dict.fromkeys([*named, *livestream_ids(before.record.body)]))
    states = {one: plans.livestreams[one] for one in livestreams}
    record = replace(record, revision=before.counter + 1)
    return _Alteration(
        record,
        after=Plans(
            events={change.id: replace(before, counter=before.counter + 1, record=record)},
            livestreams={
                one: replace(state, owners=_counting(state.owners, change.id, counts=one in named))
                for one, state in states.items()
            },
        ),
        altered=Ids(events=(change.id,), livestreams=livestreams),
        touched=tuple(one for one in livestreams if one in named or states[one].owners[:1] == (change.id,)),
        writes=(
            *(
                commands.count(keys.livestream_events(one), change.id, counts=one in named)
                for one in livestreams
            ),
            Write("INCR", keys.event_revision(change.id)),
            *commands.record_writes(keys, "event", change.id, record, before.record),
        ),
    )


def _alter_job(change: Change, record: Record, plans: Plans, keys: PlanningKeys) -> _Alteration:
    before = plans.jobs[change.id]
    record = replace(record, revision=before.revision + 1)
    attached = event_ids(record.body, before.body)
    counts_for = _event_it_counts_for(record.body)
    states = {one: plans.events[one] for one in attached}
    livestreams = {one: livestream_ids(state.record.body) for one, state in states.items()}
    return _Alteration(
        record,
        after=Plans(
            events={
                one: replace(
                    state,
                    counter=state.counter + 1,
                    jobs=_counting(state.jobs, change.id, counts=one == counts_for),
                )
                for one, state in states.items()
            },
            jobs={change.id: record},
        ),
        altered=Ids(attached, (change.id,), tuple(one for some in livestreams.values() for one in some)),
        touched=tuple(
            one
            for event_id, some in livestreams.items()
            for one in some
            if plans.livestreams[one].owners[:1] == (event_id,)
        ),
        writes=(
            *(Write("INCR", keys.event_revision(one)) for one in attached),
            *(commands.count(keys.event_jobs(one), change.id, counts=one == counts_for) for one in attached),
            *commands.record_writes(keys, "job", change.id, record, before),
        ),
    )


def _event_it_counts_for(job: Body | None) -> str | None:
    """The event that a job is attached to, where it isn't canceled."""
    return None if job is None or job.get("status") == CANCELED else str(job["eventId"])


def _counting(ids: tuple[str, ...], one: str, *, counts: bool) -> tuple[str, ...]:
    """Put an id first, or take it away."""
    others = tuple(other for other in ids if other != one)
    return (one, *others) if counts else others


# What follows ---------------------------------------------------------------------------------------


def _effect(
    change: Change, plans: Plans, alteration: _Alteration, keys: PlanningKeys, names: PropertyNames
) -> Effect:
    """The two requests of every registered livestream that is touched, and a timeline note each."""
    after = plans.changed(alteration.after)
    created = change.body is not None and not plans.record(change.kind, change.id).exists
    verb = _verb(change, created=created)
    asked = _asked(alteration.touched, after)
    return Effect(
        ChangeOutcome(change.id, alteration.record, created=created, event_known=_event_known(change, after)),
        alteration.after,
        Acceptance(
            guards=tuple(
                commands.guards(
                    keys, plans, union([alteration.altered, relied_on(planned for _, planned in asked)])
                )
            ),
            writes=alteration.writes,
            requests=tuple(request for one in asked for request in desired(*one, names)),
            notes=tuple(
                TimelineNote(registered.content_media_id, verb, {f"{change.kind}Id": change.id})
                for registered, _ in asked
            ),
        ),
    )


def _repetition(
    change: Change, record: Record, plans: Plans, keys: PlanningKeys, names: PropertyNames
) -> Effect:
    """The requests of a repeated call: a sender who repeats it after a rejection expects another try."""
    livestreams = tuple(sorted(reach(change, plans)))
    asked = _asked(livestreams, plans)
    relied = union([Ids(livestreams=livestreams), relied_on(planned for _, planned in asked)])
    return Effect(
        ChangeOutcome(change.id, record, changed=False, event_known=_event_known(change, plans)),
        Plans(),
        Acceptance(
            guards=tuple(commands.guards(keys, plans, relied)),
            requests=tuple(request for one in asked for request in desired(*one, names)),
        ),
    )


def _asked(livestreams: Iterable[str], plans: Plans) -> list[tuple[Registered, Planned]]:
    """Those that are registered, with what planning says about them."""
    registered = ((plans.registered(one), one) for one in livestreams)
    return [(found, plans.planned(one)) for found, one in registered if found is not None]


def _verb(change: Change, *, created: bool) -> str:
    if change.body is None:
        return f"{change.kind}-deleted"
    if change.kind == "job" and change.body.get("status") == CANCELED:
        return "job-canceled"
    return f"{change.kind}-{'created' if created else 'updated'}"
