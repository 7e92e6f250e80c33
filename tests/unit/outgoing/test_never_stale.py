"""Whatever the order of accepts, claims, failures, lost workers, ticks and operators' verbs: an older value
of a field never lands after a newer one, and when all is done the newest has landed."""

from __future__ import annotations

import random
import uuid
from collections.abc import Callable
from typing import Any

import fakeredis
import hypothesis.strategies as st
import pytest
from hypothesis import given, settings

from app.outgoing.decision import AttemptError, AttemptResult
from app.outgoing.model import ABSENT, AVOS, Claim, Sending
from tests.support.keys import AllKeys
from tests.support.outgoing import Bench

STEPS = 80
MEDIA = ("CM1", "cm2")
FIELDS = ("a", "b", "c")
PATHS = ("", "/technicalMedia/sourceMedia/")
TIMEOUT = AttemptError("timeout", "no answer")
REFUSED = AttemptError("refused", "400", retryable=False)
CONFLICT = AttemptError("conflict", "lastModified has moved")


class FarSide:
    """AVOS as the requirement has it: a write needs the lastModified that the newest GET returned."""

    def __init__(self) -> None:
        self.writes: dict[str, int] = {}
        self.values: dict[tuple[str, str], int] = {}

    def last_modified(self, media: str) -> str:
        return str(self.writes.get(media, 0))

    def patch(self, claim: Claim, last_modified: str, sending: Sending) -> bool:
        media = str(claim.content_media_id).casefold()
        if last_modified != self.last_modified(media):
            return False
        self.writes[media] = self.writes.get(media, 0) + 1
        for name, value in sending.members:
            older = self.values.get((claim.path, name), 0)
            assert int(value) >= older, f"{claim.path} {name}: {value.decode()} landed after {older}"
            self.values[claim.path, name] = int(value)
        return True


class Walk:
    """A random walk of two kinds of workers over one store: quick ones, and ones that take their time.

    Values are numbers that rise with every accept, so "older" is "smaller".
    """

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.bench = Bench(fakeredis.FakeRedis(), AllKeys(uuid.uuid4().hex), flags=False)
        self.far = FarSide()
        self.value = 0
        self.newest: dict[tuple[str, str], str] = {}  # field → the request that set it last
        self.requests: dict[str, dict[str, Any]] = {}
        self.slow: list[tuple[Claim, str]] = []
        self.sending: list[tuple[Claim, str, Sending]] = []

    def steps(self) -> list[tuple[Callable[[], None], int]]:
        return [
            (self.accept, 5),
            (self.run_quickly, 5),
            (self.take_slowly, 2),
            (self.begin_slowly, 2),
            (self.land_slowly, 2),
            (self.tick, 5),
            (self.act, 2),
        ]

    def run(self) -> None:
        steps, weights = zip(*self.steps(), strict=True)
        for _ in range(STEPS):
            self.random.choices(steps, weights)[0]()
            assert self.bench.store.audit() == [], "a record stands where its state doesn't say"
        self.come_to_rest()

    def accept(self) -> None:
        self.value += 1
        media, path = self.random.choice(MEDIA), self.random.choice(PATHS)
        full = f"/external/contentMedia/live/{media}{path}"
        members: dict[str, Any] = dict.fromkeys(
            self.random.sample(FIELDS, self.random.randint(1, 3)), self.value
        )
        if self.random.random() < 0.2:
            members[self.random.choice(FIELDS)] = ABSENT
        request = self.bench.patch(media, path=full, members=members, forced=self.random.random() < 0.8)
        queued = self.bench.accept(request)
        self.requests[request.id] = members
        for name in members:
            self.newest[full, name] = request.id if queued else ""

    def run_quickly(self) -> None:
        error = self.random.choice((None, None, TIMEOUT, TIMEOUT, REFUSED))
        for claim, modified in self._claimed():
            sending = self.bench.store.begin(claim, modified)
            if sending is not None:
                self._land(claim, modified, sending, error)

    def take_slowly(self) -> None:
        self.slow += self._claimed()

    def begin_slowly(self) -> None:
        if self.slow:
            claim, modified = self.slow.pop(self.random.randrange(len(self.slow)))
            sending = self.bench.store.begin(claim, modified)
            if sending is not None:
                self.sending.append((claim, modified, sending))

    def land_slowly(self) -> None:
        """Its PATCH may be answered, or the worker dies with it on the way; its lease may be over by now."""
        if self.sending:
            claim, modified, sending = self.sending.pop(self.random.randrange(len(self.sending)))
            if self.random.random() < 0.5:
                self.far.patch(claim, modified, sending)
            else:
                self._land(claim, modified, sending, None)

    def tick(self) -> None:
        self.bench.pass_time(seconds=self.random.choice((10, 10, 20, 20, 20, 90_000)))
        self.bench.store.reclaim(AVOS)
        self.bench.tick()

    def act(self) -> None:
        if self.requests:
            verb = self.random.choice(("retry", "retry", "discard"))
            self.bench.store.act(self.random.choice(list(self.requests)), verb, "me")

    def come_to_rest(self) -> None:
        """Retry what can be retried and let everything run: the newest of each field has landed."""
        for request_id in self.requests:
            self.bench.store.act(request_id, "retry", "me")
        for _ in range(200):
            self.bench.pass_time(seconds=20)
            self.bench.store.reclaim(AVOS)
            self.bench.tick()
            for claim, modified in self._claimed():
                sending = self.bench.store.begin(claim, modified)
                if sending is not None:
                    self._land(claim, modified, sending, None)
            if not self.bench.client.zcard(self.bench.keys.expiry):
                break
        else:
            raise AssertionError("something never came to an end")
        for (path, name), request_id in self.newest.items():
            if not request_id or self.requests[request_id][name] is ABSENT:
                continue
            wanted = self.requests[request_id][name]
            assert self.far.values.get((path, name)) == wanted, f"{path} {name}: {wanted} never landed"
        lanes = [media.casefold() for media in MEDIA]
        assert not any(s.behind or s.failing for s in self.bench.store.lane_summaries(AVOS, lanes))

    def _claimed(self) -> list[tuple[Claim, str]]:
        claims = [self.bench.store.claim(request_id) for request_id in self.bench.take()]
        return [
            (c, self.far.last_modified(str(c.content_media_id).casefold())) for c in claims if c is not None
        ]

    def _land(self, claim: Claim, modified: str, sending: Sending, error: AttemptError | None) -> None:
        if error is None and not self.far.patch(claim, modified, sending):
            error = CONFLICT
        self.bench.store.finish(claim, AttemptResult({"outcome": "x"}, error))


@pytest.mark.slow
@pytest.mark.timeout(500)  # so many walks, however busy the machine is
@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_an_older_value_never_lands_after_a_newer_one(seed: int) -> None:
    Walk(seed).run()
