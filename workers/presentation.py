"""What Flower shows of a task: in one line what it was about and what became of it. A task that did
nothing isn't shown.

Celery sends a task's first event when its message arrives. Our tasks send it when they begin: a
message that was fetched by a worker that then died leaves no trace of a task. Tasks that often have
nothing to do send all their events at the end, and only if they have done something. In all there
are as many task events as before, or fewer: each costs throughput.
"""

from __future__ import annotations

import os
import time
from typing import Any, Final

from celery import Task
from celery.exceptions import Retry
from celery.worker.request import Request

from app.events.consumers.store import ConsumerStore
from app.outgoing.attempts import DELIVERED
from app.outgoing.service import RequestService
from app.outgoing.summary import Verdict, describe
from workers.container import system

BEGINNINGS: Final = ("task-received", "task-started")


class Undelivered(Exception):
    """A delivery that has failed for good: FAILURE. The text is its reason."""

    def __repr__(self) -> str:
        return str(self)


class WillRetry(Retry):
    """A delivery that has failed and is tried again, as another task: RETRY."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason, exc=Undelivered(reason))

    def __repr__(self) -> str:
        return str(self)


EXPECTED: Final = (Undelivered, WillRetry)


class RunNotes:
    """What a task's run leaves for the request that carries it: `text` is its result as Flower
    shows it, `chain` the links that are still to be run, `value` what the next of them gets."""

    __slots__ = ("chain", "text", "value")

    def __init__(self) -> None:
        self.text: str | None = None
        self.chain: list[Any] | None = None
        self.value: Any = None


# Typed loosely: celery-types has other signatures for some of its methods than Celery.
_Request: Any = Request


class ShownTaskRequest(_Request):  # type: ignore[misc]
    """Sends its task's first event when the task begins. (Celery sends none by itself: see
    `ShownTask.send_events`.)"""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._fetched_at = time.time()

    def on_accepted(self, pid: int, time_accepted: float) -> None:
        if pid == os.getpid():  # in another process (prefork) only a copy would get them
            self.request_dict["run_notes"] = RunNotes()
        self.send_event(
            "task-received",
            timestamp=self._fetched_at,
            name=self.name,
            args=self.argsrepr,
            kwargs=self.kwargsrepr,
            root_id=self.root_id,
            parent_id=self.parent_id,
            retries=0,
            eta=None,
            expires=None,
        )
        super().on_accepted(pid, time_accepted)

    def on_failure(self, exc_info: Any, *args: Any, **options: Any) -> Any:
        error = exc_info.exception
        if isinstance(error, EXPECTED) or isinstance(
            getattr(error, "exc", None), EXPECTED
        ):  # the latter: wrapped
            exc_info.traceback = ""  # the reason says it all
        return super().on_failure(exc_info, *args, **options)

    def send_event(self, type: str, **fields: Any) -> None:  # noqa: A002 - Celery's signature
        notes = self.request_dict.get("run_notes")
        if type == "task-succeeded" and notes is not None and notes.text is not None:
            fields["result"] = self.result_line(notes.text)
        if self._eventer and self._eventer.enabled:
            self._eventer.send(type, uuid=self.id, **fields)

    def result_line(self, text: str) -> str:
        return text


class QuietTaskRequest(ShownTaskRequest):
    """Sends its task's events when the task has ended, and only if it has returned something, or
    failed."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._unsent: list[tuple[str, dict[str, Any]]] = []

    def send_event(self, type: str, **fields: Any) -> None:  # noqa: A002 - Celery's signature
        self._unsent.append((type, {"timestamp": time.time(), **fields}))
        if type in BEGINNINGS:
            return
        unsent, self._unsent = self._unsent, []
        if type == "task-succeeded" and fields["result"] == "None":
            return
        for one, its in unsent:
            super().send_event(one, **its)


class ShownTask(Task):  # type: ignore[type-arg]
    """The base of all tasks but the canary. Flower shows a text that the task returns as it is,
    without quotes."""

    abstract = True
    Request = f"{__name__}:ShownTaskRequest"
    send_events = False  # by Celery itself
    throws = EXPECTED  # Celery logs no traceback for these

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        result = self.run(*args, **kwargs)
        if isinstance(result, str):
            self.show(result)
        return result

    def show(self, text: str) -> None:
        """Make Flower show this as the running task's result."""
        notes = self.request.get("run_notes")
        if notes is not None:
            notes.text = text


class QuietTask(ShownTask):
    """The base of tasks that often have nothing to do, and then return None."""

    abstract = True
    Request = f"{__name__}:QuietTaskRequest"


def consumer_line(consumer_id: str, word: str) -> str:
    """How a consumer's slice of time ended, given the runner's word for it. Raises WillRetry or
    Undelivered where its receiver is in trouble."""
    trouble = system()[ConsumerStore].trouble(consumer_id, word) if word in ("resting", "stopped") else None
    if trouble is None:
        return word
    raise Undelivered(trouble.text) if trouble.final else WillRetry(trouble.text)


def request_line(request_id: str, outcome: str | None) -> str:
    """What became of a request, given its attempt's outcome (None: there was no attempt, or its
    first half has ended it). Raises WillRetry or Undelivered where it wasn't delivered."""
    if outcome == DELIVERED:
        return outcome
    verdict, text = describe(outcome, system()[RequestService].ending(request_id))
    if verdict is Verdict.RETRY:
        raise WillRetry(text)
    if verdict is Verdict.FAILURE:
        raise Undelivered(text)
    return text
