"""What operators and readers ask of requests, on a store within this process."""

from __future__ import annotations

import json
from typing import Any

import fakeredis
import pytest

import app.outgoing.operations
import app.outgoing.records
from app.outgoing.decision import AttemptError
from app.outgoing.destinations import Destination
from app.outgoing.fields import FieldReader
from app.outgoing.model import AVOS, Acceptance, NewRequest, State, digest
from app.outgoing.operations import Operations
from app.outgoing.records import RequestFilter
from app.outgoing.retention import Timelines
from app.outgoing.service import RequestService
from app.outgoing.status import condition
from app.outgoing.timings import read_timing
from app.platform.errors import Conflict, NotFound
from tests.support.keys import AllKeys
from tests.support.outgoing import Bench

NO = AttemptError("refused", "AVOS answered 400.", retryable=False)


@pytest.fixture
def bench() -> Bench:
    return Bench(fakeredis.FakeRedis(), AllKeys("service"), flags=False)


@pytest.fixture
def service(bench: Bench) -> RequestService:
    return RequestService(bench.store)


# Reading ------------------------------------------------------------------------------------------


def test_what_is_not_there_is_not_found(service: RequestService) -> None:
    for ask in (service.get, service.state, service.destination):
        with pytest.raises(NotFound):
            ask("none")
    for act in (service.retry, service.discard, service.pause, service.resume):
        with pytest.raises(NotFound):
            act("none", "me")
    assert service.ending("none") is None
    assert service.audit_trail(10) == []


def test_how_many_stand_in_each_state(bench: Bench, service: RequestService) -> None:
    bench.accept(bench.patch("A"), bench.patch("B"))
    bench.take()
    bench.accept(bench.patch("C"))
    counts = service.records.counts()
    assert set(counts) == {state.value for state in State}
    assert {state: count for state, count in counts.items() if count} == {"live": 2, "pending": 1}


def test_requests_of_a_content_media_are_found_behind_many_others(
    bench: Bench, service: RequestService, monkeypatch: pytest.MonkeyPatch
) -> None:
    [wanted] = bench.accept(bench.patch("A"))
    bench.accept(*(bench.patch(f"B{number}") for number in range(10)))
    monkeypatch.setattr(app.outgoing.records, "_LOOK_AT", 5)
    page = service.search(RequestFilter(content_media_id="a"), 10)
    assert [one.id for one in page.items] == [wanted]
    assert page.next is None


def test_a_part_of_an_id_finds_it_when_it_is_long_enough(bench: Bench, service: RequestService) -> None:
    [request_id] = bench.accept(bench.patch("A"))
    assert service.records.ids_like(request_id[:6], 10) == [request_id]
    assert service.records.ids_like(request_id[:5], 10) == []


def test_a_new_record_has_no_attempts(bench: Bench, service: RequestService) -> None:
    [request_id] = bench.accept(bench.patch("A"))
    record = service.get(request_id)
    assert (record.attempt_count, record.attempts) == (0, ())
    bench.run()
    assert service.get(request_id).attempt_count == 1


def test_the_room_of_a_destination_is_shown(service: RequestService) -> None:
    shown = service.destination(AVOS)
    assert (shown.runnable, shown.live, shown.failed, shown.max_in_flight) == (0, 0, 0, 200)
    assert condition("x", {}, 0).times_opened == 0


def test_a_claim_whose_record_is_gone_has_nothing_of_its_own(bench: Bench) -> None:
    bench.accept(bench.patch("A"))
    claim = bench.claim(*bench.take())
    bench.client.delete(bench.keys.request(claim.request_id))
    assert FieldReader(bench.store).own(claim) == []


def test_digests_stay_the_same_from_release_to_release() -> None:
    """Those of the release before stand in the store: others would queue everything once more."""
    assert digest({"b": [1, None], "a": "ü"}) == "085eef111cd7c95fed68c82a1d91ee40ee9745af"


# Acting -------------------------------------------------------------------------------------------


def test_every_verb_is_written_down(bench: Bench, service: RequestService) -> None:
    [request_id] = bench.accept(bench.patch("A"))
    service.discard(request_id, "ann")
    service.retry(request_id, "bob")
    service.hold("A", "ann")
    service.release("A", "bob")
    service.pause(AVOS, "ann")
    service.resume(AVOS, "bob")
    trail = [(one["actor"], one["verb"], one["target"]) for one in reversed(service.audit_trail(10))]
    assert trail == [
        ("ann", "discard", request_id),
        ("bob", "retry", request_id),
        ("ann", "hold", "A"),
        ("bob", "release", "A"),
        ("ann", "pause", AVOS),
        ("bob", "resume", AVOS),
    ]


@pytest.mark.parametrize(
    ("verb", "words"),
    [("retry", "A request that is delivered can't be retried."), ("discard", "can't be discarded.")],
)
def test_what_a_verb_can_t_be_used_on_is_said(
    bench: Bench, service: RequestService, verb: str, words: str
) -> None:
    [request_id] = bench.accept(bench.patch("A"))
    bench.run()
    with pytest.raises(Conflict, match=words):
        getattr(service, verb)(request_id, "me")


def test_a_request_that_was_never_composed_says_what_to_do(bench: Bench, service: RequestService) -> None:
    [request_id] = bench.accept(bench.patch("A", rejected="no_job"))
    with pytest.raises(Conflict) as caught:
        service.retry(request_id, "me")
    assert "planning" in caught.value.detail.lower()


def test_a_retried_request_counts_as_late_again(bench: Bench, service: RequestService) -> None:
    [request_id] = bench.accept(bench.patch("A", urgent_at=bench.now))
    bench.run(NO)
    bench.pass_time(minutes=1)
    assert read_timing(bench.store).late == 0
    service.retry(request_id, "me")
    assert read_timing(bench.store).late == 1


def test_a_bulk_verb_that_changes_nothing_comes_to_its_end(
    bench: Bench, service: RequestService, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(app.outgoing.operations, "CHUNK", 2)
    bench.accept(*(bench.patch(f"M{number}") for number in range(5)))
    for request_id in bench.take():
        bench.send(request_id)
    operations = Operations(bench.store, service)
    operation = operations.start("retry", RequestFilter(), "me")
    operations.work(60)
    done = operations.get(operation.id)
    assert (done.state, done.changed, done.refused) == ("done", 0, 5)


# Defaults -----------------------------------------------------------------------------------------


def test_a_request_is_forced_unless_it_says_otherwise(bench: Bench) -> None:
    def generic() -> NewRequest:
        return NewRequest(AVOS, "Lane:x", "generic", "PATCH", "/external/x", members={"a": 1})

    assert len(bench.accept(generic())) == len(bench.accept(generic())) == 1


def test_a_destination_is_no_family_unless_it_says_so() -> None:
    with pytest.raises(ValueError, match="has no instance"):
        Destination("notices").of_host("example.com")
    assert Destination("notices", instances=1).of_host("Example.com") == "notices:example.com"


def test_visiting_timelines_removes_nothing_at_once(bench: Bench) -> None:
    bench.accept(bench.patch("A"))
    name = bench.keys.timeline("A")
    bench.client.persist(name)
    assert Timelines(bench.store).visit([name, bench.keys.requests_of("A")]) == 0
    assert 0 < bench.client.pttl(name) <= bench.store.keep_ms


# The store's calls --------------------------------------------------------------------------------


def test_marks_are_looked_through_until_there_are_none(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []
    run = bench.store._run

    def counted(name: str, *args: Any) -> Any:
        calls.append(name)
        return run(name, *args)

    monkeypatch.setattr(bench.store, "_run", counted)
    bench.store.clear_marks(AVOS)
    assert calls == ["marks"]


def test_two_requests_to_a_new_host_in_one_call_count_as_one(bench: Bench) -> None:
    bench.others = (Destination("notices", instances=2),)
    bench.__post_init__()

    def notice(host: str, lane: str) -> NewRequest:
        return NewRequest(f"notices:{host}", lane, "notice", "POST", f"/{lane}", body=b"{}")

    accepted = bench.store.accept(
        Acceptance(requests=(notice("a", "Lane:1"), notice("a", "Lane:2"), notice("b", "Lane:3")))
    )
    assert [bench.record(one)["destination"] for one in accepted.request_ids] == [
        "notices:a",
        "notices:a",
        "notices:b",
    ]


def test_what_is_published_of_a_failure_says_why(bench: Bench) -> None:
    [request_id] = bench.accept(bench.patch("A"))
    bench.run(AttemptError("timeout", "AVOS did not answer in time."))
    events = [
        json.loads(fields[b"event"]) for _, fields in bench.client.xrange(bench.keys.log("sync-operations"))
    ]
    [failed] = [one for one in events if one["eventName"] == "sync-failed"]
    assert (failed["requestId"], failed["code"]) == (request_id, "timeout")
    assert failed["detail"] == "AVOS did not answer in time."
