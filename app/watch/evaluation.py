"""What a reading of the watch means: pure functions of values."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from app.platform.packages import Queue
from app.settings import own_command
from app.watch.model import ROUND_S, Pulse, WatchReading, Worker

QUEUE_ROUNDS: Final = 3  # so many rounds without a run, and a queue counts as stalled
BEAT_S: Final = 15.0  # without sending anything; something is due every second


@dataclass(frozen=True, slots=True)
class WatchFinding:
    """Something that was looked at. `state` is ok, warning or bad; with `way_out` unless it is ok."""

    what: str
    state: str
    detail: str
    way_out: str | None = None


@dataclass(frozen=True, slots=True)
class QueueState:
    """`latency_s`: from sending to running the last canary that was run; `age_s`: since then; `waiting_s`: how long
    one has waited by now. None: there is none. `stalled`: for too long."""

    latency_s: float | None
    age_s: float | None
    waiting_s: float | None
    stalled: bool
    workers: tuple[str, ...]
    silent: tuple[str, ...]  # of its workers


@dataclass(frozen=True, slots=True)
class WorkerState:
    """`age_s`: since its last canary was run, or since it enrolled."""

    worker: Worker
    age_s: float
    silent: bool


@dataclass(frozen=True, slots=True)
class BeatState:
    """`age_s`: since it sent something."""

    pid: int
    age_s: float
    silent: bool


@dataclass(frozen=True, slots=True)
class Report:
    """By name."""

    queues: Mapping[str, QueueState]
    workers: Mapping[str, WorkerState]
    beats: Mapping[str, BeatState]

    @property
    def beat_age_s(self) -> float | None:
        """Of the beat that sent last; None where none is known."""
        return min((beat.age_s for beat in self.beats.values()), default=None)

    @property
    def silent(self) -> list[str]:
        """Worker and beat processes that run, and do nothing."""
        beats = [name for name, beat in self.beats.items() if beat.silent]
        return sorted([*beats, *(name for name, one in self.workers.items() if one.silent)])


def worker_rounds(attempt_s: float) -> int:
    """After how many rounds a worker counts as silent: all its slots may be taken by attempts that last their whole
    time, and as many again may wait for them; a chain is two."""
    return math.ceil((BEAT_S + 3 * attempt_s) / ROUND_S)


def judge(found: WatchReading, queues: Sequence[Queue], *, rounds: int) -> Report:
    """`rounds`: see `worker_rounds`, of attempts."""
    own = {queue.name: max(rounds, worker_rounds(queue.turn_s)) for queue in queues}
    workers = {
        name: _worker(found, worker, max((own.get(queue, rounds) for queue in worker.queues), default=rounds))
        for name, worker in found.workers.items()
    }
    return Report(
        queues={queue.name: _queue(found, queue.name, workers) for queue in queues},
        workers=workers,
        beats={name: _beat(found, pulse) for name, pulse in found.beats.items()},
    )


def _queue(found: WatchReading, name: str, workers: Mapping[str, WorkerState]) -> QueueState:
    ran, waiting = found.ran.get(name), found.outstanding(name)
    own = {key: one for key, one in workers.items() if name in one.worker.queues}
    return QueueState(
        latency_s=None if ran is None else _seconds(ran.sent_ms, ran.at_ms),
        age_s=None if ran is None else _seconds(ran.at_ms, found.now_ms),
        waiting_s=None if waiting is None else _seconds(waiting.at_ms, found.now_ms),
        stalled=waiting is not None and waiting.missed >= QUEUE_ROUNDS,
        workers=tuple(sorted(own)),
        silent=tuple(sorted(key for key, one in own.items() if one.silent)),
    )


def _worker(found: WatchReading, worker: Worker, rounds: int) -> WorkerState:
    ran, waiting = found.ran.get(worker.name), found.outstanding(worker.name)
    last = worker.since_ms if ran is None else ran.at_ms
    return WorkerState(worker, _seconds(last, found.now_ms), waiting is not None and waiting.missed >= rounds)


def _beat(found: WatchReading, pulse: Pulse) -> BeatState:
    age = _seconds(pulse.at_ms, found.now_ms)
    return BeatState(pulse.pid, age, age > BEAT_S)


def _seconds(begin_ms: int, end_ms: int) -> float:
    return max(0.0, (end_ms - begin_ms) / 1000)


def findings(report: Report) -> list[WatchFinding]:
    """In words, with the way out: one for each queue, one for beat, and one for each silent process."""
    beat = _beat_finding(report)
    queues = [_queue_finding(name, queue, report) for name, queue in report.queues.items()]
    workers = [
        WatchFinding(
            f"worker {name}",
            "bad",
            f"process {one.worker.pid} has run nothing for {one.age_s:.0f} s though a canary waits for it",
            f"`{own_command('up')}`, and in containers the health check, starts it again; elsewhere kill -9 {one.worker.pid} "
            "and start it again.",
        )
        for name, one in sorted(report.workers.items())
        if one.silent
    ]
    return [beat, *queues, *workers]


def _beat_finding(report: Report) -> WatchFinding:
    age = report.beat_age_s
    way_out = (
        "Start it (again): `celery -A workers.app beat`. No ticks, no canaries and no retries meanwhile."
    )
    if age is None:
        return WatchFinding("beat", "bad", "no beat has been seen", way_out)
    if age > BEAT_S:
        return WatchFinding("beat", "bad", f"has sent nothing for {age:.0f} s", way_out)
    silent = [name for name, one in report.beats.items() if one.silent]
    if silent:
        return WatchFinding(
            "beat", "warning", f"{', '.join(silent)} silent, another works", "Start it again."
        )
    return WatchFinding("beat", "ok", f"has sent something {age:.0f} s ago")


def _queue_finding(name: str, queue: QueueState, report: Report) -> WatchFinding:
    what = f"canary {name}"
    if queue.stalled and not queue.workers:
        way_out = f"Start one: `celery -A workers.app worker -Q {name} …` (`{own_command('up')}` starts all)."
        return WatchFinding(
            what, "bad", f"nobody consumes the queue; a canary has waited {queue.waiting_s:.0f} s", way_out
        )
    if queue.stalled and len(queue.silent) == len(queue.workers):
        return WatchFinding(
            what,
            "bad",
            f"its workers are silent; a canary has waited {queue.waiting_s:.0f} s",
            "See each of them.",
        )
    if queue.stalled:
        way_out = "Its workers are busy, or have just come to be silent; more of them would help if it lasts."
        return WatchFinding(what, "warning", f"a canary has waited {queue.waiting_s:.0f} s", way_out)
    if queue.latency_s is None or queue.age_s is None:
        silent_beat = report.beat_age_s is None or report.beat_age_s > BEAT_S
        why = "beat sends none" if silent_beat else "the first is under way"
        return WatchFinding(
            what, "warning", f"no canary has been run yet ({why})", "Look again in half a minute."
        )
    return WatchFinding(
        what, "ok", f"from wake-up to run {queue.latency_s * 1000:.0f} ms, {queue.age_s:.0f} s ago"
    )
