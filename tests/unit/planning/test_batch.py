"""Many messages in one call."""

from __future__ import annotations

from typing import Any

import pytest

from app.outgoing.model import Idempotency
from app.planning.answers import as_json
from app.platform.errors import Unavailable, Unprocessable
from tests.unit.planning.conftest import Services, event_body, job_body


def event(event_id: str = "ev-1", **members: Any) -> dict[str, Any]:
    return {"type": "event", "id": event_id, "body": event_body(**members)}


def job(job_id: str = "j-1", **members: Any) -> dict[str, Any]:
    return {"type": "job", "id": job_id, "body": job_body(**members)}


def sent(
    services: Services, messages: list[Any], idempotency: Idempotency | None = None
) -> list[dict[str, Any]]:
    """The answers as the API shows them."""
    return [as_json(answer) for answer in services.planning.messages(messages, idempotency=idempotency)]


def away() -> None:
    raise Unavailable("The store is not reachable; try again.", code="store_unavailable")


def test_items_are_answered_one_by_one_in_their_order(services: Services) -> None:
    answers = sent(services, [event(), job(), event()])
    assert [(one["index"], one["status"], one["created"]) for one in answers] == [
        (0, 200, True),
        (1, 200, True),
        (2, 200, False),
    ]
    assert all(one["requestIds"] == [] for one in answers)


def test_a_bad_item_names_its_field_and_spoils_no_other(services: Services) -> None:
    bad = event("ev-2")
    bad["body"]["livestreams"][0]["livestreamId"] = 7
    answers = sent(services, [event(), bad, {"type": "match"}, "text", job()])
    assert [one["status"] for one in answers] == [200, 400, 400, 400, 200]
    assert answers[1]["field"] == "messages[1].body.livestreams[0].livestreamId"
    assert answers[1]["errors"][0]["detail"].startswith("messages[1].body.livestreams[0].livestreamId: ")
    assert {error["detail"].split(":")[0] for error in answers[2]["errors"]} == {
        "messages[2].type",
        "messages[2].id",
        "messages[2].body",
    }
    assert answers[3]["field"] == "messages[3]"
    assert answers[3]["errors"][0]["detail"] == "messages[3]: Not an object with type, id and body."


def test_a_job_of_an_unknown_event_says_so(services: Services) -> None:
    assert sent(services, [job()])[0]["eventKnown"] is False
    assert "eventKnown" not in sent(services, [event(), job("j-2")])[1]


def test_an_older_version_is_refused_also_within_one_batch(services: Services) -> None:
    newer, older = event(name="new", sourceVersion=2), event(name="old", sourceVersion=1)
    answers = sent(services, [newer, older])
    assert [one["status"] for one in answers] == [200, 409]
    assert answers[1]["code"] == "source_version_older"
    assert services.planning.get("event", "ev-1").body == event_body(name="new")


def test_each_item_has_the_requests_that_it_queued(services: Services) -> None:
    for number in (1, 2):
        sent(
            services,
            [event(f"ev-{number}", livestreams=(f"L{number}",)), job(f"j-{number}", event_id=f"ev-{number}")],
        )
        services.register(f"L{number}", f"C{number}")
    answers = sent(
        services,
        [
            event("ev-1", livestreams=("L1",), pre_ko="2026-11-21T20:00:00Z"),
            event("ev-2", livestreams=("L2",), pre_ko="2026-11-21T20:00:00Z"),
            job("j-2", event_id="ev-2", start="2026-11-21T17:00:00Z"),
        ],
    )
    records = [services.requests(one["requestIds"]) for one in answers]
    assert [[one["contentMediaId"] for one in some] for some in records] == [["C1"], ["C2"], ["C2"]]


def test_a_kick_off_moved_there_and_back_in_one_batch_ends_with_the_last(services: Services) -> None:
    services.planned_and_registered()
    times = ["2026-11-21T20:00:00Z", "2026-11-21T21:00:00Z", "2026-11-21T20:00:00Z"]
    answers = sent(services, [event(pre_ko=time) for time in times])
    assert [len(one["requestIds"]) for one in answers] == [1, 1, 1]
    ids = [one["requestIds"][0] for one in answers]
    records = services.requests(ids)
    assert [one["state"] for one in records] == ["superseded", "superseded", "pending"]
    assert records[2]["body:bookingPreKOStartTime"] == f'"{times[2]}"'


def test_a_batch_costs_few_accepts(services: Services) -> None:
    messages = [event(f"ev-{number}", livestreams=(f"L{number}",)) for number in range(200)]
    sent(services, messages)
    assert services.outgoing.accepts == 8
    assert [name for name, _ in services.planning.page("event", 1000).items] == [
        f"ev-{number}" for number in range(200)
    ]


def test_many_jobs_of_one_event_in_one_batch_leave_the_last_that_counts(services: Services) -> None:
    services.planned_and_registered()
    jobs = [job(f"j-{number}") for number in range(150)]
    sent(services, [*jobs, *(job(f"j-{number}", status="canceled") for number in range(149, 2, -1))])
    moved = services.put_event(pre_ko="2026-11-21T20:00:00Z")
    assert services.requests(moved.request_ids)[0]["jobId"] == "j-2"


def test_jobs_that_a_batch_cancels_leave_the_older_one_that_counts_within_it(services: Services) -> None:
    services.put_event()
    for number in range(6):
        services.put_job(f"j-{number}", start=f"2026-11-21T1{number}:00:00Z")
    services.register()
    answers = sent(services, [job(f"j-{number}", status="canceled") for number in range(5, 0, -1)])
    for number, answer in zip(range(4, -1, -1), answers, strict=True):
        [booking] = [one for one in services.requests(answer["requestIds"]) if one["kind"] == "booking"]
        assert booking["jobId"] == f"j-{number}"
        assert booking["body:bookingStartTime"] == f'"2026-11-21T1{number}:00:00Z"'


def test_a_batch_that_takes_a_livestream_from_many_events_gives_it_back_to_the_one_before(
    services: Services,
) -> None:
    services.planned_and_registered()
    for number in range(2, 8):
        services.put_event(f"ev-{number}")
        services.put_job(f"j-{number}", event_id=f"ev-{number}", start=f"2026-11-21T1{number}:00:00Z")
    before = services.outgoing.accepts
    answers = sent(services, [event(f"ev-{number}", livestreams=()) for number in range(7, 1, -1)])
    assert services.outgoing.accepts - before == len(answers)  # one each, none in vain
    found = [services.requests(answer["requestIds"])[0]["eventId"] for answer in answers]
    assert found == [*(f"ev-{number}" for number in range(6, 1, -1)), "ev-1"]


def test_what_moves_in_between_is_computed_again(services: Services) -> None:
    services.planned_and_registered()
    services.outgoing.before = [lambda: services.put_job(start="2026-11-21T17:00:00Z")]
    answers = sent(services, [event(pre_ko="2026-11-21T20:00:00Z")])
    [record] = services.requests(answers[0]["requestIds"])
    assert record["body:bookingStartTime"] == '"2026-11-21T17:00:00Z"'


def test_an_outage_in_the_middle_leaves_no_doubt_about_what_was_accepted(services: Services) -> None:
    messages = [event(f"ev-{number}", livestreams=()) for number in range(60)]
    services.outgoing.before = [lambda: None, away]
    answers = sent(services, messages)
    assert [one["status"] for one in answers] == [200] * 25 + [503] * 35
    assert answers[30]["retryAfter"] > 0
    again = sent(services, messages)
    assert [one["created"] for one in again] == [False] * 25 + [True] * 35


def test_an_outage_before_anything_was_accepted_refuses_the_whole_call(services: Services) -> None:
    services.outgoing.before = [away]
    with pytest.raises(Unavailable):
        sent(services, [event(), "bad"])


def test_a_finished_batch_is_answered_alike_under_its_key_and_done_once(services: Services) -> None:
    services.planned_and_registered()
    key = Idempotency("b" * 64, "f1")
    messages = [event(pre_ko="2026-11-21T20:00:00Z"), "bad"]
    first = sent(services, messages, key)
    services.put_event(pre_ko="2026-11-21T21:00:00Z")
    assert sent(services, messages, key) == first
    assert services.planning.get("event", "ev-1").body == event_body(pre_ko="2026-11-21T21:00:00Z")
    with pytest.raises(Unprocessable):
        sent(services, [], Idempotency("b" * 64, "f2"))


def test_an_empty_batch_is_answered_with_nothing(services: Services) -> None:
    assert sent(services, []) == []
