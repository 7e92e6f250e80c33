"""The event stream: from publishing to receipt at a steady rate, draining to Kinesis, and replaying; all with real processes."""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Self

from benchmarks.events_far import Moto, Receivers
from benchmarks.events_load import KINDS, Call, call, calls, publish
from benchmarks.events_side import Stream
from benchmarks.load import press
from benchmarks.processes import Broken, cpu_s, stolen_s

SUBSCRIPTIONS: Final = 20
TOPIC, NAME = "asset-operations", "asset-updated"  # what all follow
OTHER_TOPIC, OTHER_NAME = "category-operations", "category-updated"  # while the first one is replayed
BAD: Final = ("hang", "refuse", "drip")  # how the three behave
_LATE_S: Final = 30  # the longest that deliveries may take after the last call
_DRAIN_S: Final = 180
ARRAY: Final = 100  # events of one call
_SHARED_SEED: Final = 7


@dataclass(frozen=True)
class Arrived:
    """`took_s`: from the call that published it to the receiver that had it whole, of every delivery. `cpu_s`: processor
    time by group of processes, a second. `stolen_s`: how long the machine's cores stood still for other machines.
    `strangers_s`: processor time, a second, of processes that don't belong to the measurement."""

    took_s: Sequence[float]
    repeated: int
    cpu_s: Mapping[str, float]
    stolen_s: float
    strangers_s: float


@dataclass(frozen=True)
class Drained:
    """Of a backlog. `cpu_ms` for an event, by group of processes; moto's are `moto`."""

    events: int
    seconds: float
    cpu_ms: Mapping[str, float]

    @property
    def per_second(self) -> float:
        return self.events / self.seconds


@dataclass
class Replayed:
    """`seen`: (seconds since its beginning, events done) as the API has told it."""

    total: int
    seen: list[tuple[float, int]] = field(default_factory=list)
    seconds: float | None = None  # None: cancelled before it came to its end

    @property
    def per_second(self) -> float:
        seconds, done = self.seen[-1] if self.seconds is None else (self.seconds, self.total)
        return done / seconds


class Events:
    """`with Events(folder) as events:` everything is started; every method is one measurement."""

    def __init__(self, folder: Path) -> None:
        self._moto = Moto(folder)
        self._good = Receivers(folder, "receivers")
        self._bad = Receivers(folder, "bad-receivers")
        self.side = Stream(folder / "ours", self._moto.environment)
        self._streams = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.side.stop()
        for far in (self._moto, self._good, self._bad):
            far.stop()

    # Publish to receipt -----------------------------------------------------------------------------------------------

    @contextmanager
    def followers(self, count: int, topic: str = TOPIC) -> Iterator[None]:
        """So many webhooks that follow all of a topic."""
        with self._webhooks([(f"/ok/{n}", topic, None) for n in range(count)]):
            yield

    @contextmanager
    def specialists(self) -> Iterator[None]:
        """A webhook for each event there is to publish."""
        with self._webhooks([(f"/ok/{n}", *kind) for n, kind in enumerate(KINDS)]):
            yield

    @contextmanager
    def bad_ones(self) -> Iterator[None]:
        """One that hangs, one that refuses every event for good, one whose answers drip."""
        made = [self.side.webhook(self._bad.url(f"/{how}/1"), TOPIC) for how in BAD]
        try:
            yield
        finally:
            self.side.unsubscribe(made)

    @contextmanager
    def _webhooks(self, wanted: Sequence[tuple[str, str, str | None]]) -> Iterator[None]:
        made = [self.side.webhook(self._good.url(path), topic, name) for path, topic, name in wanted]
        try:
            yield
        finally:
            self.side.unsubscribe(made)

    def to_all(self, rate: float, seconds: float, followers: int, topic: str = TOPIC) -> Arrived:
        """Each event goes to every follower: `rate` deliveries a second in all (if there were `SUBSCRIPTIONS`)."""
        name = NAME if topic == TOPIC else OTHER_NAME
        moments = _moments(rate / SUBSCRIPTIONS, seconds)
        return self._steadily([call(at, topic, name, self.side.token) for at in moments], followers, seconds)

    def to_one(self, rate: float, seconds: float) -> Arrived:
        """Each event goes to one subscription, in turn."""
        planned = [
            call(at, *KINDS[n % len(KINDS)], self.side.token) for n, at in enumerate(_moments(rate, seconds))
        ]
        return self._steadily(planned, 1, seconds)

    def _steadily(self, planned: Sequence[Call], each: int, seconds: float) -> Arrived:
        self._good.forget()
        cpu, stolen, all_ = self._cpu(), stolen_s(), _busy_s()
        sent = publish(self.side.port, planned)
        self._good.wait_for(len(planned) * each, _LATE_S)
        used, stood = self._cpu(), stolen_s() - stolen
        strangers = _busy_s() - all_ - sum(used.values()) + sum(cpu.values())
        first: dict[tuple[str, str], float] = {}
        receipts = [receipt for receipt in self._good.receipts() if receipt.guid in sent]
        for receipt in receipts:
            first.setdefault((receipt.path, receipt.guid), receipt.at)
        if len(first) < len(planned) * each:
            raise Broken(f"{len(first)} of {len(planned) * each} deliveries have come.")
        self.side.check()
        took = [at - sent[guid] for (_, guid), at in first.items()]
        busy = {group: (used[group] - cpu[group]) / seconds for group in used}
        return Arrived(took, len(receipts) - len(first), busy, stood, max(0.0, strangers / seconds))

    def _cpu(self) -> dict[str, float]:
        return {
            **self.side.cpu(),
            "receivers": cpu_s([self._good.program.pid, self._bad.program.pid]),
            "caller": time.process_time(),
            "moto": cpu_s([self._moto.program.pid]),
        }

    # Kinesis ----------------------------------------------------------------------------------------------------------

    def drain(self, count: int, *, ordered: bool) -> Drained:
        """A backlog of one subscription over many keys, written while it was paused."""
        subscription, stream = self._kinesis(ordered=ordered)
        self.side.act(subscription, "pause")
        self.side.write(TOPIC, NAME, count)
        before = self._cpu()
        started = time.monotonic()
        self.side.act(subscription, "resume")
        ended = self.side.wait_delivered(subscription, count, _DRAIN_S)
        used = self._cpu()
        self.side.unsubscribe([subscription])
        self._moto.drop(stream)
        cpu = {group: (used[group] - before[group]) * 1000 / count for group in used}
        return Drained(count, ended - started, cpu)

    def _kinesis(self, *, ordered: bool) -> tuple[str, str]:
        """A subscription, and the stream that it goes to."""
        self._streams += 1
        name = f"stream-{self._streams}"
        self._moto.stream(name)
        sink = {"type": "kinesis", "streamName": name}
        more = {} if ordered else {"ordered": False, "inFlight": 4}
        return self.side.subscribe([{"topic": TOPIC}], sink, **more), name

    # Replay -----------------------------------------------------------------------------------------------------------

    def fill(self, count: int) -> str:
        """So many events in the log; the time before the first of them."""
        since = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        time.sleep(1)  # a time has whole seconds here
        self.side.write(TOPIC, NAME, count)
        return since

    @contextmanager
    def replaying(self, since: str, *, webhook: bool) -> Iterator[Callable[[], Replayed]]:
        """A subscription of which everything since is replayed meanwhile; what is yielded waits for the end of that, or for
        a webhook cancels it, and tells how it went."""
        stream = None
        if webhook:
            subscription = self.side.webhook(self._bad.url("/ok/replay"), TOPIC)
        else:
            subscription, stream = self._kinesis(ordered=True)
        path = f"/api/subscriptions/{subscription}/replay"
        started = time.monotonic()
        made = self.side.api("POST", path, {"since": since})
        replayed = Replayed(int(made["total"]))

        def ended() -> Replayed:
            while True:
                told = self.side.api("GET", f"{path}/{made['id']}")
                replayed.seen.append((time.monotonic() - started, int(told["done"])))
                if told["state"] == "done":
                    replayed.seconds = time.monotonic() - started
                    return replayed
                if webhook:
                    self.side.api("DELETE", f"{path}/{made['id']}")
                    return replayed
                if time.monotonic() - started > _DRAIN_S:
                    raise Broken(f"A replay has done {told['done']} of {told['total']} in {_DRAIN_S} s.")
                time.sleep(0.25)

        try:
            yield ended
        finally:
            self.side.unsubscribe([subscription])
            if stream is not None:
                self._moto.drop(stream)

    # Publishing -------------------------------------------------------------------------------------------------------

    def publishing(self, seconds: float, count: int) -> float:
        """Events a second that the API takes, `count` a call; nobody follows them."""
        requests = calls(TOPIC, NAME, self.side.token, count)
        answered = press(self.side.port, requests, seconds=seconds, connections=16 if count == 1 else 2)
        if answered.accepted < sum(answered.statuses.values()):
            raise Broken(f"Publishing was answered {dict(answered.statuses)}.")
        return answered.per_second * count


def _busy_s() -> float:
    """Seconds of processor time that the whole machine has spent so far."""
    user, nice, system, _, _, irq, softirq, *_ = map(
        int, Path("/proc/stat").read_text().split("\n")[0].split()[1:]
    )
    return (user + nice + system + irq + softirq) / os.sysconf("SC_CLK_TCK")


def _moments(rate: float, seconds: float) -> Iterator[float]:
    """A Poisson process, the same one in every round."""
    chance, moment = random.Random(_SHARED_SEED), 0.0
    while (moment := moment + chance.expovariate(rate)) < seconds:
        yield moment
