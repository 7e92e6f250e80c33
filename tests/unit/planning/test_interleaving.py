"""What another call changes while a batch reads is seen by what the batch queues."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import pytest

from app.outgoing.control import version_path
from app.outgoing.model import digest, guards_text
from app.planning.store import PlanningStore
from app.platform.redis import typed
from app.registrations.records import Pair
from tests.unit.planning.conftest import Services, job_body
from tests.unit.planning.test_batch import event, job

EARLY, LATE = "2026-11-21T16:00:00Z", "2026-11-21T17:00:00Z"


def move_the_job(services: Services) -> None:
    services.planning.put("job", "j-1", job_body(start=LATE), source_version=10)


def move_the_event(services: Services) -> None:
    services.put_event("ev-1", pre_ko="2026-11-21T20:00:00Z")


def add_a_job(services: Services) -> None:
    services.put_job("j-3", event_id="ev-1", start=LATE)


def cancel_the_job(services: Services) -> None:
    services.planning.put("job", "j-1", job_body(status="canceled"), source_version=10)


def register_anew(services: Services) -> None:
    services.registrations.unregister(Pair("L1", "C1"))
    services.register("L1", "C1")


def take_the_livestream(services: Services) -> None:
    services.put_event("ev-8", pre_ko="2026-11-21T21:00:00Z")
    services.put_job("j-8", event_id="ev-8", start=LATE)


MOVES = [move_the_job, move_the_event, add_a_job, cancel_the_job, register_anew, take_the_livestream]


def is_desired(services: Services, content_media_id: str) -> bool:
    """Whether the newest desired values are what planning says now, asked for by the registration that stands."""
    client = typed(services.client)
    for request in services.registrations.preview(content_media_id):
        stored = client.hgetall(services.keys.fields(request.destination, version_path(request)))
        for name, value in (request.members or {}).items():
            wanted = f"!{request.rejected}" if request.rejected else digest(value)
            _, request_id, found = stored[f"v:{name}".encode()].decode().split("|")
            guards = client.hget(services.keys.request(request_id), "guards")
            if (found, guards) != (wanted, guards_text(request.guards).encode()):
                return False
    return True


def prepare(services: Services) -> None:
    """L1 is registered, ev-1 with its job has named it, and ev-9 after it."""
    services.put_event("ev-1")
    services.planning.put("job", "j-1", job_body(), source_version=1)
    services.put_event("ev-2", livestreams=())
    services.register("L1", "C1")
    services.put_event("ev-9")
    services.put_job("j-9", event_id="ev-9")


def after(
    monkeypatch: pytest.MonkeyPatch, method: str, number: int, move: Callable[[], None]
) -> Callable[[], bool]:
    """Have something happen after the store was asked so often; tells whether it was."""
    asked, times = getattr(PlanningStore, method), itertools.count(1)

    def moving(self: PlanningStore, *args: Any) -> Any:
        found = asked(self, *args)
        if next(times) == number:
            with monkeypatch.context() as undisturbed:
                undisturbed.setattr(PlanningStore, method, asked)
                move()
        return found

    monkeypatch.setattr(PlanningStore, method, moving)
    return lambda: next(times) > number


@pytest.mark.parametrize("moment", ["read 1", "read 2", "generations 1"])
@pytest.mark.parametrize("move", MOVES)
def test_what_moves_after_a_read_of_a_batch_is_seen(
    services: Services, monkeypatch: pytest.MonkeyPatch, move: Callable[[Services], None], moment: str
) -> None:
    """The first item gives the livestream back to ev-1, whose job the batch reads before the event; the second one
    would move that job to another event, and is older than what moves it meanwhile."""
    prepare(services)
    method, number = moment.split()
    happened = after(monkeypatch, method, int(number), lambda: move(services))
    dropped = event("ev-9", livestreams=())
    older = job("j-1", event_id="ev-2", start=EARLY, sourceVersion=5)
    services.planning.messages([dropped, older])
    assert happened()
    assert is_desired(services, "C1")


@pytest.mark.parametrize("moment", ["read 1", "read 2", "generations 1"])
def test_a_newer_job_that_comes_while_a_batch_reads_is_not_overwritten(
    services: Services, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    """The batch may have read the job before its event, whose counter then says nothing about the job."""
    prepare(services)
    method, number = moment.split()
    happened = after(monkeypatch, method, int(number), lambda: move_the_job(services))
    older = job("j-1", event_id="ev-2", start=EARLY, sourceVersion=5)
    answers = services.planning.messages([event("ev-9", livestreams=()), older])
    assert happened()
    assert answers[1].status == 409
    kept = services.planning.get("job", "j-1")
    assert kept.source_version == 10
    assert kept.body is not None
    assert (kept.body["eventId"], kept.body["jobInfo"]["jobStart"]) == ("ev-1", LATE)


@pytest.mark.parametrize("moment", ["read 1", "read 2", "read 3", "generations 1"])
@pytest.mark.parametrize("move", MOVES)
def test_what_moves_after_a_read_of_one_call_is_seen(
    services: Services, monkeypatch: pytest.MonkeyPatch, move: Callable[[Services], None], moment: str
) -> None:
    prepare(services)
    method, number = moment.split()
    happened = after(monkeypatch, method, int(number), lambda: move(services))
    services.put_event("ev-9", livestreams=())
    assert happened()
    assert is_desired(services, "C1")


@pytest.mark.parametrize("move", MOVES)
def test_what_moves_before_a_forced_update_is_accepted_is_seen(
    services: Services, move: Callable[[Services], None]
) -> None:
    prepare(services)
    services.put_event("ev-9", livestreams=())
    services.outgoing.before = [lambda: move(services)]
    services.registrations.force_update("C1")
    assert is_desired(services, "C1")
