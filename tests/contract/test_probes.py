"""The breaker over minutes: nothing that would be taken waits behind what never will be."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta

import pytest

from app.outgoing.decision import AttemptError
from app.outgoing.model import AVOS
from app.outgoing.service import RequestService
from tests.support.outgoing import Bench

DOWN = AttemptError("connect_failed", "No connection could be made.", destination_fault=True)
FORBIDDEN = AttemptError("forbidden", "AVOS answered 403.", destination_fault=True, status=403)
NO_TOKEN = AttemptError("unauthorized", "AVOS answered 401.", destination_fault=True, status=401)
SILENT = AttemptError("server_error", "AVOS answered 504.", destination_fault=True, status=504)


@dataclass
class Day:
    """A destination that answers at once, its ticks, and how long each request took."""

    bench: Bench
    bad: Mapping[str, AttemptError] = field(
        default_factory=dict
    )  # by the beginning of a content media's name
    down: AttemptError | None = None  # for everybody
    seconds: int = 0
    sent: int = 0
    accepted: dict[str, int] = field(default_factory=dict)
    took: dict[str, int] = field(default_factory=dict)

    def plan(self, *media: str, hours: int = 5) -> list[str]:
        kick_off = self.bench.now + timedelta(hours=hours)
        ids = self.bench.accept(*(self.bench.patch(name, urgent_at=kick_off) for name in media))
        self.accepted |= dict.fromkeys(ids, self.seconds)
        self.go_round()
        return ids

    def second(self) -> None:
        self.bench.pass_time(seconds=1)
        self.seconds += 1
        if self.seconds % 10 == 0:
            self.bench.tick()
        self.go_round()

    def pass_time(self, seconds: int) -> None:
        for _ in range(seconds):
            self.second()

    def go_round(self) -> None:
        """What goes out now, and what goes out because of the answers."""
        while taken := self.bench.take():
            for request_id in taken:
                media = str(self.bench.record(request_id)["contentMediaId"])
                error = self.down or next((e for name, e in self.bad.items() if media.startswith(name)), None)
                self.bench.send(request_id, error)
                self.sent += 1
                if error is None:
                    self.took[request_id] = self.seconds - self.accepted[request_id]

    @property
    def state(self) -> str:
        return str(RequestService(self.bench.store).destination(AVOS).state)

    @property
    def opened(self) -> int:
        return RequestService(self.bench.store).destination(AVOS).times_opened


def test_one_forbidden_content_media_stops_nobody(bench: Bench) -> None:
    day = Day(bench, bad={"bad": FORBIDDEN})
    day.plan("bad")
    day.pass_time(25)
    healthy = day.plan(*(f"CM{n}" for n in range(5)))
    assert [day.took.get(i) for i in healthy] == [0] * 5
    assert day.opened == 0


@pytest.mark.parametrize(("lanes", "error"), [(2, FORBIDDEN), (3, SILENT), (2, NO_TOKEN)])
def test_what_is_accepted_behind_lanes_that_never_succeed_waits_a_second_or_two(
    bench: Bench, lanes: int, error: AttemptError
) -> None:
    day = Day(bench, bad={"bad": error})
    day.plan(*(f"bad{n}" for n in range(lanes)), hours=1)
    day.pass_time(60)
    assert day.state == "open", "there was nothing to show that others are served"
    healthy = day.plan(*(f"CM{n}" for n in range(5)))
    day.pass_time(3)
    assert max(day.took[i] for i in healthy) <= 2


@pytest.mark.parametrize(("lanes", "error"), [(2, FORBIDDEN), (3, SILENT)])
def test_lanes_that_never_succeed_do_not_stop_the_others_again_and_again(
    bench: Bench, lanes: int, error: AttemptError
) -> None:
    day = Day(bench, bad={"bad": error})
    bad = day.plan(*(f"bad{n}" for n in range(lanes)))
    healthy: list[str] = []
    for n in range(50):
        healthy += day.plan(f"CM{n % 7}")
        day.pass_time(3)
    assert max(day.took[i] for i in healthy) <= 2
    assert sum(day.took[i] for i in healthy) <= 4
    assert day.opened <= 1, "others were served: these lanes' faults are their own"
    for request_id in bad:
        assert bench.state(request_id) == "failed"
        assert bench.record(request_id)["attemptCount"] >= 13, "the tick goes on trying them"


def test_updates_of_lanes_that_never_succeed_do_not_take_every_probe(bench: Bench) -> None:
    day = Day(bench, bad={"bad": SILENT})
    for _ in range(40):
        day.plan(*(f"bad{n}" for n in range(30)), hours=1)
        day.pass_time(2)
    assert day.state == "open"
    [healthy] = day.plan("CM1", hours=9)
    for _ in range(10):
        day.plan(*(f"bad{n}" for n in range(30)), hours=1)
        day.pass_time(2)
    assert day.took[healthy] <= 12, "the next probe or the one after"


def test_a_failed_request_that_would_succeed_now_does_not_wait_behind_the_others(bench: Bench) -> None:
    day = Day(bench, bad={"bad": SILENT, "mended": SILENT})
    day.plan("mended", *(f"bad{n}" for n in range(24)))
    day.pass_time(20)
    day.bad = {"bad": SILENT}
    day.pass_time(270)
    assert day.took, "each has its turn"
    assert day.state != "open"


def test_a_token_that_is_refused_for_everybody_keeps_the_breaker_open(bench: Bench) -> None:
    day = Day(bench, down=NO_TOKEN)
    ids = day.plan(*(f"CM{n}" for n in range(8)))
    sent = day.sent
    day.pass_time(300)
    assert (day.state, day.opened) == ("open", 1)
    assert day.sent - sent <= 36, "probes, at a growing distance"
    assert {bench.state(i) for i in ids} == {"failed"}, "nothing is parked"
    day.down = None
    day.pass_time(11)
    assert {bench.state(i) for i in ids} == {"delivered"}


def test_an_outage_under_traffic_is_probed_at_a_growing_distance(bench: Bench) -> None:
    day = Day(bench)
    for n in range(5):
        day.plan(f"CM{n}")
    day.down = DOWN
    day.plan(*(f"CM{n}" for n in range(5)))
    assert day.state == "open"
    probed = []
    for n in range(60):
        before = day.sent
        day.plan(*(f"more{n}-{m}" for m in range(3)))
        day.second()
        assert day.sent - before <= 2, "one of those that wait and one of those that failed"
        if day.sent > before:
            probed.append(n + 1)
    assert probed == [1, 3, 7, 15, 25, 35, 45, 55]


def test_promoting_behind_an_open_breaker_says_how_many_probes_went_out(bench: Bench) -> None:
    day = Day(bench, down=DOWN)
    day.plan(*(f"CM{n}" for n in range(5)))
    assert day.state == "open"
    bench.accept(bench.patch("new"))
    bench.pass_time(seconds=1)
    assert bench.store.promote(AVOS) == 2, "one that waits, one that has failed"


@pytest.mark.parametrize("hit", [1, 2, 5, 40])
def test_a_blink_costs_nobody_more_than_two_seconds(bench: Bench, hit: int) -> None:
    day = Day(bench)
    for n in range(hit):
        day.plan(f"CM{n}")
    day.pass_time(3)
    day.down = DOWN
    ids = day.plan(*(f"CM{n}" for n in range(hit)))
    day.down = None
    later = day.plan("later") if hit < 3 else []
    day.pass_time(2)
    assert {bench.state(i) for i in ids + later} == {"delivered"}
    assert max(day.took.values()) <= 2


def test_a_first_failure_of_the_far_side_is_tried_again_at_once_only_once(bench: Bench) -> None:
    day = Day(bench, bad={"bad": SILENT})
    [request_id] = day.plan("bad")
    tries = []
    for _ in range(29):
        day.second()
        tries.append(bench.record(request_id)["attemptCount"])
    assert tries == [2] * 9 + [3] * 10 + [4] * 10


def test_a_request_of_a_lane_that_was_served_since_counts_again(bench: Bench) -> None:
    day = Day(bench, bad={"CM": SILENT})
    day.plan("CM0", "CM1", "CM2")
    day.plan("good")
    day.pass_time(2)
    assert day.opened == 1
    day.bad = {}
    day.pass_time(10)
    assert day.state != "open"
    day.bad = {"CM": SILENT}
    day.plan("CM0", "CM1", "CM2")
    assert day.opened == 2
