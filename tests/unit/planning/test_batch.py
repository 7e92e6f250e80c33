"""Many messages in one call."""

from __future__ import annotations

from typing import Any

import pytest

from app.outgoing.model import Idempotency
from app.platform.errors import Unavailable, Unprocessable
from tests.unit.planning.conftest import Rooms, event_body, job_body


def event(event_id: str = "ev-1", **members: Any) -> dict[str, Any]:
    return {"type": "event", "id": event_id, "body": event_body(**members)}


def job(job_id: str = "j-1", **members: Any) -> dict[str, Any]:
    return {"type": "job", "id": job_id, "body": job_body(**members)}


def away() -> None:
    raise Unavailable("The store is not reachable; try again.", code="store_unavailable")


def test_items_are_answered_one_by_one_in_their_order(rooms: Rooms) -> None:
    answers = rooms.planning.messages([event(), job(), event()])
    assert [(one["index"], one["status"], one["created"]) for one in answers] == [
        (0, 200, True),
        (1, 200, True),
        (2, 200, False),
    ]
    assert all(one["requestIds"] == [] for one in answers)


def test_a_bad_item_names_its_field_and_spoils_no_other(rooms: Rooms) -> None:
    bad = event("ev-2")
    bad["body"]["livestreams"][0]["livestreamId"] = 7
    answers = rooms.planning.messages([event(), bad, {"type": "match"}, "text", job()])
    assert [one["status"] for one in answers] == [200, 400, 400, 400, 200]
    assert answers[1]["field"] == "messages[1].body.livestreams[0].livestreamId"
    assert answers[1]["errors"][0]["detail"].startswith("messages[1].body.livestreams[0].livestreamId: ")
    assert {error["detail"].split(":")[0] for error in answers[2]["errors"]} == {
        "messages[2].type",
        "messages[2].id",
        "messages[2].body",
    }
    assert answers[3]["field"] == "messages[3]"


def test_a_job_of_an_unknown_event_says_so(rooms: Rooms) -> None:
    assert rooms.planning.messages([job()])[0]["eventKnown"] is False
    assert "eventKnown" not in rooms.planning.messages([event(), job("j-2")])[1]


def test_an_older_version_is_refused_also_within_one_batch(rooms: Rooms) -> None:
    newer, older = event(name="new", sourceVersion=2), event(name="old", sourceVersion=1)
    answers = rooms.planning.messages([newer, older])
    assert [one["status"] for one in answers] == [200, 409]
    assert answers[1]["code"] == "source_version_older"
    assert rooms.planning.get("event", "ev-1").body == event_body(name="new")


def test_each_item_has_the_requests_that_it_queued(rooms: Rooms) -> None:
    for number in (1, 2):
        rooms.planning.messages(
            [event(f"ev-{number}", livestreams=(f"L{number}",)), job(f"j-{number}", event_id=f"ev-{number}")]
        )
        rooms.register(f"L{number}", f"C{number}")
    answers = rooms.planning.messages(
        [
            event("ev-1", livestreams=("L1",), pre_ko="2026-11-21T20:00:00Z"),
            event("ev-2", livestreams=("L2",), pre_ko="2026-11-21T20:00:00Z"),
            job("j-2", event_id="ev-2", start="2026-11-21T17:00:00Z"),
        ]
    )
    records = [rooms.requests(one["requestIds"]) for one in answers]
    assert [[one["contentMediaId"] for one in some] for some in records] == [["C1"], ["C2"], ["C2"]]


def test_a_kick_off_moved_there_and_back_in_one_batch_ends_with_the_last(rooms: Rooms) -> None:
    rooms.planned_and_registered()
    times = ["2026-11-21T20:00:00Z", "2026-11-21T21:00:00Z", "2026-11-21T20:00:00Z"]
    answers = rooms.planning.messages([event(pre_ko=time) for time in times])
    assert [len(one["requestIds"]) for one in answers] == [1, 1, 1]
    ids = [one["requestIds"][0] for one in answers]
    records = rooms.requests(ids)
    assert [one["state"] for one in records] == ["superseded", "superseded", "pending"]
    assert records[2]["body:bookingPreKOStartTime"] == f'"{times[2]}"'


def test_a_batch_costs_few_accepts(rooms: Rooms) -> None:
    messages = [event(f"ev-{number}", livestreams=(f"L{number}",)) for number in range(200)]
    rooms.planning.messages(messages)
    assert rooms.outgoing.accepts == 8
    assert [name for name, _ in rooms.planning.page("event", 1000).items] == [
        f"ev-{number}" for number in range(200)
    ]


def test_many_jobs_of_one_event_in_one_batch_leave_the_last_that_counts(rooms: Rooms) -> None:
    rooms.planned_and_registered()
    jobs = [job(f"j-{number}") for number in range(150)]
    rooms.planning.messages([*jobs, *(job(f"j-{number}", status="canceled") for number in range(149, 2, -1))])
    moved = rooms.put_event(pre_ko="2026-11-21T20:00:00Z")
    assert rooms.requests(moved.request_ids)[0]["jobId"] == "j-2"


def test_jobs_that_a_batch_cancels_leave_the_older_one_that_counts_within_it(rooms: Rooms) -> None:
    rooms.put_event()
    for number in range(6):
        rooms.put_job(f"j-{number}", start=f"2026-11-21T1{number}:00:00Z")
    rooms.register()
    answers = rooms.planning.messages([job(f"j-{number}", status="canceled") for number in range(5, 0, -1)])
    for number, answer in zip(range(4, -1, -1), answers, strict=True):
        [booking] = [one for one in rooms.requests(answer["requestIds"]) if one["kind"] == "booking"]
        assert booking["jobId"] == f"j-{number}"
        assert booking["body:bookingStartTime"] == f'"2026-11-21T1{number}:00:00Z"'


def test_a_batch_that_takes_a_livestream_from_many_events_gives_it_back_to_the_one_before(
    rooms: Rooms,
) -> None:
    rooms.planned_and_registered()
    for number in range(2, 8):
        rooms.put_event(f"ev-{number}")
        rooms.put_job(f"j-{number}", event_id=f"ev-{number}", start=f"2026-11-21T1{number}:00:00Z")
    before = rooms.outgoing.accepts
    answers = rooms.planning.messages([event(f"ev-{number}", livestreams=()) for number in range(7, 1, -1)])
    assert rooms.outgoing.accepts - before == len(answers)  # one each, none in vain
    found = [rooms.requests(answer["requestIds"])[0]["eventId"] for answer in answers]
    assert found == [*(f"ev-{number}" for number in range(6, 1, -1)), "ev-1"]


def test_what_moves_in_between_is_computed_again(rooms: Rooms) -> None:
    rooms.planned_and_registered()
    rooms.outgoing.before = [lambda: rooms.put_job(start="2026-11-21T17:00:00Z")]
    answers = rooms.planning.messages([event(pre_ko="2026-11-21T20:00:00Z")])
    [record] = rooms.requests(answers[0]["requestIds"])
    assert record["body:bookingStartTime"] == '"2026-11-21T17:00:00Z"'


def test_an_outage_in_the_middle_leaves_no_doubt_about_what_was_accepted(rooms: Rooms) -> None:
    messages = [event(f"ev-{number}", livestreams=()) for number in range(60)]
    rooms.outgoing.before = [lambda: None, away]
    answers = rooms.planning.messages(messages)
    assert [one["status"] for one in answers] == [200] * 25 + [503] * 35
    assert answers[30]["retryAfter"] > 0
    again = rooms.planning.messages(messages)
    assert [one["created"] for one in again] == [False] * 25 + [True] * 35


def test_an_outage_before_anything_was_accepted_refuses_the_whole_call(rooms: Rooms) -> None:
    rooms.outgoing.before = [away]
    with pytest.raises(Unavailable):
        rooms.planning.messages([event(), "bad"])


def test_a_finished_batch_is_answered_alike_under_its_key_and_done_once(rooms: Rooms) -> None:
    rooms.planned_and_registered()
    key = Idempotency("b" * 64, "f1")
    messages = [event(pre_ko="2026-11-21T20:00:00Z"), "bad"]
    first = rooms.planning.messages(messages, idempotency=key)
    rooms.put_event(pre_ko="2026-11-21T21:00:00Z")
    assert rooms.planning.messages(messages, idempotency=key) == first
    assert rooms.planning.get("event", "ev-1").body == event_body(pre_ko="2026-11-21T21:00:00Z")
    with pytest.raises(Unprocessable):
        rooms.planning.messages([], idempotency=Idempotency("b" * 64, "f2"))


def test_an_empty_batch_is_answered_with_nothing(rooms: Rooms) -> None:
    assert rooms.planning.messages([]) == []
