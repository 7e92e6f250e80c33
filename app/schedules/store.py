"""Workflows in Redis. Calls change them through `OutgoingStore.accept`; what happens at their time is written by the
scripts of `lua/`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

from redis import Redis

from app.outgoing.model import Acceptance, Accepted
from app.outgoing.scripts import SCRIPTS as OUTGOING
from app.outgoing.scripts import SHARED_SCRIPTS, OutgoingScripts
from app.outgoing.store import OutgoingStore
from app.platform.clock import from_ms
from app.platform.errors import WrittenByNewer
from app.platform.redis import store_errors, typed
from app.platform.scripts import ScriptFolder, Scripts
from app.schedules.keys import ScheduleKeys
from app.schedules.records import SCHEMA, Workflow, from_fields

SCRIPTS: Final = Path(__file__).parent / "lua"
FIRE_CHUNK: Final = 20  # of a script call: some 200 microseconds each, quiet
SETTLE_CHUNK: Final = 50
LOOKED_AT: Final = 500  # workflows, in one round trip


@dataclass(frozen=True, slots=True)
class JobSchedules:
    """The workflows of a job that have something pending. `number` moves with every change of one."""

    workflows: tuple[Workflow, ...]
    number: str


@dataclass(frozen=True, slots=True)
class WorkflowPage:
    """Some workflows of an account, and where to go on; None: that was the last."""

    workflows: tuple[Workflow, ...]
    after: tuple[int, str] | None


@dataclass(frozen=True, slots=True)
class Upcoming:
    """A timer that is still to come: a task's, or the notice's before it (`notify-activation`)."""

    what: str
    at: datetime
    workflow: Workflow


@dataclass(frozen=True, slots=True)
class LateTask:
    """A task that was late, or missed."""

    workflow_id: str
    task: str
    late_s: float


@dataclass(frozen=True, slots=True)
class ScheduleFigures:
    """`counters` by the names that the scripts give them; `timers`: how many are to come; `next_in_s`: negative where it is
    overdue; `late`: the last twenty."""

    counters: Mapping[str, int]
    timers: int
    next_in_s: float | None
    late: tuple[LateTask, ...]


class ScheduleStore:
    """All methods raise Unavailable while the store is away. `now_ms` replaces the server's clock in tests."""

    def __init__(
        self,
        client: Redis,
        outgoing: OutgoingStore,
        scripts: OutgoingScripts,
        destination: str,
        *,
        flags: bool = True,
        now_ms: Callable[[], int] | None = None,
    ) -> None:
        self.keys = ScheduleKeys.of(outgoing.keys)
        self._outgoing = outgoing
        self._client = typed(client)
        folder = ScriptFolder(SCRIPTS, shared=(OUTGOING, *SHARED_SCRIPTS), made=scripts.made(), flags=flags)
        common = {"log_length": scripts.history.log_length, "destination": destination}
        runner = Scripts(client, self.keys, folder, common=common, now_ms=now_ms)
        self._run = runner.run
        self.time_ms = runner.time_ms

    def accept(self, acceptance: Acceptance) -> Accepted:
        """As `OutgoingStore.accept`."""
        return self._outgoing.accept(acceptance)

    def workflows(self, ids: Sequence[str]) -> list[Workflow]:
        """Those of these that there are, and that no newer release has written."""
        return [one for one in self._read(ids, newer=False) if one is not None]

    def workflow(self, workflow_id: str) -> Workflow | None:
        [found] = self._read([workflow_id])
        return found

    def created_under(self, digest: str) -> str:
        """The id of the workflow that was made under an Idempotency-Key."""
        with store_errors():
            return (self._client.get(self.keys.created(digest)) or b"").decode()

    def of_job(self, account: str, job_id: str) -> JobSchedules:
        """What else is scheduled for a job."""
        with store_errors():
            found = self._client.hgetall(self.keys.open(account, job_id))
        number = found.pop(b"#", b"").decode()
        workflows = self._read([name.decode() for name in found])
        return JobSchedules(tuple(one for one in workflows if one is not None), number)

    def page(
        self,
        account: str,
        job_id: str | None,
        start: int,
        end: int,
        after: tuple[int, str] | None,
        limit: int,
    ) -> WorkflowPage:
        """Workflows of an account, or of one of its jobs, whose activation lies in [start, end), in that order."""
        key = self.keys.workflows(account) if job_id is None else self.keys.workflows_of_job(account, job_id)
        found: list[tuple[int, str]] = []
        begin, at = (start if after is None else max(start, after[0])), 0
        while len(found) <= limit:
            with store_errors():
                some = self._client.zrangebyscore(
                    key, begin, f"({end}", start=at, num=LOOKED_AT, withscores=True
                )
            places = [(int(score), name.decode()) for name, score in some]
            found += [place for place in places if after is None or place > after]
            at += len(places)
            if len(places) < LOOKED_AT:
                break
        page = found[:limit]
        workflows = self._read([name for _, name in page])
        return WorkflowPage(
            tuple(one for one in workflows if one is not None), page[-1] if len(found) > limit else None
        )

    def fire(self) -> tuple[int, float]:
        """Hand what is due to the Live API: how many timers were due, and in how many seconds the next is."""
        total = 0
        while True:
            due, wait_ms = self._run("fire", {"limit": FIRE_CHUNK})
            total += int(due)
            if int(due) < FIRE_CHUNK:
                return total, int(wait_ms) / 1000

    def settle(self) -> int:
        """Write down what has become of requests that have ended; how many."""
        total = 0
        while True:
            looked = int(self._run("settle", {"limit": SETTLE_CHUNK}))
            total += looked
            if looked < SETTLE_CHUNK:
                return total

    def watched(self, limit: int) -> list[str]:
        """Workflows whose jobs are to be looked at now."""
        with store_errors():
            found = self._client.zrangebyscore(
                self.keys.watched, "-inf", self.time_ms(), start=0, num=limit, withscores=True
            )
        return [name.decode() for name, _ in found]

    def watch(self, workflow_id: str, again_s: float | None) -> None:
        """Look at it again in so many seconds; None: no more."""
        with store_errors():
            if again_s is None:
                self._client.zrem(self.keys.watched, workflow_id)
            else:
                self._client.zadd(self.keys.watched, {workflow_id: self.time_ms() + int(again_s * 1000)})

    def upcoming(self, hours: float, limit: int) -> list[Upcoming]:
        """What fires within so many hours, of any account, in that order."""
        till = self.time_ms() + int(hours * 3_600_000)
        with store_errors():
            found = self._client.zrangebyscore(
                self.keys.timers, "-inf", till, start=0, num=limit, withscores=True
            )
        entries = [(name.decode().split(":"), int(at)) for name, at in found]
        workflows = self._read([workflow_id for (_, _, workflow_id), _ in entries])
        return [
            Upcoming(what, from_ms(at), workflow)
            for ((what, _, _), at), workflow in zip(entries, workflows, strict=True)
            if workflow is not None
        ]

    def figures(self) -> ScheduleFigures:
        """How the timers stand, and what has happened so far."""
        keys = self.keys
        with store_errors():
            pipe = self._client.pipeline(transaction=False)
            pipe.hgetall(keys.counters)
            pipe.zcard(keys.timers)
            pipe.zrange(keys.timers, 0, 0, withscores=True)
            pipe.zrange(keys.late, 0, -1)
            counters, timers, first, late = pipe.execute()
        wait_ms = None if not first else int(first[0][1]) - self.time_ms()
        return ScheduleFigures(
            counters={name.decode(): int(value) for name, value in counters.items()},
            timers=timers,
            next_in_s=None if wait_ms is None else wait_ms / 1000,
            late=tuple(_late(one.decode()) for one in late),
        )

    def _read(self, ids: Sequence[str], *, newer: bool = True) -> list[Workflow | None]:
        """`newer`: one that a newer release has written is an error; else it is left out."""
        pipe = self._client.pipeline(transaction=False)
        for one in ids:
            pipe.hgetall(self.keys.workflow(one))
        with store_errors():
            found = pipe.execute() if ids else []
        for number, fields in enumerate(found):
            if int(fields.get(b"schema", SCHEMA)) > SCHEMA:
                if newer:
                    raise WrittenByNewer("The workflow was written by a newer release.")
                found[number] = {}
        return [from_fields(one, fields) if fields else None for one, fields in zip(ids, found, strict=True)]


def _late(entry: str) -> LateTask:
    task, ms, workflow_id = entry.split(":")
    return LateTask(workflow_id, task, int(ms) / 1000)
