"""Planning's changes as commands of Redis: what proves that a value is still as it was read, and what writes it. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from app.avos.sync import Planned
from app.outgoing.model import Guard, Now, Sequence, Value, Write, encode
from app.planning.keys import PlanningKeys
from app.planning.plans import Plans, relied_on
from app.planning.records import Ids, Record, union, version_text
from app.platform.keys import fold


def guards(
    keys: PlanningKeys, plans: Plans, altered: Ids, planned: Iterable[Planned] = ()
) -> tuple[Guard, ...]:
    """What is altered, and what requests are computed from, is as it was read: events with all their jobs; jobs;
    livestreams' registrations, also where there is none yet. Who owns a livestream matters only where it is registered."""
    relied = union([altered, relied_on(planned)])
    events = (
        Guard(("GET", keys.event_revision(one)), _number(plans.events[one].counter)) for one in relied.events
    )
    jobs = (
        Guard(("HGET", keys.job(one), "revision"), _number(plans.jobs[one].revision)) for one in relied.jobs
    )
    livestreams = (guard for one in relied.livestreams for guard in _livestream_guards(keys, plans, one))
    return (*events, *jobs, *livestreams)


def _livestream_guards(keys: PlanningKeys, plans: Plans, livestream_id: str) -> tuple[Guard, ...]:
    state = plans.livestreams[livestream_id]
    registered = Guard(("HGET", keys.active_by_livestream, livestream_id), state.content_media_id or "")
    if state.content_media_id is None:
        return (registered,)
    generation = generation_guard(keys, state.content_media_id, state.generation)
    return registered, generation, owner_guard(keys, plans, livestream_id)


def generation_guard(keys: PlanningKeys, content_media_id: str, generation: int) -> Guard:
    """No registration of the content media has begun or ended."""
    return Guard(("HGET", keys.generations, fold(content_media_id)), _number(generation))


def owner_guard(keys: PlanningKeys, plans: Plans, livestream_id: str) -> Guard:
    """The same event owns the livestream."""
    owners = plans.livestreams[livestream_id].owners
    command = ("ZREVRANGE", keys.livestream_events(livestream_id), "0", "0")
    return Guard(command, owners[0] if owners else "")


def event_writes(
    keys: PlanningKeys, event_id: str, record: Record, before: Record, names: Mapping[str, bool]
) -> tuple[Write, ...]:
    """`names`: livestreams, and whether the event names them from now on."""
    return (
        *(_count(keys.livestream_events(one), event_id, counts=counts) for one, counts in names.items()),
        Write("INCR", keys.event_revision(event_id)),
        *_record_writes(keys.event(event_id), keys.events, event_id, record, before),
    )


def job_writes(
    keys: PlanningKeys, job_id: str, record: Record, before: Record, events: Mapping[str, bool]
) -> tuple[Write, ...]:
    """`events`: those that the job was or is attached to, and whether it counts for them from now on."""
    return (
        *(Write("INCR", keys.event_revision(one)) for one in events),
        *(_count(keys.event_jobs(one), job_id, counts=counts) for one, counts in events.items()),
        *_record_writes(keys.job(job_id), keys.jobs, job_id, record, before),
    )


def _count(key: str, member: str, *, counts: bool) -> Write:
    """In a set ordered by who came last: place a member last, or take it away."""
    return Write("ZADD", key, (Sequence(), member)) if counts else Write("ZREM", key, (member,))


def _record_writes(
    key: str, index: str, identifier: str, record: Record, before: Record
) -> tuple[Write, ...]:
    """The record as it is from now on. What is left of a deleted one keeps a late call, or an ETag of before, from
    passing for something new."""
    fields: list[Value] = ["revision", record.revision]
    if record.source_version is not None:
        fields += ["sourceVersion", version_text(record.source_version)]
    if record.body is None:
        return (
            Write("HSET", key, (*fields, "deletedAt", Now())),
            Write("HDEL", key, ("body", "eventId", "createdAt", "updatedAt")),
            Write("ZREM", index, (identifier,)),
        )
    fields += ["body", encode(record.body), "updatedAt", Now()]
    if "eventId" in record.body:
        fields += ["eventId", record.body["eventId"]]
    if before.exists:
        return (Write("HSET", key, tuple(fields)),)
    return (
        Write("ZADD", index, (Sequence(), identifier)),
        Write("HDEL", key, ("deletedAt",)),
        Write("HSET", key, (*fields, "createdAt", Now())),
    )


def _number(stored: int) -> str:
    """As Redis answers: nothing stands for 0."""
    return str(stored) if stored else ""
