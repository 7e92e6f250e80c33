"""What a change means, from values alone: no store, no clock."""

from __future__ import annotations

from typing import Any

import pytest

from app.avos.bodies import PropertyNames
from app.outgoing.model import Acceptance, Guard, Sequence, Write
from app.planning.changes import Effect, effect, reach
from app.planning.plans import EventState, LivestreamState, Plans
from app.planning.records import Change, Ids, Record
from app.planning.unit_of_work import joined
from tests.support.keys import AllKeys
from tests.unit.planning.conftest import event_body, job_body

KEYS = AllKeys("t")
OWN = Plans(
    events={"ev-1": EventState(3, Record(event_body(), 3), ("j-2", "j-1"))},
    jobs={"j-1": Record(job_body(), 1), "j-2": Record(job_body(start="2026-11-21T17:00:00Z"), 5)},
    livestreams={"L1": LivestreamState(("ev-1", "ev-0"), "C1", 7), "L2": LivestreamState()},
)
BEFORE = OWN.changed(Plans(events={"ev-0": EventState(2, Record(event_body(), 2), ())}))


def meant(kind: Any, identifier: str, body: Any, **options: Any) -> Effect:
    return effect(Change(kind, identifier, body, **options), BEFORE, KEYS, PropertyNames())


def relied_on(found: Effect) -> set[str]:
    """What the guards prove: the key without its tenant, and what is expected."""
    return {f"{guard.command[1].removeprefix('t:')}={guard.expected}" for guard in found.acceptance.guards}


REGISTERED = {
    "registrations:active:livestream=C1",
    "registrations:generation=7",
    "livestream:L1:events=ev-1",
}
OWNED_BY_ITSELF = {"event:ev-1:revision=3", "job:j-2=5", *REGISTERED}


@pytest.mark.parametrize(
    ("kind", "identifier", "body", "guards", "planned"),
    [
        ("event", "ev-1", event_body(name="b"), OWNED_BY_ITSELF, [("ev-1", "j-2")]),
        ("event", "ev-1", event_body(), OWNED_BY_ITSELF, [("ev-1", "j-2")]),
        (
            "event",
            "ev-1",
            event_body(("L2",)),
            {
                "event:ev-1:revision=3",
                "event:ev-0:revision=2",
                "registrations:active:livestream=",
                *REGISTERED,
            },
            [("ev-0", None)],
        ),
        (
            "event",
            "ev-1",
            None,
            {"event:ev-1:revision=3", "event:ev-0:revision=2", *REGISTERED},
            [("ev-0", None)],
        ),
        ("job", "j-1", job_body(dmhe="false"), {"job:j-1=1", *OWNED_BY_ITSELF} - {"job:j-2=5"}, [("ev-1", "j-1")]),
        ("job", "j-2", None, {"job:j-1=1", *OWNED_BY_ITSELF}, [("ev-1", "j-1")]),
        ("job", "j-2", job_body(status="canceled"), {"job:j-1=1", *OWNED_BY_ITSELF}, [("ev-1", "j-1")]),
        (
            "job",
            "j-2",
            job_body("ev-0"),
            {"job:j-1=1", "event:ev-0:revision=2", *OWNED_BY_ITSELF},
            [("ev-1", "j-1")],
        ),
    ],
    ids=["update", "repeat", "drop", "delete", "other job", "job gone", "job canceled", "job moved"],
)  # fmt: skip
def test_a_change_relies_on_all_that_its_requests_are_computed_from(
    kind: str, identifier: str, body: Any, guards: set[str], planned: list[tuple[str, str | None]]
) -> None:
    found = meant(kind, identifier, body)
    assert relied_on(found) == guards
    assert [(one.event_id, one.job_id) for one in found.acceptance.requests[::2]] == planned


def test_what_was_read_is_left_as_it_is() -> None:
    before = BEFORE.changed(Plans())
    found = meant("event", "ev-1", event_body(("L2",)))
    assert before == BEFORE
    assert BEFORE.changed(found.after).livestreams == {
        "L1": LivestreamState(("ev-0",), "C1", 7),
        "L2": LivestreamState(("ev-1",)),
    }


def test_a_repeat_writes_nothing_and_is_no_effect_where_nothing_is_registered() -> None:
    assert meant("event", "ev-1", event_body()).acceptance.writes == ()
    alone = Plans(
        events={"ev-1": EventState(1, Record(event_body(), 1))}, livestreams={"L1": LivestreamState()}
    )
    assert effect(Change("event", "ev-1", event_body()), alone, KEYS, PropertyNames()).is_nothing
    assert not effect(Change("event", "ev-1", event_body(name="b")), alone, KEYS, PropertyNames()).is_nothing


def test_a_canceled_job_is_taken_from_those_that_count_also_where_it_was_not_seen_there() -> None:
    writes = meant("job", "j-1", job_body(status="canceled")).acceptance.writes
    assert Write("ZREM", "t:event:ev-1:jobs", ("j-1",)) in writes
    assert (
        Write("ZADD", "t:event:ev-1:jobs", (Sequence(), "j-1"))
        in meant("job", "j-1", job_body(start="2026-11-21T16:00:00Z")).acceptance.writes
    )


def test_what_a_change_may_reach_is_what_it_names_and_what_it_has_named() -> None:
    assert reach(Change("event", "ev-1", event_body(("L2",))), BEFORE) == {"L1"}
    assert reach(Change("job", "j-1", None), BEFORE) == {"L1"}
    assert reach(Change("event", "ev-1", event_body(("L2",))), OWN) == {"L1"}


def test_around_a_name_stands_what_one_change_may_need() -> None:
    assert BEFORE.around(Ids(jobs=("j-1",))) == Ids(("ev-1", "ev-0"), ("j-1", "j-2"), ("L1",))
    assert BEFORE.around(Ids(livestreams=("L2",))) == Ids(livestreams=("L2",))
    assert Plans().around(Ids(jobs=("j-1",))) == Ids(jobs=("j-1",))


def test_of_two_guards_on_one_value_the_first_counts() -> None:
    first, second = Guard(("GET", "k"), "1"), Guard(("GET", "k"), "2")
    other = Guard(("GET", "other"), "")
    whole = joined([Acceptance(guards=(first,)), Acceptance(guards=(second, other))])
    assert whole.guards == (first, other)
