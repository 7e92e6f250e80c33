"""What Flower shows of a task: what it was about and what became of it, in a line; and nothing of what did nothing.

Celery tells of a task when its message arrives, and of every tick. Ours are told of when they begin, so that what a dying worker
had fetched was never there, and quiet ones when they have ended, if they have done something. As many task events as before,
or fewer: they cost throughput.
"""

from __future__ import annotations

import os
import time
from typing import Any, Final

from celery import Task
from celery.exceptions import Retry
from celery.worker.request import Request

from app.outgoing.attempts import DELIVERED
from app.outgoing.summary import Verdict, told
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


class Note:
    """What a task leaves for the request that carries it: its result as it is shown, and what a chain hands on."""

    __slots__ = ("chain", "text", "value")

    def __init__(self) -> None:
        self.text: str | None = None
        self.chain: list[Any] | None = None
        self.value: Any = None


# Typed loosely: celery-types has other signatures for some of its methods than Celery.
_Request: Any = Request


class ShownTaskRequest(_Request):  # type: ignore[misc]
    """Tells of its task when that begins. (Celery itself leaves the telling to it: see `Shown.send_events`.)"""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._fetched_at = time.time()

    def on_accepted(self, pid: int, time_accepted: float) -> None:
        if pid == os.getpid():  # in another process (prefork) it would be left in a copy
            self.request_dict["note"] = Note()
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
        note = self.request_dict.get("note")
        if type == "task-succeeded" and note is not None and note.text is not None:
            fields["result"] = self.result_line(note.text)
        if self._eventer and self._eventer.enabled:
            self._eventer.send(type, uuid=self.id, **fields)

    def result_line(self, text: str) -> str:
        return text


class QuietRequest(ShownTaskRequest):
    """Tells of its task when that has ended, and only if it has returned something, or failed."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._untold: list[tuple[str, dict[str, Any]]] = []

    def send_event(self, type: str, **fields: Any) -> None:  # noqa: A002 - Celery's signature
        self._untold.append((type, {"timestamp": time.time(), **fields}))
        if type in BEGINNINGS:
            return
        untold, self._untold = self._untold, []
        if type == "task-succeeded" and fields["result"] == "None":
            return
        for one, its in untold:
            super().send_event(one, **its)


class ShownTask(Task):  # type: ignore[type-arg]
    """The base of all tasks but the canary; a text that it returns is shown as it is, without quotes."""

    abstract = True
    Request = f"{__name__}:ShownTaskRequest"
    send_events = False  # by Celery itself
    throws = EXPECTED  # which are no errors to be logged with a traceback

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        result = self.run(*args, **kwargs)
        if isinstance(result, str):
            self.show(result)
        return result

    def show(self, text: str) -> None:
        """Let this be shown as the running task's result."""
        note = self.request.get("note")
        if note is not None:
            note.text = text


class Quiet(ShownTask):
    """The base of tasks that often have nothing to do, and then return None."""

    abstract = True
    Request = f"{__name__}:QuietRequest"


def rested(consumer_id: str, word: str) -> str:
    """How the wake-up of a consumer ended. Raises WillRetry, Undelivered where its receiver is in trouble."""
    trouble = system().consumers.trouble(consumer_id, word) if word in ("resting", "stopped") else None
    if trouble is None:
        return word
    raise Undelivered(trouble.text) if trouble.final else WillRetry(trouble.text)


def ended(request_id: str, outcome: str | None) -> str:
    """What became of a request after an attempt that ended like this (None: it was none), in a line. Raises WillRetry,
    Undelivered."""
    if outcome == DELIVERED:
        return outcome
    verdict, text = told(outcome, system().requests.ending(request_id))
    if verdict is Verdict.RETRY:
        raise WillRetry(text)
    if verdict is Verdict.FAILURE:
        raise Undelivered(text)
    return text
