"""One change of an event or a job, applied to a snapshot: what is refused, what is written, what is queued.

Rules that planning can rely on:
- the event that named a livestream last owns it; when it drops it, the one that named it before does;
- of an event's jobs the one that was updated last and isn't canceled counts;
- a job may come before its event, and stays when its event goes: it counts once the event is there;
- a repeat of what is stored changes nothing, also not which job was updated last; what it asks for is queued again
  only where the request that last asked for it ended undelivered (accept compares).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from app.avos.bodies import PropertyNames
from app.avos.sync import desired
from app.outgoing.model import NewRequest, Now, Sequence, TimelineNote, digest, encode
from app.planning.records import (
    Body,
    ChangeOutcome,
    Record,
    SourceVersion,
    check_if_match,
    check_version,
    newest,
    version_text,
)
from app.planning.snapshot import Snapshot, livestream_ids
from app.planning.store import Kind
from app.platform.errors import NotFound

CANCELED = "canceled"


@dataclass(frozen=True, slots=True)
class Change:
    """A PUT of an event or job, or (without a body) its DELETE."""

    kind: Kind
    id: str
    body: Body | None
    source_version: SourceVersion | None = None
    if_match: str | None = None


def reach(snapshot: Snapshot, change: Change) -> set[str]:
    """Livestreams with an active registration whose requests the change may alter."""
    if change.kind == "event":
        named = [entry["livestreamId"] for entry in (change.body or {}).get("livestreams") or ()]
        candidates = {*named, *livestream_ids(snapshot.event(change.id).record)}
    else:
        candidates = set()
        for event_id in _events_of_job(snapshot.job(change.id), change.body):
            candidates |= set(livestream_ids(snapshot.event(event_id).record))
    snapshot.load(livestreams=candidates)
    return {one for one in candidates if snapshot.registered(one) is not None}


def apply(snapshot: Snapshot, change: Change, names: PropertyNames) -> ChangeOutcome:
    """Check the change, alter the snapshot, collect writes and requests. Raises Conflict,
    PreconditionFailed or NotFound, and has altered nothing then."""
    is_event = change.kind == "event"
    record = snapshot.event(change.id).record if is_event else snapshot.job(change.id)
    check_if_match(record, change.if_match)
    if change.body is None and not record.exists:
        raise NotFound(f"There is no such {change.kind}.")
    check_version(record.source_version, change.source_version)
    version = newest(record.source_version, change.source_version)
    if change.body is not None and version == record.source_version and _same(change.body, record.body):
        known = is_event or snapshot.event(change.body["eventId"]).record.exists
        return _ask_again(
            snapshot, change, ChangeOutcome(change.id, record, changed=False, event_known=known), names
        )
    changed = replace(
        record,
        body=change.body,
        source_version=version,
        created_at=record.created_at if record.exists else None,
        updated_at=None,
        deleted_at=None,
    )
    outcome = _change_event(snapshot, change, changed) if is_event else _change_job(snapshot, change, changed)
    outcome = replace(outcome, created=change.body is not None and not record.exists)
    return _queue(snapshot, change, outcome, names)


def _same(body: Body, stored: Body | None) -> bool:
    """As JSON: to Python true equals 1."""
    return stored is not None and digest(body) == digest(stored)


def _change_event(snapshot: Snapshot, change: Change, record: Record) -> ChangeOutcome:
    before = livestream_ids(snapshot.event(change.id).record)
    after = livestream_ids(record)
    touched = []
    snapshot.load(livestreams=[*before, *after])
    for livestream_id in dict.fromkeys([*after, *before]):
        _guard_livestream(snapshot, livestream_id)
        owners = snapshot.livestream(livestream_id).owners
        if livestream_id in after or owners[:1] == [change.id]:
            touched.append(livestream_id)
        if change.id in owners:
            owners.remove(change.id)
        key = snapshot.keys.livestream_events(livestream_id)
        if livestream_id in after:
            owners.insert(0, change.id)
            snapshot.write("ZADD", key, Sequence(), change.id)
        else:
            snapshot.write("ZREM", key, change.id)
    was_there = snapshot.event(change.id).record.exists
    record = replace(record, revision=snapshot.bump(change.id))
    snapshot.set_event(change.id, record)
    _write_record(
        snapshot, snapshot.keys.event(change.id), snapshot.keys.events, change.id, record, was_there=was_there
    )
    return ChangeOutcome(change.id, record, touched=tuple(touched))


def _change_job(snapshot: Snapshot, change: Change, record: Record) -> ChangeOutcome:
    before = snapshot.job(change.id)
    events = _events_of_job(before, record.body)
    snapshot.load(events=events)
    snapshot.load(
        livestreams=[one for event in events for one in livestream_ids(snapshot.event(event).record)]
    )
    snapshot.guard_job(change.id)
    touched = []
    for event_id in events:
        snapshot.bump(event_id)
        state = snapshot.event(event_id)
        counts = (
            record.body is not None
            and record.body["eventId"] == event_id
            and record.body.get("status") != CANCELED
        )
        if change.id in state.jobs:
            state.jobs.remove(change.id)
        if counts:
            state.jobs.insert(0, change.id)
            snapshot.write("ZADD", snapshot.keys.event_jobs(event_id), Sequence(), change.id)
        else:
            snapshot.write("ZREM", snapshot.keys.event_jobs(event_id), change.id)
        for livestream_id in livestream_ids(state.record):
            _guard_livestream(snapshot, livestream_id)
            if snapshot.livestream(livestream_id).owners[:1] == [event_id]:
                touched.append(livestream_id)
    record = replace(record, revision=before.revision + 1)
    snapshot.set_job(change.id, record)
    _write_record(
        snapshot, snapshot.keys.job(change.id), snapshot.keys.jobs, change.id, record, was_there=before.exists
    )
    known = record.body is None or snapshot.event(record.body["eventId"]).record.exists
    return ChangeOutcome(change.id, record, touched=tuple(touched), event_known=known)


def _events_of_job(before: Record, body: Body | None) -> list[str]:
    """The event that the job is attached to, and the one that it was attached to."""
    bodies = [one for one in (body, before.body) if one is not None]
    return list(dict.fromkeys(one["eventId"] for one in bodies))


def _guard_livestream(snapshot: Snapshot, livestream_id: str) -> None:
    """A registration that appears in between is noticed; who owns it matters only where there is one."""
    snapshot.guard_registration(livestream_id)
    if snapshot.registered(livestream_id) is not None:
        snapshot.guard_owner(livestream_id)


def _write_record(
    snapshot: Snapshot, key: str, index: str, identifier: str, record: Record, *, was_there: bool
) -> None:
    fields: list[Any] = ["revision", record.revision]
    if record.source_version is not None:
        fields += ["sourceVersion", version_text(record.source_version)]
    if record.body is None:
        # What is left keeps a late call, or an ETag of before, from passing for something new.
        snapshot.write("HSET", key, *fields, "deletedAt", Now())
        snapshot.write("HDEL", key, "body", "eventId", "createdAt", "updatedAt")
        snapshot.write("ZREM", index, identifier)
        return
    fields += ["body", encode(record.body), "updatedAt", Now()]
    if "eventId" in record.body:
        fields += ["eventId", record.body["eventId"]]
    if not was_there:
        fields += ["createdAt", Now()]
        snapshot.write("ZADD", index, Sequence(), identifier)
        snapshot.write("HDEL", key, "deletedAt")
    snapshot.write("HSET", key, *fields)


def _ask_again(
    snapshot: Snapshot, change: Change, outcome: ChangeOutcome, names: PropertyNames
) -> ChangeOutcome:
    """The requests of a repeated call: a sender who repeats it after a rejection expects another try."""
    requests: list[NewRequest] = []
    for livestream_id in sorted(reach(snapshot, change)):
        registered = snapshot.registered(livestream_id)
        if registered is not None:
            _guard_livestream(snapshot, livestream_id)
            requests += desired(registered, snapshot.planned(livestream_id), names)
    snapshot.requests += requests
    return replace(outcome, request_ids=tuple(request.id for request in requests))


def _queue(snapshot: Snapshot, change: Change, outcome: ChangeOutcome, names: PropertyNames) -> ChangeOutcome:
    """The two requests of every registered livestream that the change may reach, and a timeline note each."""
    requests: list[NewRequest] = []
    media = []
    for livestream_id in outcome.touched:
        registered = snapshot.registered(livestream_id)
        if registered is None:
            continue
        requests += desired(registered, snapshot.planned(livestream_id), names)
        media.append(registered.content_media_id)
        snapshot.notes.append(
            TimelineNote(
                registered.content_media_id,
                f"{change.kind}-{_verb(change, outcome)}",
                {f"{change.kind}Id": change.id},
            )
        )
    snapshot.requests += requests
    return replace(outcome, request_ids=tuple(request.id for request in requests), touched=tuple(media))


def _verb(change: Change, outcome: ChangeOutcome) -> str:
    if change.body is None:
        return "deleted"
    if change.kind == "job" and change.body.get("status") == CANCELED:
        return CANCELED
    return "created" if outcome.created else "updated"
