"""What every sink does, against a real far side of its kind: one suite for webhooks, SNS (also FIFO) and Kinesis."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from app.events.sinks.base import NOT_SENT, TOO_LARGE, Delivery, Kind, Outcome, Sink
from tests.support.sinks import AwsSide, FarSide, SnsFifoSide, delivery, guid_of


@pytest.fixture
def sink(side: FarSide) -> Iterator[Sink]:
    """In no order."""
    made = side.sink(ordered=False)
    yield made
    made.close()


@pytest.fixture
def ordered(side: FarSide) -> Iterator[Sink]:
    made = side.sink(ordered=True)
    yield made
    made.close()


def send(sink: Sink, deliveries: list[Delivery], within: float = 10) -> list[Outcome]:
    outcomes = sink.send(deliveries, time.monotonic() + within)
    assert len(outcomes) == len(deliveries)
    return outcomes


def codes(outcomes: list[Outcome]) -> list[str | None]:
    return [None if o.error is None else o.error.code for o in outcomes]


def kinds(outcomes: list[Outcome]) -> list[Kind | None]:
    return [None if o.error is None else o.error.kind for o in outcomes]


def guids(side: FarSide) -> list[str]:
    return [guid_of(event) for event in side.received()]


def test_events_arrive_unchanged(side: FarSide, sink: Sink) -> None:
    events = [delivery(n) for n in (1, 2, 3)]
    outcomes = send(sink, events)
    assert codes(outcomes) == [None] * 3
    assert all(o.status == 200 and o.tried for o in outcomes)
    assert sorted(side.received()) == sorted(d.event for d in events)


def test_nothing_to_send_is_no_call(side: FarSide, sink: Sink) -> None:
    assert send(sink, []) == []
    assert side.received() == []


def test_one_event_that_fails_for_now_does_not_fail_the_others(side: FarSide, sink: Sink) -> None:
    side.fail({"guid-2"})
    outcomes = send(sink, [delivery(n) for n in (1, 2, 3)])
    assert kinds(outcomes) == [None, Kind.RETRY, None]
    assert codes(send(sink, [delivery(2)])) == [None]
    assert sorted(guids(side)) == ["guid-1", "guid-2", "guid-3"]


def test_an_event_that_is_refused_for_good_does_not_hold_up_the_others(side: FarSide, ordered: Sink) -> None:
    side.refuse({"guid-2"})
    outcomes = send(ordered, [delivery(n, "asset-1") for n in (1, 2, 3)])
    assert codes(outcomes) == [None, "refused", None]
    assert kinds(outcomes) == [None, Kind.REFUSED, None]
    assert guids(side) == ["guid-1", "guid-3"]


def test_a_bad_event_in_a_full_call_is_found(side: FarSide, sink: Sink) -> None:
    side.refuse({"guid-6"})
    outcomes = send(sink, [delivery(n) for n in range(10)])
    assert kinds(outcomes) == [Kind.REFUSED if n == 6 else None for n in range(10)]
    assert sorted(guids(side)) == sorted(f"guid-{n}" for n in range(10) if n != 6)


def test_throttling_is_passing_trouble_and_says_how_long_to_rest(side: FarSide, ordered: Sink) -> None:
    side.throttle()
    first, *rest = send(ordered, [delivery(n, "asset-1") for n in (1, 2)])
    assert first.error is not None
    assert (first.error.code, first.error.kind, first.error.retry_after_s) == ("throttled", Kind.RETRY, 7)
    assert codes(rest) == [NOT_SENT]
    assert side.received() == []


@pytest.mark.parametrize("fault", ["hang", "drip"])
def test_a_far_side_that_takes_too_long_is_given_up_at_the_deadline(
    side: FarSide, ordered: Sink, fault: str
) -> None:
    assert codes(send(ordered, [delivery(1)])) == [None]  # connected, clients made
    getattr(side, fault)()
    started = time.monotonic()
    outcomes = send(ordered, [delivery(n, "asset-1") for n in (2, 3)], within=0.5)
    assert time.monotonic() - started < 1.0
    assert codes(outcomes) == ["timeout", NOT_SENT]
    assert [o.tried for o in outcomes] == [True, False]
    assert outcomes[0].latency_ms >= 400


def test_a_connection_that_breaks_is_passing_trouble(side: FarSide, ordered: Sink) -> None:
    side.reset()
    outcomes = send(ordered, [delivery(n, "asset-1") for n in (1, 2)])
    assert codes(outcomes) == ["connection_reset", NOT_SENT]
    assert kinds(outcomes)[0] is Kind.RETRY


def test_what_is_too_large_is_refused_without_being_sent(side: FarSide, ordered: Sink) -> None:
    large = delivery(2, "asset-1")
    padding = b" " * (side.oversize() - len(large.event))
    large = delivery(2, "asset-1", event=large.event[:-1] + padding + b"}")
    outcomes = send(ordered, [delivery(1, "asset-1"), large, delivery(3, "asset-1")])
    assert codes(outcomes) == [None, TOO_LARGE, None]
    assert kinds(outcomes)[1] is Kind.REFUSED
    assert outcomes[1].tried
    assert guids(side) == ["guid-1", "guid-3"]


def counted(sink: Sink, event: bytes) -> int:
    """The size of `delivery(1)` as the far side counts it: with what is sent beside the event."""
    parcel = getattr(sink, "_parcel", None)
    return len(event) if parcel is None else int(parcel(delivery(1)).size)


def test_the_largest_event_that_fits_arrives(side: FarSide, sink: Sink) -> None:
    event = delivery(1).event
    spare = sink.limits.event_bytes - counted(sink, event)
    whole = event[:-1] + b" " * spare + b"}"
    assert codes(send(sink, [delivery(1, event=whole)])) == [None]
    assert side.received() == [whole]


@pytest.mark.parametrize("fault", ["throttle", "reset", "hang"])
def test_it_recovers_with_its_far_side(side: FarSide, ordered: Sink, fault: str) -> None:
    events = [delivery(n, "asset-1") for n in (1, 2, 3)]
    getattr(side, fault)()
    assert kinds(send(ordered, events, within=0.5))[0] is Kind.RETRY
    side.heal()
    assert codes(send(ordered, events)) == [None] * 3
    assert guids(side)[-3:] == ["guid-1", "guid-2", "guid-3"]


def test_nothing_overtakes_an_event_of_its_order_that_failed(side: FarSide, ordered: Sink) -> None:
    events = [delivery(n, "asset-1") for n in range(1, 6)]
    side.fail({"guid-3"}, times=2)
    assert codes(send(ordered, events))[:2] == [None, None]
    assert guids(side) == ["guid-1", "guid-2"]
    outcomes = send(ordered, events[2:])
    assert kinds(outcomes)[0] is Kind.RETRY
    assert codes(outcomes)[1:] == [NOT_SENT, NOT_SENT]
    assert codes(send(ordered, events[2:])) == [None] * 3
    assert guids(side) == [f"guid-{n}" for n in range(1, 6)]


def test_events_of_one_entity_arrive_in_their_order(side: FarSide, ordered: Sink) -> None:
    events = [delivery(n, f"asset-{n % 3}") for n in range(30)]
    assert codes(send(ordered, events)) == [None] * 30
    arrived = [int(guid.removeprefix("guid-")) for guid in guids(side)]
    for entity in range(3):
        assert [n for n in arrived if n % 3 == entity] == [n for n in range(30) if n % 3 == entity]


def test_more_than_a_call_takes_goes_in_several(side: FarSide, sink: Sink) -> None:
    count = 25
    assert codes(send(sink, [delivery(n) for n in range(count)])) == [None] * count
    assert sorted(guids(side)) == sorted(f"guid-{n}" for n in range(count))
    if isinstance(side, AwsSide):
        assert side.door.calls == ([10, 10, 5] if sink.limits.events == 10 else [25])


def test_a_deadline_that_has_passed_sends_nothing(side: FarSide, sink: Sink) -> None:
    assert codes(send(sink, [delivery(1), delivery(2)], within=-1)) == [NOT_SENT, NOT_SENT]
    assert side.received() == []


def test_many_threads_may_use_it_at_once(side: FarSide, sink: Sink) -> None:
    with ThreadPoolExecutor(16) as threads:
        outcomes = list(threads.map(lambda n: send(sink, [delivery(n)])[0], range(64)))
    assert codes(outcomes) == [None] * 64
    assert len(set(guids(side))) == 64


def test_a_far_side_that_is_not_there_is_passing_trouble(
    side: FarSide, monkeypatch: pytest.MonkeyPatch
) -> None:
    side.heal()
    sink = side.sink(ordered=True)
    # Its server ends; what stays is a port on which nobody listens.
    closed: object = side.door if isinstance(side, AwsSide) else getattr(side, "receiver")  # noqa: B009
    closed.__exit__(None, None, None)  # type: ignore[attr-defined]
    monkeypatch.setattr(type(closed), "__exit__", lambda *_: None)
    outcomes = send(sink, [delivery(1)])
    assert codes(outcomes) == ["connect_failed"]
    assert kinds(outcomes) == [Kind.RETRY]


def test_the_summary_tells_no_secrets(side: FarSide, sink: Sink) -> None:
    summary = str(sink.request_summary([delivery(1)]))
    assert "whsec_" not in summary
    assert "a-secret-that-must-not-be-shown" not in summary


def test_only_fifo_topics_take_a_redelivery_again(side: FarSide, sink: Sink) -> None:
    """A replay is meant to arrive although its events have arrived before."""
    again = delivery(1, redelivery="replay-7")
    assert codes(send(sink, [delivery(1)]) + send(sink, [delivery(1)]) + send(sink, [again])) == [None] * 3
    assert len(side.received()) == (2 if isinstance(side, SnsFifoSide) else 3)
