"""An attempt that has sent once and then may send nothing any more: what AVOS has of it is anybody's guess."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import pytest

from app.outgoing.decision import AttemptResult
from app.outgoing.model import AVOS, Claim
from tests.support.outgoing import Bench

LEASE_S: Final = 16


def cover(bench: Bench) -> None:
    bench.accept(bench.patch("CM1", members={"a": 3}))


def unregister(bench: Bench) -> None:
    bench.client.hset(bench.keys.generations, "cm1", 2)


def outlive(bench: Bench) -> None:
    bench.pass_time(seconds=10)


ENDS: Final[dict[str, tuple[Callable[[Bench], None], str]]] = {
    "covered": (cover, "superseded"),
    "unregistered": (unregister, "superseded"),
    "expired": (outlive, "expired"),
}


def registered(bench: Bench, generation: int = 1) -> None:
    bench.client.hset(bench.keys.generations, "cm1", generation)
    bench.client.hset(bench.keys.active_by_media, "cm1", "L1")


def sent_once(bench: Bench) -> tuple[str, Claim]:
    """a=1 was delivered; a=2 has failed, and is sent shortly before it expires; its answer says: read again."""
    registered(bench)
    bench.accept(bench.patch("CM1", members={"a": 1}))
    bench.run()
    [request_id] = bench.accept(bench.patch("CM1", members={"a": 2}, generation=1))
    [taken] = bench.take()
    bench.fail(taken)
    bench.pass_time(seconds=bench.avos.max_age.total_seconds() - 5)
    bench.store.sweep(AVOS)
    [taken] = bench.take()
    claim = bench.claim(taken)
    assert taken == request_id
    assert claim.delivered == ()  # the first failure's answer was lost as well
    assert bench.store.begin(claim, "lm 1") is not None
    return request_id, claim


def known(bench: Bench, **members: int) -> tuple[tuple[str, bytes], ...]:
    """What a request of these members is told that AVOS was given last; it is delivered then."""
    [request_id] = bench.accept(bench.patch("CM1", members=members))
    [taken] = bench.take()
    assert taken == request_id
    claim = bench.claim(taken)
    assert bench.store.begin(claim, "lm") is not None
    assert bench.store.finish(claim, AttemptResult({"at": "now", "outcome": "x"}, None))
    return claim.delivered


@pytest.mark.parametrize("end", ENDS)
def test_its_lane_is_read_back_after_the_next_delivery(bench: Bench, end: str) -> None:
    ends, state = ENDS[end]
    request_id, claim = sent_once(bench)
    ends(bench)
    assert bench.store.begin(claim, "lm 2") is None
    assert bench.state(request_id) == state
    if end == "covered":
        bench.run()
    else:
        known(bench, a=4)
    bench.pass_time(seconds=LEASE_S)
    assert [one.name for one in bench.store.suspects(AVOS, 5)] == ["cm1"]


@pytest.mark.parametrize("end", ENDS)
def test_what_avos_has_is_not_known_then(bench: Bench, end: str) -> None:
    """Whatever was delivered before: a failed attempt's values are forgotten already, so somebody delivers them anew."""
    ends, _ = ENDS[end]
    _, claim = sent_once(bench)
    fields = bench.keys.fields(AVOS, "/external/contentMedia/live/cm1")
    bench.client.hset(fields, "d:a", b"1")
    ends(bench)
    assert bench.store.begin(claim, "lm 2") is None
    assert bench.client.hget(fields, "d:a") is None


def test_a_member_that_was_sent_once_and_then_no_more_is_not_known(bench: Bench) -> None:
    """a=2, b=2 were sent; a newer request sets b, so that only a is sent again and answered: b=2 may land yet."""
    bench.accept(bench.patch("CM1", members={"a": 1, "b": 1}))
    bench.run()
    bench.accept(bench.patch("CM1", members={"a": 2, "b": 2}))
    [taken] = bench.take()
    claim = bench.claim(taken)
    assert bench.store.begin(claim, "lm 1") is not None
    [newer] = bench.accept(bench.patch("CM1", members={"b": 3}))
    again = bench.store.begin(claim, "lm 2")
    assert again is not None
    assert dict(again.members) == {"a": b"2"}
    assert bench.store.finish(claim, AttemptResult({"at": "now", "outcome": "x"}, None))
    [taken] = bench.take()
    assert taken == newer
    assert bench.claim(taken).delivered == ()
    assert bench.client.hget(bench.keys.fields(AVOS, "/external/contentMedia/live/cm1"), "d:a") == b"2"
