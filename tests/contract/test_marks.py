"""What ended undelivered keeps its content media out of step, until it is made good, discarded or gone. On fakeredis and
on a real server."""

from __future__ import annotations

from app.outgoing.decision import AttemptError
from app.outgoing.model import AVOS
from app.outgoing.operations import Operations
from app.outgoing.service import RequestService
from app.outgoing.ticks import Ticks
from tests.support.outgoing import Bench

REFUSED = AttemptError("refused", "400", retryable=False)


def failing(bench: Bench, lane: str = "cm1") -> bool:
    return bench.store.lane_summaries(AVOS, [lane])[0].failing


def look_through(bench: Bench) -> None:
    """What the tick does with the marks of content media that are registered."""
    bench.client.hset(bench.keys.active_by_media, "cm1", "L1")
    Ticks(bench.store, Operations(bench.store, RequestService(bench.store))).clear_marks()


def reject(bench: Bench, count: int) -> list[str]:
    ids = []
    for n in range(count):
        ids += bench.accept(bench.patch(members={"a": n}))
        bench.run(REFUSED)
    return ids


def test_one_delivery_makes_good_however_many_have_failed_before(bench: Bench) -> None:
    ids = reject(bench, 230)
    [good] = bench.accept(bench.patch(members={"a": "good"}))
    assert failing(bench)
    bench.run()
    assert not failing(bench)
    assert {(bench.state(i), bench.record(i)["supersededBy"]) for i in ids} == {("superseded", good)}
    assert bench.client.exists(bench.keys.marks(AVOS)) == 0


def test_what_a_worker_that_died_has_left_over_the_tick_looks_at(bench: Bench) -> None:
    reject(bench, 130)
    bench.accept(bench.patch(members={"a": "good"}))
    bench.store.clear_marks = lambda *_: None  # type: ignore[method-assign]
    bench.run()
    assert failing(bench)
    del bench.store.clear_marks
    bench.store.clear_marks(AVOS)
    assert not failing(bench)


def test_what_no_delivery_makes_good_stays(bench: Bench) -> None:
    reject(bench, 3)
    [other] = bench.accept(bench.patch(members={"b": 1}))
    bench.run()
    look_through(bench)
    assert bench.state(other) == "delivered"
    assert failing(bench)
    bench.accept(bench.patch(members={"a": "waits"}))
    look_through(bench)
    assert failing(bench), "what covers it isn't delivered"


def test_what_was_discarded_stays_until_what_covers_it_is_delivered(bench: Bench) -> None:
    [discarded] = bench.accept(bench.patch(members={"a": 1}))
    bench.store.act(discarded, "discard", "me")
    [other] = bench.accept(bench.patch(members={"b": 1}, path="/external/contentMedia/live/CM1/x"))
    [covers] = bench.accept(bench.patch(members={"a": 2}))
    assert bench.take() == [other]
    bench.send(other)
    look_through(bench)
    assert failing(bench)
    assert bench.take() == [covers]
    bench.send(covers)
    assert not failing(bench)


def test_a_discarded_request_of_another_method_leaves_nothing(bench: Bench) -> None:
    [waiting, refused] = bench.accept(bench.barrier(), bench.barrier())
    bench.store.act(waiting, "discard", "me")
    bench.run(REFUSED)
    assert failing(bench)
    bench.store.act(refused, "discard", "me")
    assert not failing(bench)
    assert bench.client.exists(bench.keys.lane(AVOS, "cm1")) == 0


def test_what_planning_has_withdrawn_is_made_good(bench: Bench) -> None:
    [refused] = reject(bench, 1)
    bench.accept(bench.patch(members={}, absent=["a"], forced=False))
    look_through(bench)
    assert not failing(bench)
    assert bench.state(refused) == "superseded"


def test_marks_that_the_release_before_has_left_go(bench: Bench) -> None:
    """It looked at the oldest hundred, never took the mark of an absent record, and left that of a discarded POST."""
    [posted] = bench.accept(bench.barrier())
    bench.store.act(posted, "discard", "me")
    ids = reject(bench, 120)
    bench.accept(bench.patch(members={"a": "good"}))
    bench.run()
    lane = bench.keys.lane(AVOS, "cm1")
    for left in ids:
        bench.client.hset(bench.keys.request(left), "state", "rejected")
    for left in [posted, *ids, *(f"gone{n}" for n in range(120))]:
        number = int(bench.client.hget(bench.keys.request(left), "seq") or 7)
        bench.client.zadd(lane, {f"x:{number:016d}:{left}": 0})
    look_through(bench)
    assert not failing(bench)
    assert bench.client.exists(lane) == 0


def test_an_ended_record_that_the_audit_mends_keeps_its_mark(bench: Bench) -> None:
    """A script broke off after it had ended the record and before it had taken it out of the open ones."""
    [refused] = reject(bench, 1)
    [discarded, other] = bench.accept(bench.barrier(), bench.patch(members={"b": 1}))
    bench.store.act(discarded, "discard", "me")
    bench.run()
    for request_id in (refused, discarded, other):
        bench.client.zadd(bench.keys.expiry, {request_id: 1})
    assert set(bench.store.audit()) == {refused, discarded, other}
    assert bench.store.audit() == []
    marks = bench.client.zrange(bench.keys.lane(AVOS, "cm1"), 0, -1)
    assert [mark.decode().split(":")[::2] for mark in marks] == [["x", refused]]


def test_an_ended_record_that_the_audit_mends_leaves_no_place_in_its_lane(bench: Bench) -> None:
    [request_id] = bench.accept(bench.patch())
    marks = bench.client.zrange(bench.keys.lane(AVOS, "cm1"), 0, -1)
    bench.run()
    bench.client.zadd(bench.keys.lane(AVOS, "cm1"), dict.fromkeys(marks, 0))
    bench.client.zadd(bench.keys.expiry, {request_id: 1})
    assert bench.store.audit() == [request_id]
    assert bench.client.zrange(bench.keys.lane(AVOS, "cm1"), 0, -1) == []


def test_marks_go_with_the_history(bench: Bench) -> None:
    reject(bench, 3)
    bench.pass_time(days=31)
    bench.store.trim()
    assert not failing(bench)


def test_many_marks_that_stay_hide_none_behind_them(bench: Bench) -> None:
    for _ in range(110):
        bench.accept(bench.barrier())
        bench.run(REFUSED)
    lane = bench.keys.lane(AVOS, "cm1")
    bench.client.zadd(lane, {f"x:{10**12:016d}:gone": 0})
    look_through(bench)
    assert bench.client.zcard(lane) == 110
    assert bench.client.exists(bench.keys.marks(AVOS)) == 0
