"""A script that breaks off in the middle (a fault of ours, WRONGTYPE, a server out of memory) leaves what it
has written, for Lua doesn't roll back. Whatever the call at which it breaks: the audit mends the records, and
nothing that was acknowledged is lost or stuck."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from redis import Redis
from redis.exceptions import ResponseError

from app.outgoing.decision import AttemptError, AttemptResult
from app.outgoing.model import AVOS, OPEN
from app.outgoing.scripts import OutgoingScripts
from app.platform.scripts import Script
from tests.support.keys import AllKeys
from tests.support.outgoing import Bench

REFUSED = AttemptError("refused", "400", retryable=False)
TIMEOUT = AttemptError("timeout", "no answer")
MOST_CALLS = 150

_BREAKING = """
local made_calls = 0
local function CALL(...)
  made_calls = made_calls + 1
  if made_calls == %d then error('broken off') end
  return redis.call(...)
end
"""


class Breaking(OutgoingScripts):
    """The scripts, one of which fails at its n-th call of Redis, the first time that it makes so many."""

    def __init__(self, bench: Bench, name: str, call: int) -> None:
        super().__init__(**bench.given())
        self.broken: str | None = name  # until it has
        self.call = call

    def __getitem__(self, name: str) -> Script:
        if name != self.broken:
            return super().__getitem__(name)
        first, rest = "", self.text(name)
        if rest.startswith("#!"):
            first, rest = rest.split("\n", 1)
            first += "\n"
        return Script(first + _BREAKING % self.call + re.sub(r"\bredis\.call\(", "CALL(", rest))


class Story:
    """A few requests in two lanes, through every script; a step that breaks is left as it is."""

    def __init__(self, bench: Bench, scripts: Breaking) -> None:
        bench.scripts = self.scripts = scripts
        bench.__post_init__()
        self.bench = bench
        self.acknowledged: list[str] = []
        self.broke = False

    def step(self, work: Callable[[], Any]) -> Any:
        try:
            return work()
        except ResponseError as error:
            if "broken off" not in str(error):
                raise
            self.broke = True
            self.scripts.broken = None
            return None

    def accept(self, *requests: Any) -> None:
        self.acknowledged += self.step(lambda: self.bench.accept(*requests)) or []

    def send_all(self, error: AttemptError | None = None) -> None:
        for request_id in self.step(self.bench.take) or []:
            claim = self.step(partial(self.bench.store.claim, request_id))
            if claim is None:
                continue
            sending = self.step(partial(self.bench.store.begin, claim, "lm"))
            if sending is not None:
                self.step(partial(self.bench.store.finish, claim, AttemptResult({"outcome": "x"}, error)))

    def tick(self, seconds: int) -> None:
        self.bench.pass_time(seconds=seconds)
        self.step(partial(self.bench.store.expire, AVOS))
        self.step(partial(self.bench.store.reclaim, AVOS))
        self.step(partial(self.bench.store.sweep, AVOS))

    def tell(self) -> None:
        bench = self.bench
        self.accept(
            bench.patch("A", members={"a": 1}), bench.patch("A", members={"b": 1}), bench.barrier("A")
        )
        self.accept(bench.patch("B", members={"a": 1}))
        self.step(lambda: bench.store.hold(AVOS, "b", "me"))
        self.send_all(TIMEOUT)
        self.accept(bench.patch("A", members={"a": 2, "b": 2}), bench.patch("C", members={"a": 1}))
        self.step(lambda: bench.store.hold(AVOS, "b", "me", release=True))
        self.tick(10)
        self.send_all(REFUSED)
        for verb in ("retry", "discard", "retry"):
            for request_id in self.acknowledged:
                self.step(partial(bench.store.act, request_id, verb, "me"))
        for request_id in self.step(bench.take) or []:
            self.step(partial(bench.store.claim, request_id))  # and the worker dies
        self.tick(60)
        self.send_all(TIMEOUT)
        self.tick(90_000)  # past the maximum age
        self.accept(bench.patch("A", members={"a": 3, "b": 3}), bench.patch("B", members={"a": 3}))

    def come_to_rest(self) -> None:
        for _ in range(12):
            self.bench.store.audit()
            self.tick(20)
            self.bench.store.hold(AVOS, "b", "me", release=True)
            self.send_all()


@pytest.fixture
def bench(redis_client: Redis, tenant: str) -> Bench:
    """The real server only: what fakeredis does with a broken script is its own affair."""
    return Bench(redis_client, AllKeys(tenant))


@pytest.mark.parametrize(
    "script", ["accept", "promote", "claim", "begin", "finish", "reclaim", "sweep", "expire", "act", "hold"]
)
def test_a_script_that_breaks_off_at_any_call_is_mended(bench: Bench, script: str) -> None:
    for call in range(1, MOST_CALLS):
        bench.client.delete(*bench.client.keys(f"{bench.keys.prefix}*") or ["nothing"])
        story = Story(bench, Breaking(bench, script, call))
        story.tell()
        if not story.broke:
            assert call > 2, "the script was never broken"
            return
        story.come_to_rest()
        _nothing_is_lost_or_stuck(story, f"{script} broke at its call {call}")
    pytest.fail(f"{script} makes more than {MOST_CALLS} calls: raise the bound")


def _nothing_is_lost_or_stuck(story: Story, where: str) -> None:
    bench = story.bench
    assert bench.store.audit() == [], where
    states = {request_id: bench.state(request_id) for request_id in story.acknowledged}
    assert not [i for i, state in states.items() if state in OPEN], f"{where}: {states}"
    for buffer in (
        bench.keys.pending(AVOS),
        bench.keys.live(AVOS),
        bench.keys.failed(AVOS),
        bench.keys.due(AVOS),
    ):
        assert bench.client.zcard(buffer) == 0, f"{where}: {buffer}"
    assert bench.client.zcard(bench.keys.expiry) == 0, where
