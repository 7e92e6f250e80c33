"""The scheduler for tests: a clock that the test moves, a Live API that is a table."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass, field
from typing import Any, cast

from app.outgoing.attempts import CallFailed
from app.outgoing.decision import AttemptError, AttemptResult
from app.outgoing.destinations import Destination
from app.outgoing.model import Idempotency
from app.schedules.live_api import LiveApiClient, LiveJob
from app.schedules.notices import notices_destination
from app.schedules.records import Task, TaskName, Workflow, new_id
from app.schedules.rules import Limits, TaskChange
from app.schedules.service import ScheduleService
from app.schedules.store import ScheduleStore
from app.settings import Settings
from tests.support.outgoing import START, Bench

LIVE_API = Destination("live-api")
NOTICES = notices_destination(Settings(redis_url="redis://unused"))
NOW = int(START.timestamp())


@dataclass
class LiveApiTable:
    """Answers the question whether a job is static."""

    jobs: dict[str, LiveJob] = field(default_factory=dict)
    error: AttemptError | None = None

    def job(self, _account: str, job_id: str, *, timeout_s: float) -> LiveJob:
        assert timeout_s > 0
        if self.error is not None:
            raise CallFailed(self.error, unknown=False, exchange={})
        return self.jobs.get(job_id, LiveJob(static=True, state="standby", sep_state="waiting"))


class ScheduleBench:
    """A store of schedules on a bench that knows the Live API as a destination."""

    def __init__(self, bench: Bench, limits: Limits | None = None) -> None:
        self.bench = dataclasses.replace(bench, others=(LIVE_API, NOTICES))
        self.live_api = LiveApiTable()
        self.store = ScheduleStore(
            bench.client,
            self.bench.store,
            self.bench.store.scripts,
            LIVE_API.name,
            flags=bench.flags,
            now_ms=lambda: int(self.bench.now.timestamp() * 1000),
        )
        self.service = ScheduleService(self.store, cast("LiveApiClient", self.live_api), limits or Limits())

    def workflow(self, begins: int = 600, ends: int = 4200, **given: Any) -> Workflow:
        """Not stored yet; times are seconds from the bench's beginning."""
        given = {"account": "acc", "job_id": "job", "id": new_id(), **given}
        return Workflow(
            activation=Task(NOW + begins, timer=1), deactivation=Task(NOW + ends, timer=1), **given
        )

    def create(
        self, begins: int = 600, ends: int = 4200, key: Idempotency | None = None, **given: Any
    ) -> Workflow:
        return self.service.create(self.workflow(begins, ends, **given), key)

    def move(self, workflow: Workflow, **changes: int) -> Workflow:
        """`activation=700`: seconds from the bench's beginning."""
        wanted = {TaskName(name): TaskChange(NOW + at) for name, at in changes.items()}
        return self.service.change(workflow.account, workflow.id, wanted)

    def cancel(self, workflow: Workflow) -> Workflow:
        return self.service.cancel(workflow.account, workflow.id)

    def at(self, seconds: float) -> None:
        """The time is so many seconds after the bench's beginning."""
        self.bench.now = START
        self.bench.pass_time(seconds=seconds)

    def fire(self) -> list[str]:
        """What is due; the actions that then go out, with their jobs."""
        self.store.fire()
        return self.sent()

    def sent(self, error: AttemptError | None = None) -> list[str]:
        """Carry out what waits to be sent, with this end."""
        paths = [path for path, _ in self._carried_out(LIVE_API.name, error)]
        return [path.removeprefix("/accounts/acc/jobs/") for path in paths]

    def notices(
        self, host: str = "example.com:443", error: AttemptError | None = None
    ) -> list[dict[str, Any]]:
        """The bodies of the notices that then go out to a host."""
        return [json.loads(body) for _, body in self._carried_out(f"{NOTICES.name}:{host}", error)]

    def _carried_out(self, destination: str, error: AttemptError | None) -> list[tuple[str, bytes]]:
        """Paths and bodies, as far as anything goes out."""
        done: list[tuple[str, bytes]] = []
        while taken := self._take(destination):
            for request_id in taken:
                claim = self.bench.store.claim(request_id)
                if claim is None:
                    continue
                sending = self.bench.store.begin(claim, None)
                if sending is None:
                    continue
                assert self.bench.store.finish(claim, AttemptResult({"at": "now", "outcome": "x"}, error))
                done.append((claim.path, sending.body or b""))
        return done

    def _take(self, destination: str) -> list[str]:
        self.bench.store.promote(destination)
        queue = self.bench.keys.prefix + "live"
        messages = self.bench.client.lrange(queue, 0, -1)
        self.bench.client.delete(queue)
        return [message.decode().split()[1] for message in reversed(messages)]

    def states(self, workflow: Workflow) -> tuple[str, str]:
        """Of both tasks, as they are now."""
        found = self.store.workflow(workflow.id)
        assert found is not None
        return found.activation.state.value, found.deactivation.state.value

    def reason(self, workflow: Workflow) -> str | None:
        found = self.store.workflow(workflow.id)
        assert found is not None
        return found.activation.reason

    def happenings(self) -> list[str]:
        rows = self.bench.client.xrange(self.bench.keys.log("schedule-operations"))
        return [fields[b"name"].decode() for _, fields in rows]
