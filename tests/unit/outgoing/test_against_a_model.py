"""Every verb of the outgoing store in any order, with two workers, lost and repeated messages and a clock that jumps:
after each step the store stands where a plain model of dicts and lists says."""

from __future__ import annotations

import hashlib
import uuid
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

import fakeredis
import hypothesis.strategies as st
import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from app.outgoing.decision import AttemptError, AttemptResult
from app.outgoing.destinations import Breaker, Destination
from app.outgoing.model import AVOS, Claim, NewRequest
from app.outgoing.scripts import History
from app.outgoing.service import RequestService
from tests.support.keys import AllKeys
from tests.support.outgoing import START, Bench
from tests.unit.outgoing.plain_model import HOUR, OPEN, Model, Request

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]
LANES: Final = ("cm1", "cm2", "cm3")
PATHS: Final = ("", "/technicalMedia/sourceMedia/")
WORKERS: Final = (0, 1)
LIMITS: Final = Destination(
    AVOS,
    in_flight=2,
    lease=timedelta(seconds=15),
    max_age=timedelta(hours=6),
    max_reclaims=2,
    release_rate=1,
    breaker=Breaker(threshold=2),
)
HISTORY: Final = History(keep=timedelta(days=3))
# What became of an attempt: its error, how that ends a request that isn't too old, and what it says of the far side.
OUTCOMES: Final[dict[str, tuple[AttemptError | None, str, str]]] = {
    "delivered": (None, "delivered", "good"),
    "refused": (AttemptError("refused", "400", retryable=False), "rejected", "good"),
    "crashed": (AttemptError("server_error", "500", status=500), "failed", "good"),
    "down": (AttemptError("connect_failed", "down", destination_fault=True), "failed", "fault"),
    "token": (AttemptError("unauthorized", "401", destination_fault=True, status=401), "failed", "refused"),
    "silent": (AttemptError("server_error", "504", destination_fault=True, status=504), "failed", "doubt"),
    "no_trust": (AttemptError("tls_error", "x", destination_fault=True), "failed", "fatal"),
    "throttled": (
        AttemptError("throttled", "429", destination_fault=True, status=429, retry_after_s=20),
        "failed",
        "fault",
    ),
}


@dataclass
class Held:
    """A claim in a worker's hands, and what it was told with it."""

    claim: Claim
    name: str
    age_from: int | None
    deadline: int | None


class StoreAgainstModel(RuleBasedStateMachine):
    """What is called here is done to the store and to the model; what they answer and where they stand must agree."""

    @initialize()
    def begin_anew(self) -> None:
        self.bench = Bench(
            fakeredis.FakeRedis(), AllKeys(uuid.uuid4().hex), avos=LIMITS, history=HISTORY, flags=False
        )
        self.model = Model(
            in_flight=2,
            lease=15,
            max_age=6 * HOUR,
            keep=72 * HOUR,
            max_reclaims=2,
            threshold=2,
            release_rate=1,
        )
        self.model.now = int(START.timestamp())
        self.messages: list[str] = []
        self.held: dict[int, list[Held]] = {worker: [] for worker in WORKERS}
        self.value = 0
        self.named = 0

    # The API ----------------------------------------------------------------------------------------------------------

    @rule(
        lane=st.sampled_from(LANES),
        path=st.sampled_from(PATHS),
        members=st.sets(st.sampled_from("ab"), min_size=1),
        urgent_in_h=st.integers(0, 9),
        deadline_in_h=st.none() | st.integers(1, 9),
        forced=st.booleans(),
        fresh=st.booleans(),
    )
    def accept_patch(
        self,
        lane: str,
        path: str,
        members: set[str],
        urgent_in_h: int,
        deadline_in_h: int | None,
        forced: bool,
        fresh: bool,
    ) -> None:
        self.value += fresh
        full = f"/external/contentMedia/live/{lane}{path}"
        asked = dict.fromkeys(sorted(members), self.value)
        times = self._times(urgent_in_h, deadline_in_h)
        request = self.bench.patch(lane, path=full, members=asked, forced=forced, id=self._name(), **times)
        self._accept(request, forced=forced)

    @rule(
        lane=st.sampled_from(LANES),
        method=st.sampled_from(("POST", "PUT", "DELETE")),
        urgent_in_h=st.integers(0, 9),
        deadline_in_h=st.none() | st.integers(1, 9),
    )
    def accept_other(self, lane: str, method: str, urgent_in_h: int, deadline_in_h: int | None) -> None:
        times = self._times(urgent_in_h, deadline_in_h)
        self._accept(self.bench.barrier(lane, method=method, id=self._name(), **times), forced=True)

    def _name(self) -> str:
        """Ids break ties, so they are the same whenever a story is told again; and in no order."""
        self.named += 1
        return hashlib.sha256(str(self.named).encode()).hexdigest()[:32]

    def _times(self, urgent_in_h: int, deadline_in_h: int | None) -> dict[str, Any]:
        return {
            "urgent_at": self.bench.now + timedelta(hours=urgent_in_h),
            "deadline": None if deadline_in_h is None else self.bench.now + timedelta(hours=deadline_in_h),
        }

    def _accept(self, request: NewRequest, *, forced: bool) -> None:
        queued = self.bench.accept(request)
        assert request.urgent_at is not None
        one = Request(
            id=request.id,
            seq=0,
            lane=request.lane,
            path=request.path,
            method=request.method,
            members=dict(request.members or {}),
            urgency=int(request.urgent_at.timestamp()),
            created=self.model.now,
            deadline=None if request.deadline is None else int(request.deadline.timestamp()),
        )
        assert bool(queued) == self.model.accept(one, forced=forced)

    # Workers ----------------------------------------------------------------------------------------------------------

    @rule()
    def promote(self) -> None:
        expected = self.model.promote()
        count = self.bench.store.promote(AVOS)
        queue = f"{self.bench.keys.prefix}live"
        found = [row.decode().split()[1] for row in reversed(self.bench.client.lrange(queue, 0, -1))]
        self.bench.client.delete(queue)
        assert found == expected
        assert count == len(expected)
        self.messages += found

    @precondition(lambda self: self.messages)
    @rule(worker=st.sampled_from(WORKERS), data=st.data(), again=st.booleans())
    def claim(self, worker: int, data: st.DataObject, again: bool) -> None:
        """A message arrives, perhaps not for the last time."""
        name = data.draw(st.sampled_from(self.messages))
        if not again:
            self.messages.remove(name)
        one = self.model.requests.get(name)
        claim = self.bench.store.claim(name)
        token = claim.token if claim is not None else "nobody's"
        assert self.model.claim(name, token) == (claim is not None)
        if claim is not None:
            assert one is not None
            self.held[worker].append(Held(claim, name, one.age_from, self.model.deadline_of(one)))

    @precondition(lambda self: self.messages)
    @rule(data=st.data())
    def lose_a_message(self, data: st.DataObject) -> None:
        self.messages.remove(data.draw(st.sampled_from(self.messages)))

    @rule(worker=st.sampled_from(WORKERS), data=st.data())
    def begin(self, worker: int, data: st.DataObject) -> None:
        held = self._one_of(worker, data)
        if held is None:
            return
        sending = self.bench.store.begin(held.claim, "lm")
        expected = self.model.begin(held.name, held.claim.token)
        found = None if sending is None else {name: int(value) for name, value in sending.members}
        assert found == expected

    @rule(worker=st.sampled_from(WORKERS), data=st.data(), outcome=st.sampled_from(sorted(OUTCOMES)))
    def finish(self, worker: int, data: st.DataObject, outcome: str) -> None:
        held = self._one_of(worker, data)
        if held is None:
            return
        self.held[worker].remove(held)
        error, how, signal = OUTCOMES[outcome]
        rest = int(error.retry_after_s or 0) if error is not None else 0
        next_try = self.model.now + rest
        if how == "failed":
            expires = (self.model.now if held.age_from is None else held.age_from) + self.model.max_age
            expires = expires if held.deadline is None else min(expires, held.deadline)
            next_try = min(next_try, expires)
            how = "expired" if self.model.now >= expires else how
        again = 1 if signal in ("fault", "doubt") and not rest and held.age_from is None else None
        self.model.hear(held.name, held.claim.token, signal, rest)
        took = self.model.finish(held.name, held.claim.token, how, next_try, again)
        assert self.bench.store.finish(held.claim, AttemptResult({"outcome": "x"}, error)) == took

    @rule(worker=st.sampled_from(WORKERS))
    def a_worker_dies(self, worker: int) -> None:
        self.held[worker].clear()

    def _one_of(self, worker: int, data: st.DataObject) -> Held | None:
        held = self.held[worker]
        return held[data.draw(st.integers(0, len(held) - 1))] if held else None

    # Ticks, operators, time -------------------------------------------------------------------------------------------

    @rule(seconds=st.sampled_from((1, 5, 10, 10, 16, 60, HOUR, 7 * HOUR, 80 * HOUR, -3, -30, -HOUR)))
    def the_clock_jumps(self, seconds: int) -> None:
        self.bench.pass_time(seconds=seconds)
        self.model.now += seconds

    @rule()
    def reclaim(self) -> None:
        self.bench.store.reclaim(AVOS)
        self.model.reclaim()

    @rule()
    def sweep(self) -> None:
        self.bench.store.sweep(AVOS)
        self.model.sweep()

    @rule()
    def expire(self) -> None:
        self.bench.store.expire(AVOS)
        self.model.expire()

    @rule()
    def trim(self) -> None:
        self.bench.store.trim()
        self.model.trim()

    @precondition(lambda self: self.model.requests)
    @rule(data=st.data(), verb=st.sampled_from(("retry", "discard")))
    def act(self, data: st.DataObject, verb: str) -> None:
        name = data.draw(st.sampled_from(sorted(self.model.requests)))
        word, _ = self.bench.store.act(name, verb, "me")
        assert (word == "ok") == self.model.act(name, verb)

    @rule(lane=st.sampled_from(LANES), release=st.booleans())
    def hold(self, lane: str, release: bool) -> None:
        changed = self.bench.store.hold(AVOS, lane, "me", release=release)
        assert changed == self.model.hold(lane, release=release)

    # What must be so after each step ----------------------------------------------------------------------------------

    @invariant()
    def each_record_is_where_the_model_has_it(self) -> None:
        if not hasattr(self, "bench"):
            return
        client, prefix = self.bench.client, self.bench.keys.prefix
        states = {one.id: one.state for one in self.model.requests.values()}
        kept = [name.decode() for name in client.zrange(f"{prefix}requests", 0, -1)]
        assert {name: self.bench.state(name) for name in kept} == states
        assert set(_scores(client, f"{prefix}expiry")) == {i for i, state in states.items() if state in OPEN}
        pending = {name: score / 1000 for name, score in _scores(client, f"{prefix}pending:avos").items()}
        assert pending == self.model.heads()
        assert set(_scores(client, f"{prefix}live:avos")) == {one.id for one in self.model.in_state("live")}
        assert set(_scores(client, f"{prefix}due:avos")) == {one.id for one in self.model.due()}
        assert set(_scores(client, f"{prefix}failed:avos")) == {
            one.id for one in self.model.in_state("failed")
        }

    @invariant()
    def lanes_and_breaker_look_as_the_model_has_them(self) -> None:
        if not hasattr(self, "bench"):
            return
        for lane, summary in zip(LANES, self.bench.store.lane_summaries(AVOS, LANES), strict=True):
            assert summary.behind == bool(self.model.of(lane, "pending", "live"))
            undelivered = [
                one for one in self.model.requests.values() if one.lane == lane and one.undelivered
            ]
            assert summary.failing == bool(undelivered or self.model.of(lane, "failed"))
            assert summary.held == (lane in self.model.held)
        shown = RequestService(self.bench.store).destination(AVOS)
        assert (shown.state == "open") == (self.model.opened is not None)

    @invariant()
    def the_audit_finds_nothing_to_mend(self) -> None:
        if hasattr(self, "bench"):
            assert self.bench.store.audit() == []


def _scores(client: Any, key: str) -> dict[str, float]:
    return {name.decode(): score for name, score in client.zrange(key, 0, -1, withscores=True)}


StoreAgainstModel.TestCase.settings = settings(
    max_examples=40, stateful_step_count=50, deadline=None, suppress_health_check=list(HealthCheck)
)
TestStoreAgainstModel = StoreAgainstModel.TestCase
