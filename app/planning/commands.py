"""Planning's changes as commands of Redis: what proves that a value is still as it was read, and what writes it. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from app.outgoing.model import Guard, Now, Sequence, Value, Write, encode
from app.planning.keys import PlanningKeys
from app.planning.plans import Plans
from app.planning.records import Ids, Kind, Record, version_text
from app.platform.keys import fold


def guards(keys: PlanningKeys, plans: Plans, relied_on: Ids) -> Iterator[Guard]:
    """These are as they were read: events with all their jobs; jobs; livestreams' registrations, also where there is
    none yet. Who owns a livestream matters only where it is registered."""
    for event_id in relied_on.events:
        yield Guard(("GET", keys.event_revision(event_id)), _number(plans.events[event_id].counter))
    for job_id in relied_on.jobs:
        yield Guard(("HGET", keys.job(job_id), "revision"), _number(plans.jobs[job_id].revision))
    for livestream_id in relied_on.livestreams:
        state = plans.livestreams[livestream_id]
        yield Guard(("HGET", keys.active_by_livestream, livestream_id), state.content_media_id or "")
        if state.content_media_id is not None:
            yield generation_guard(keys, state.content_media_id, state.generation)
            yield owner_guard(keys, plans, livestream_id)


def generation_guard(keys: PlanningKeys, content_media_id: str, generation: int) -> Guard:
    """No registration of the content media has begun or ended."""
    return Guard(("HGET", keys.generations, fold(content_media_id)), _number(generation))


def owner_guard(keys: PlanningKeys, plans: Plans, livestream_id: str) -> Guard:
    """The same event owns the livestream."""
    owners = plans.livestreams[livestream_id].owners
    command = ("ZREVRANGE", keys.livestream_events(livestream_id), "0", "0")
    return Guard(command, owners[0] if owners else "")


def count(key: str, member: str, *, counts: bool) -> Write:
    """In a set ordered by who came last: place a member last, or take it away."""
    return Write("ZADD", key, (Sequence(), member)) if counts else Write("ZREM", key, (member,))


def record_writes(
    keys: PlanningKeys, kind: Kind, identifier: str, record: Record, before: Record
) -> Iterator[Write]:
    """The record as it is from now on. What is left of a deleted one keeps a late call, or an ETag of before, from
    passing for something new."""
    is_event = kind == "event"
    key = keys.event(identifier) if is_event else keys.job(identifier)
    index = keys.events if is_event else keys.jobs
    fields: list[Value] = ["revision", record.revision]
    if record.source_version is not None:
        fields += ["sourceVersion", version_text(record.source_version)]
    if record.body is None:
        yield Write("HSET", key, (*fields, "deletedAt", Now()))
        yield Write("HDEL", key, ("body", "eventId", "createdAt", "updatedAt"))
        yield Write("ZREM", index, (identifier,))
        return
    fields += ["body", encode(record.body), "updatedAt", Now()]
    if "eventId" in record.body:
        fields += ["eventId", record.body["eventId"]]
    if not before.exists:
        fields += ["createdAt", Now()]
        yield Write("ZADD", index, (Sequence(), identifier))
        yield Write("HDEL", key, ("deletedAt",))
    yield Write("HSET", key, tuple(fields))


def _number(stored: int) -> str:
    """As Redis answers: nothing stands for 0."""
    return str(stored) if stored else ""
